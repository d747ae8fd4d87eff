"""Whether bf16 pays on this processor: measured once, the same for ever."""

from __future__ import annotations

import pytest
import torch

from tests.helpers.training import CPU
from xglue_harness.encoders import cpu_precision
from xglue_harness.encoders.cpu_precision import Bf16Gain, bf16_gain, known_bf16_gain
from xglue_harness.errors import DataError
from xglue_harness.records.provenance import hardware
from xglue_harness.training.finetune import resolve_precision

FAST, SLOW = Bf16Gain(forward=5.0, backward=4.0), Bf16Gain(forward=5.0, backward=1.9)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def measured(monkeypatch):
    """What is measured next, on a processor with bf16 arithmetic; the last one is for ever."""
    gains = [FAST]
    monkeypatch.setattr(cpu_precision, "_measured", lambda: gains.pop(0) if len(gains) > 1 else gains[0])
    monkeypatch.setattr(cpu_precision, "_flags", lambda: ["avx512_bf16"])
    return gains


def test_what_was_measured_once_stays(measured):
    measured[:] = [FAST, SLOW]
    assert known_bf16_gain() is None
    assert [bf16_gain() for _ in range(3)] == [FAST] * 3
    assert known_bf16_gain() == FAST


def test_another_processor_or_torch_is_measured_anew(measured, monkeypatch):
    measured[:] = [FAST, SLOW, Bf16Gain(forward=1.0, backward=1.0)]
    assert bf16_gain() == FAST
    monkeypatch.setattr(cpu_precision, "processor", lambda: "Abacus")
    assert bf16_gain() == SLOW
    monkeypatch.setattr(cpu_precision.metadata, "version", lambda _: "99.0")
    assert bf16_gain() == Bf16Gain(forward=1.0, backward=1.0)


@pytest.mark.parametrize("kept", ["", "{", '{"forward": 5.0}', '{"forward": -1.0, "backward": 1.0}', '"NaN"'])
def test_what_was_kept_and_can_not_be_read_is_measured_again(measured, kept):
    assert bf16_gain() == FAST
    measured[:] = [SLOW]
    cpu_precision._path().write_text(kept)
    assert bf16_gain() == SLOW
    assert known_bf16_gain() == SLOW


def test_a_processor_without_bf16_is_not_measured(measured, monkeypatch):
    monkeypatch.setattr(cpu_precision, "_flags", list)
    monkeypatch.setattr(cpu_precision, "_measured", lambda: pytest.fail("measured"))
    assert bf16_gain() is None
    assert resolve_precision("auto", CPU) == "fp32"
    assert "bf16_products" not in hardware(CPU)


@pytest.mark.parametrize(("gain", "precision"), [(FAST, "bf16"), (SLOW, "fp32")])
def test_auto_goes_by_the_slower_of_the_products_and_the_record_says_what_was_measured(
    measured, gain, precision, caplog
):
    measured[:] = [gain]
    with caplog.at_level("INFO"):
        assert resolve_precision("auto", CPU) == precision
    assert f"precision auto is {precision}: on this processor products in bf16 are {gain}" in caplog.text
    assert hardware(CPU)["bf16_products"] == str(gain)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_was_asked_for_is_not_measured(precision, monkeypatch):
    monkeypatch.setattr("xglue_harness.training.finetune.bf16_gain", lambda: pytest.fail("measured"))
    assert resolve_precision(precision, CPU) == precision


def test_the_products_are_those_of_both_precisions(monkeypatch):
    for name in ("_ROWS", "_INPUTS", "_OUTPUTS"):
        monkeypatch.setattr(cpu_precision, name, 16)
    products = cpu_precision._products()
    results = {name: product() for name, product in products.items()}
    assert {name: result.dtype for name, result in results.items()} == {
        f"{way} {name}": dtype
        for way in ("forward", "backward")
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }
    assert all((result == 16).all() for result in results.values())


def test_the_gain_is_the_ratio_of_the_best_times_and_threads_stay_as_many(monkeypatch):
    seconds = {"forward fp32": 6.0, "forward bf16": 2.0, "backward fp32": 5.0, "backward bf16": 4.0}
    seen = []

    def times(_):
        seen.append(torch.get_num_threads())
        return seconds

    monkeypatch.setattr(cpu_precision, "_best_times", times)
    before = torch.get_num_threads()
    assert cpu_precision._measured() == Bf16Gain(forward=3.0, backward=1.25)
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_a_noisy_turn_does_not_count(monkeypatch):
    noisy = iter([9.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(cpu_precision, "_SECONDS", 0.0)
    monkeypatch.setattr(cpu_precision, "_cpu_seconds", lambda act: next(noisy))
    assert cpu_precision._best_times({"forward fp32": lambda: None}) == {"forward fp32": 1.0}


def test_a_cache_that_can_not_be_written_is_an_error(measured, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set the environment variable XGLUE_CACHE to a folder that can be written"):
        resolve_precision("auto", CPU)
