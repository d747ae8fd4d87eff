"""A run of lm_eval as the GPU benchmark starts it, and what its records must say."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from typing import Any

import pytest

from benchmarks.gpu import whole_run
from benchmarks.gpu.whole_run import leaves, records, verdict
from benchmarks.workload import Setting
from xglue_harness.harness.demo import build_encoder

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder)
    setting = Setting(str(folder), "sample", "xnli", rows=32)
    assert leaves(setting) == ["xglue_xnli_zs_en", "xglue_xnli_zs_ar"]
    return records(setting, limit=16)


def test_a_run_has_all_that_a_check_looks_at(found: dict[str, Any]) -> None:
    holds, figures, note = verdict(found, "cpu")
    assert holds
    assert figures["numbers of diagnostics"] >= 14
    assert note.startswith("eager: the device is no CUDA GPU")


@pytest.mark.parametrize(
    ("change", "device"),
    [
        (lambda training, _: None, "cuda"),
        (lambda training, _: training["steps_cost"].update(peak_memory_mb=None), "cpu"),
        (lambda _, diagnostics: diagnostics["metrics"].clear(), "cpu"),
        (lambda _, diagnostics: next(iter(diagnostics["metrics"].values())).update(value=float("nan")), "cpu"),
    ],
)
def test_a_check_fails_where_something_is_missing(found: dict[str, Any], change: Any, device: str) -> None:
    changed = deepcopy(found)
    for record in changed.values():
        change(record["training"], record["diagnostics"])
    assert not verdict(changed, device)[0]


def test_a_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess([], 2, "", "a warning\nxglue-harness: no such checkpoint")
    monkeypatch.setattr(whole_run.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(RuntimeError, match=r"^ended with code 2: a warning\nxglue-harness: no such checkpoint$"):
        records(Setting("nowhere", "sample", "xnli", rows=32), limit=16)
