"""The process that runs lm_eval on job after job: what it makes is what plain lm_eval makes, to the bit."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.sweeps import facts
from tests.helpers.runs import QUICK
from xglue_harness import interrupt
from xglue_harness.errors import DataError, RecipeError, StoreError, TrainingError
from xglue_harness.harness.demo import build_encoder
from xglue_harness.recipe import parse_options
from xglue_harness.records.results_files import predictions_of, read_runs
from xglue_harness.sweeps import runner
from xglue_harness.sweeps.child import Child
from xglue_harness.sweeps.jobs import Job, arguments
from xglue_harness.sweeps.runner import Reply, Request, judged


def job(encoder: Path, seed: int, **options: Any) -> Job:
    metadata = {**QUICK, "dropout": 0.1, **options}
    return Job("tiny", "qam", ("de", "en", "fr"), seed, "hf-encoder", {"pretrained": str(encoder)}, metadata, "cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder)
    return folder


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child({"XGLUE_STORE": str(tmp_path / "store")}, tmp_path / "start.log")
    yield child
    child.kill()


def _end(child: Child) -> Reply:
    while True:
        reply = child.hear(100)
        assert reply is not None
        if reply.how not in ("ready", "running"):
            return reply


@pytest.mark.processes
def test_results_are_those_of_plain_lm_eval(encoder: Path, child: Child, tmp_path: Path):
    """Of a third job as well, which finds the process warm: no failure and no other seed leaves anything behind."""
    plain = [str(Path(sys.executable).parent / "lm_eval"), *arguments(job(encoder, 2), tmp_path / "plain")]
    beside = subprocess.Popen(
        plain, env={**os.environ, "XGLUE_STORE": str(tmp_path / "other")}, stderr=subprocess.PIPE, text=True
    )
    lacking = arguments(job(tmp_path / "gone", 1), tmp_path / "0")
    child.send(Request(tuple(lacking), str(tmp_path / "0.log")))
    failed = _end(child)
    assert (failed.how, failed.retry, failed.is_full) == ("failed", False, False)
    assert "gone" in failed.error
    assert "Traceback" in (tmp_path / "0.log").read_text()
    for seed in (1, 2):
        child.send(Request(tuple(arguments(job(encoder, seed), tmp_path / f"{seed}")), str(tmp_path / f"{seed}.log")))
        assert _end(child) == Reply("done")
    _, said = beside.communicate()
    assert beside.returncode == 0, said
    warm = facts(tmp_path / "2")
    assert warm == facts(tmp_path / "plain")
    assert warm["predictions"] != facts(tmp_path / "1")["predictions"]
    assert [len(predictions_of(run).rows) for run in read_runs([tmp_path / "2"])] == [60, 60, 60]
    log = (tmp_path / "2.log").read_text()
    assert log.startswith("$ lm_eval --model hf-encoder")
    assert "QAM: kept in the store" in log
    assert "Loading weights" not in log  # they were kept


@pytest.mark.processes
def test_a_stop_leaves_a_checkpoint(encoder: Path, child: Child, tmp_path: Path):
    long = job(encoder, 1, epochs=1000)
    child.send(Request(tuple(arguments(long, tmp_path / "out")), str(tmp_path / "log")))
    while (reply := child.hear(100)) is None or reply.progress is None or reply.progress.unit != "step":
        assert reply is None or reply.how in ("ready", "running")
    assert reply.progress.total == 2000
    child.stop()
    assert _end(child) == Reply("stopped")
    [progress] = (tmp_path / "store" / "working").glob("*/progress.json")
    assert json.loads(progress.read_text())["counters"]["step"] > 0
    assert not (tmp_path / "out").exists()


def test_an_interrupt_that_a_library_makes_an_error_of_is_a_stop(monkeypatch: pytest.MonkeyPatch):
    class Interrupted:
        def run(self, arguments: object) -> None:
            try:
                interrupt.request_stop()
            except KeyboardInterrupt:
                raise ValueError("could not determine the shape of object type") from None

    monkeypatch.setattr(interrupt, "_stop", interrupt._Stop())
    monkeypatch.setattr(runner, "_redirect", lambda log: None)
    assert runner._run(Interrupted(), Request((), "")) == Reply("stopped")


@pytest.mark.processes
def test_it_ends_with_its_worker(encoder: Path, tmp_path: Path):
    """Though nobody can tell it: the job of a killed worker must not go on."""
    code = (
        "import sys, time; from pathlib import Path; from xglue_harness.sweeps.child import Child; "
        "from xglue_harness.sweeps.runner import Request; "
        f"child = Child({{}}, Path({str(tmp_path / 'log')!r})); print(child.pid, flush=True); time.sleep(1000)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    _wait_for_end(pid)


def _wait_for_end(pid: int) -> None:
    import time

    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)


def _raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


FULL = OSError(errno.ENOSPC, "No space left on device")
CASES: list[tuple[BaseException, Mapping[str, Any]]] = [
    (DataError("no such file"), {"error": "no such file", "retry": False}),
    (_raised(StoreError("cannot write"), FULL), {"error": "cannot write", "retry": False, "is_full": True}),
    (FULL, {"error": "OSError: [Errno 28] No space left on device", "retry": True, "is_full": True}),
    (_raised(TrainingError("out of memory"), torch.OutOfMemoryError("x")), {"error": "out of memory", "retry": True}),
    (TrainingError("the loss is nan"), {"error": "the loss is nan", "retry": False}),
    (RuntimeError("CUDA error\nlaunch failure"), {"error": "RuntimeError: CUDA error launch failure", "retry": True}),
    (ConnectionError(), {"error": "ConnectionError: no message", "retry": True}),
    (SystemExit(2), {"error": "lm_eval refuses its arguments; the log says which", "retry": False}),
]


@pytest.mark.parametrize(("error", "said"), CASES)
def test_what_an_error_says(error: BaseException, said: Mapping[str, Any]):
    assert judged(error) == Reply("failed", **said)


@pytest.mark.parametrize("offline", [False, True])
def test_a_connection_that_broke_is_tried_again(offline: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    assert judged(_raised(DataError("the Hub can't be reached"), TimeoutError())).retry is not offline


def test_the_reason_is_the_line_below_the_list_of_options():
    with pytest.raises(RecipeError) as found:
        parse_options({"epoch": 3})
    assert judged(found.value).error == "unknown option 'epoch' (did you mean 'epochs'?) in --metadata"


def test_requests_and_replies_travel_as_lines():
    request = Request(("--tasks", "x"), "/log")
    assert Request.read(request.line()) == request
    for reply in (Reply("ready"), judged(DataError("a\nb"))):
        assert Reply.read(reply.line()) == reply
        assert reply.line().count("\n") == 1
