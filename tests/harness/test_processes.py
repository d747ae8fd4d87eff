"""Several processes: they train once, together, and give the scores of one; killed ones are taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.process import Run, command
from tests.helpers.runs import QUICK
from tests.helpers.torchrun import two_processes
from xglue_harness.errors import EncoderError
from xglue_harness.harness.processes import prepare_multiprocess
from xglue_harness.records import predictions
from xglue_harness.records.parts import comparable
from xglue_harness.records.prediction_cache import saved_predictions
from xglue_harness.store.trainings import Store, read_entry

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {
    **QUICK,
    "epochs": 3,
    "train_limit": 75,
    "dropout": 0,
    "dev": "en",
    "diagnostics": ["cka", "spectra", "trajectory"],
    "keep_epochs": "all",
}
LEAVES = ["xglue_pos_zs_th", "xglue_xnli_zs_sw", "xglue_wpr_zs_de"]
# Two processes can't share the 31 documents of a run evenly.


def _run(encoder: Path, folder: Path, name: str, **changes: Any) -> Run:
    encoding = Run("hf-encoder", str(encoder), str(folder / f"store-{name}"), str(folder / name), LEAVES, OPTIONS)
    return replace(encoding, **changes)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "TOKENIZERS_PARALLELISM": "false"}


def _here(run: Run) -> dict[str, Any]:
    """The results of a run in this process, which is left as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_STORE", run.store)
        for name, value in _environment().items():
            patch.setenv(name, value)
        found = run.here()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    return _here(_run(tiny, tmp_path_factory.mktemp("alone"), "alone"))


@pytest.fixture(scope="module")
def together(tiny, decoder, tmp_path_factory):
    """Runs of two processes, by name: they make one after the other, as a Python program may."""
    folder = tmp_path_factory.mktemp("together")
    runs = {
        "hf-encoder": _run(tiny, folder, "hf-encoder"),
        "hf": _run(tiny, folder, "hf", model="hf", tasks=LEAVES[:1]),
        "prompt": _run(decoder, folder, "prompt", model="hf", metadata={"data": "sample"}),
    }
    two_processes(command(list(runs.values())), env=_environment())
    return runs


@pytest.mark.parametrize("model", ["hf-encoder", "hf"])
def test_two_processes_give_the_scores_of_one(model, alone, together):
    run = together[model]
    both = run.results()
    for leaf in run.tasks:
        one, two = (found["configs"][leaf]["metadata"]["xglue"] for found in (alone, both))
        assert two["training"]["world_size"] == 2
        assert two["training"]["store_key"] == one["training"]["store_key"]
        assert two["training"]["final_loss"] == pytest.approx(one["training"]["final_loss"], abs=1e-6)
        curves = [run["training"]["curve"] for run in (one, two)]
        assert curves[1]["step"] == curves[0]["step"] != []
        for name, values in curves[0].items():
            assert curves[1][name] == pytest.approx(values, rel=1e-4), name
        assert both["results"][leaf]["score,none"] == pytest.approx(alone["results"][leaf]["score,none"], abs=1e-6)
        for rule in ("en_dev", "average"):
            scores = [run["selection"]["scores"][rule]["score"] for run in (one, two)]
            assert scores[1] == pytest.approx(scores[0], abs=1e-6), rule
        assert two["training"]["epochs"] == one["training"]["epochs"]
        found = [run["diagnostics"]["metrics"] for run in (one, two)]
        assert found[0].keys() == found[1].keys() >= {"cka_pretrained", "sigma_distance"}
        for name, metric in found[0].items():
            assert found[1][name]["value"] == pytest.approx(metric["value"], abs=1e-4), name
        language = one["target_language"]
        by_epoch = [run["diagnostics"]["details"]["trajectory"][language]["points"] for run in (one, two)]
        assert len(by_epoch[0]) == (7 if leaf == "xglue_xnli_zs_sw" else 3)
        for point, other in zip(*by_epoch, strict=True):
            assert (other["measure"], other["epoch"], other["n"]) == (point["measure"], point["epoch"], point["n"])
            assert other["cka"] == pytest.approx(point["cka"], abs=1e-4)
        counts = ("documents", "real_tokens", "truncated", "missing_words")
        assert [two["evaluation"][name] for name in counts] == [one["evaluation"][name] for name in counts]
        documents = [sample["doc_id"] for sample in both["samples"][leaf]]
        assert sorted(documents) == list(range(len(alone["samples"][leaf])))
    assert len(Store(Path(run.store)).folders("entries")) == len(run.tasks)


def test_two_processes_prompt_with_the_answers_of_one(decoder, together, tmp_path):
    run = together["prompt"]
    found = [_here(replace(run, out=str(tmp_path / "one"))), run.results()]
    for leaf in LEAVES:
        one, two = (run["configs"][leaf]["metadata"]["xglue"] for run in found)
        assert two["protocol"] == "prompt"
        kept = [predictions.read(saved_predictions(record["predictions"]["sha256"])) for record in (one, two)]
        assert kept[0].rows == kept[1].rows
        assert kept[0].predictions == kept[1].predictions
        for part in ("data", "model", "prompt", "evaluation", "flags"):
            assert one[part] == two[part]
        for name, value in found[0]["results"][leaf].items():
            assert found[1]["results"][leaf][name] == pytest.approx(value, abs=1e-9), name


def _killed(run: Run, when) -> None:
    whole = [sys.executable, *command([run])]
    process = subprocess.Popen(whole, cwd=ROOT, env=_environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 600
    while not when(Path(run.store)):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _writes_a_checkpoint(store):
    return any(store.glob("working/*/.checkpoint-[5-9]*.tmp"))


def _has_finished_one_task(store):
    return any(store.glob("entries/*"))


@pytest.mark.parametrize("when", [_writes_a_checkpoint, _has_finished_one_task])
def test_a_killed_run_goes_on_and_ends_with_the_same_results(when, alone, tiny, tmp_path):
    """More moments, at random: python -m benchmarks.crash_recovery."""
    run = _run(tiny, tmp_path, "killed", metadata={**OPTIONS, "checkpoint_minutes": 0})
    _killed(run, when)
    assert not Path(run.out).exists()
    resumed = _here(run)
    assert resumed["results"] == alone["results"]
    for leaf in LEAVES:
        one, other = (run["configs"][leaf]["metadata"]["xglue"] for run in (alone, resumed))
        assert comparable(one) == comparable(other)
        assert [s["resps"] for s in resumed["samples"][leaf]] == [s["resps"] for s in alone["samples"][leaf]]
    sessions = [resumed["configs"][leaf]["metadata"]["xglue"]["session"] for leaf in LEAVES]
    assert any(session["from_store"] or session["resumed_from_step"] for session in sessions)
    assert all(read_entry(folder).problems() == [] for folder in Store(Path(run.store)).folders("entries"))


def test_one_of_several_that_does_not_know_its_gpu_says_so(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert prepare_multiprocess()  # a variable of a job's script, perhaps: it was not started as one of several
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(
        EncoderError, match=r"this is process 1 of 2, and LOCAL_RANK, .* is not set: start with torchrun"
    ):
        prepare_multiprocess()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert prepare_multiprocess()
