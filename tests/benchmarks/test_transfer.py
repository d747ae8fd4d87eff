"""Both benchmarks end to end, on the sample with the demonstration's encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import precision, scaling, transfer
from benchmarks.roofline import body_parameters, matmul_peak
from benchmarks.workload import Setting, ask, last_steps, load
from xglue_harness.harness.demo import build_encoder
from xglue_harness.records.cost_meter import memory_peak

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder)
    return str(folder)


def test_rows_are_the_first_ones() -> None:
    train, tests = load(Setting("", "sample", rows=5, eval_rows=3))
    whole, all_tests = load(Setting("", "sample", rows=10**9))
    assert train["words"][:] == whole["words"][:5]
    assert {language: len(rows) for language, rows in tests.items()} == dict.fromkeys(all_tests, 3)
    assert len(tests) == 18
    assert load(Setting("", "sample", eval_rows=0))[1] == {}


def test_steps() -> None:
    setting = Setting("", "", batch_size=32)
    assert setting.steps(65, 1) == 3
    assert setting.steps(64, 0.5) == 1
    assert setting.steps(96, 7 / 3) == 7
    assert [last_steps(steps) for steps in (1, 4, 40)] == [1, 1, 10]


def test_what_every_subword_is_multiplied_with() -> None:
    model = nn.ModuleDict({"words": nn.Embedding(100, 4), "layer": nn.Linear(4, 4), "pooler": nn.Linear(4, 4)})
    assert body_parameters(model) == 20


def test_peaks() -> None:
    assert matmul_peak(CPU, "fp32") > 1e8
    before = memory_peak(CPU)
    block = torch.ones(50_000_000)
    assert memory_peak(CPU) >= before > 0
    del block


@pytest.mark.processes
def test_trainer_and_ours(tiny: str, tmp_path: Path, capsys) -> None:
    """Both sides see the same text in as many steps; ours pads less and trains fewer parameters."""
    written = tmp_path / "figures.json"
    options = ["--rows", "96", "--eval-rows", "4", "--rounds", "1", "--json", str(written)]
    transfer.main(["--encoder", tiny, "--data", "sample", *options])
    printed = capsys.readouterr().out
    assert "POS, fp32, 1 rounds: 3 steps of 32 on 96 rows; 72 test rows in 18 languages" in printed
    facts = json.loads(written.read_text())
    [ours], [plain] = facts["rounds"]["ours"], facts["rounds"]["Trainer"]
    for figure in ("steps", "real tokens", "encoder without tables, millions"):
        assert ours[figure] == plain[figure], figure
    assert ours["loss, last step"] == ours["loss, mean of last steps"]  # the last quarter of three steps is one
    assert abs(ours["loss, last step"] - plain["loss, last step"]) < 0.2
    assert ours["training, padded/real"] < plain["training, padded/real"]
    assert ours["trainable parameters, millions"] < plain["trainable parameters, millions"]
    assert all(value > 0 for value in (*ours.values(), *plain.values()))
    assert facts["test_rows"]["th"] == 4
    assert {"torch", "transformers"} <= set(facts["versions"])


@pytest.mark.processes
def test_pairs_and_random_shapes(tiny: str, tmp_path: Path) -> None:
    small = {**transfer.SHAPES["xlm-r-base"], "vocab_size": 8000, "hidden_size": 12, "intermediate_size": 8}
    transfer.build(small, tiny, tmp_path)
    setting = Setting(str(tmp_path), "sample", "xnli", rows=32, eval_rows=2)
    figures = ask("benchmarks.trainer_baseline", setting)["figures"]
    assert figures["steps"] == 1
    assert "training, share of fp32 peak" in figures
    with pytest.raises(SystemExit, match="the table has 10"):
        transfer.build({**small, "vocab_size": 10}, tiny, tmp_path)


@pytest.mark.processes
def test_failure_is_shown() -> None:
    with pytest.raises(SystemExit, match=r"(?s)benchmarks.nothing failed:.*No module named"):
        ask("benchmarks.nothing", Setting("", "sample"))


@pytest.mark.processes
def test_growth(tiny: str, tmp_path: Path, capsys) -> None:
    written = tmp_path / "figures.json"
    options = ["--rows", "4", "--eval-rows", "2", "--rounds", "1", "--json", str(written)]
    scaling.main(["--encoder", tiny, "--data", "sample", *options])
    facts = json.loads(written.read_text())
    assert list(facts["training"]) == ["4", "8", "16", "32"]
    assert list(facts["evaluation"]) == ["1", "3", "9", "18"]
    assert [len(facts["evaluation"][count]) for count in facts["evaluation"]] == [1, 1, 1, 1]
    assert facts["evaluation"]["18"][0]["sentences"] == 36
    assert "Tokenising 32 rows" in capsys.readouterr().out


def test_growth_needs_rows(tiny: str) -> None:
    with pytest.raises(SystemExit, match="lower --rows"):
        scaling.main(["--encoder", tiny, "--rows", "100000"])


def test_bf16_and_fp32_in_turn(tiny: str, tmp_path: Path, capsys, monkeypatch) -> None:
    """Each round asks for both, the second one first in every other round; figures of both have one name."""
    asked = []

    def answer(module: str, setting: Setting) -> dict:
        asked.append((module, setting.precision))
        half = setting.precision == "bf16"
        share = {f"training, share of {setting.precision} peak": 0.5, "training, real tokens/s": 30.0 if half else 10.0}
        return {"figures": {**share, "loss, mean of last steps": 2.5 if half else 2.0}}

    monkeypatch.setattr(precision, "ask", answer)
    precision.main(["--encoder", tiny, "--rounds", "2", "--json", str(tmp_path / "figures.json")])
    assert [side for _, side in asked] == ["bf16", "fp32", "fp32", "bf16"]
    assert {module for module, _ in asked} == {"benchmarks.engine"}
    printed = capsys.readouterr().out
    assert printed.startswith("precision auto is fp32: ")
    assert "ratio 3.00 (3.00 to 3.00)" in printed
    assert "loss, mean of last steps: bf16 - fp32 +0.5000" in printed
    written = json.loads((tmp_path / "figures.json").read_text())
    assert [r["training, share of peak"] for r in written["rounds"]["fp32"]] == [0.5, 0.5]
