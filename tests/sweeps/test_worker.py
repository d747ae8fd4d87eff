"""A worker: what it does with a job that ends well, fails, is stopped, or taken over. Its process is a script."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.scripted_child import STARTED, ScriptedChild, job, writing_results
from xglue_harness.errors import SweepError
from xglue_harness.sweeps import worker as module
from xglue_harness.sweeps.attempts import STANDSTILLS, FullDiskError
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.runner import Reply
from xglue_harness.sweeps.states import Progress
from xglue_harness.sweeps.worker import MORE, Stop, Work, work


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(module, "Child", ScriptedChild)
    monkeypatch.setattr(ScriptedChild, "script", writing_results, raising=False)
    monkeypatch.setattr(module, "IDLE", 0.0)
    queue = Queue(tmp_path / "out", pauses=(0,))
    queue.add([job(1), job(2)], store=tmp_path / "store")
    yield queue
    STARTED.clear()


def statuses(queue: Queue) -> list[str]:
    return [state.status for state in queue.states().values()]


def test_jobs_are_done_one_after_the_other_by_one_process(queue: Queue):
    shown: list[Progress] = []
    lines: list[str] = []
    ending = work(queue, tell=lines.append, show=lambda _, progress: shown.append(progress))
    assert ending == Work("finished", ["tiny ner seed 1", "tiny ner seed 2"])
    assert ending.exit_status == 0
    assert statuses(queue) == ["done", "done"]
    [child] = STARTED
    assert child.jobs == ["tiny 1", "tiny 2"]
    assert child.environment["XGLUE_STORE"] == str(queue.store)
    assert all((queue.output / job.folder / "results.json").is_file() for job in queue.jobs())
    assert shown == [Progress("NER: fine-tuning", 1, 2, "step")] * 2
    assert [line.split(":")[1].split()[0] for line in lines] == ["begins", "done"] * 2


def test_a_second_run_does_nothing(queue: Queue):
    work(queue)
    assert work(queue) == Work("finished")
    assert len(STARTED) == 1


def test_an_error_that_would_come_again_fails_one_job_alone(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        if job.seed == 1:
            yield Reply("failed", error="no such model")
        yield from writing_results(child, job)

    monkeypatch.setattr(ScriptedChild, "script", script)
    work(queue)
    states = queue.states()
    assert statuses(queue) == ["failed", "done"]
    assert states[job(1).key].error == "no such model"
    assert [child.jobs for child in STARTED] == [["tiny 1", "tiny 2"]]  # it was foreseen, and the process is sound


def test_a_process_that_is_killed_is_started_anew_as_often_as_allowed(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        if job.seed == 2:
            yield from writing_results(child, job)

    monkeypatch.setattr(ScriptedChild, "script", script)
    work(queue)
    state = queue.states()[job(1).key]
    assert (state.status, state.failures, state.error) == ("failed", 3, "lm_eval's process was ended by SIGKILL")
    assert statuses(queue) == ["failed", "done"]


def test_what_helps_the_second_time_is_done(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        if len(STARTED) == 1:
            yield Reply("failed", error="out of memory", retry=True)
        yield from writing_results(child, job)

    monkeypatch.setattr(ScriptedChild, "script", script)
    work(queue)
    assert statuses(queue) == ["done", "done"]
    assert [child.jobs for child in STARTED] == [["tiny 1"], ["tiny 1", "tiny 2"]]
    assert STARTED[0].killed  # it may be in any state


def test_a_pause_is_waited_for_while_other_jobs_are_done(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    """It ends once the worker says that it waits: nothing else is left, and it was not told to wait for others."""

    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        if len(STARTED) == 1:
            yield Reply("failed", error="out of memory", retry=True)
        yield from writing_results(child, job)

    monkeypatch.setattr(ScriptedChild, "script", script)
    queue.pauses = (3600.0,)
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if line.startswith("waits"):
            os.utime(queue.attempts.end_file(job(1).key, 1, "retry"), (0, 0))

    assert work(queue, tell=hear) == Work("finished", ["tiny ner seed 2", "tiny ner seed 1"], ["tiny ner seed 1"])
    [waits] = [line for line in lines if line.startswith("waits")]
    assert waits == "waits: of the 1 jobs that are left, one that failed is tried again in 3600 s"


def test_a_pause_can_be_stopped(queue: Queue):
    queue.pauses = (3600.0,)
    for _ in range(2):
        claim = queue.claim("other")
        assert claim is not None
        claim.fail("killed", retry=True)
    stop = Stop()
    assert work(queue, stop=stop, tell=lambda line: stop.ask(signal.SIGTERM)).ending == "stopped"
    assert statuses(queue) == ["waiting", "waiting"]


def _training(child: ScriptedChild, _: Job) -> Iterator[Reply | None]:
    """Goes on until it is asked to stop."""
    while not child.stopped:
        yield None
    yield Reply("stopped")


def test_a_signal_stops_it_and_the_job_goes_on_elsewhere(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ScriptedChild, "script", _training)
    stop = Stop()
    ending = work(queue, stop=stop, tell=lambda line: stop.ask(signal.SIGUSR1) if "begins" in line else None)
    assert (ending.ending, ending.exit_status, stop.reason) == ("stopped", MORE, "SIGUSR1")
    assert STARTED[0].stopped
    state = queue.states()[job(1).key]
    assert (state.status, state.failures) == ("waiting", 0)
    monkeypatch.setattr(ScriptedChild, "script", writing_results)
    assert work(queue).ending == "finished"


def test_a_deadline_stops_it(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ScriptedChild, "script", _training)
    stop = Stop(deadline=1e12)

    def begin(line: str) -> None:
        stop.deadline = 0.0

    assert work(queue, stop=stop, tell=begin).ending == "stopped"
    assert stop.reason == "time limit"


def test_cancelling_stops_it(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ScriptedChild, "script", _training)
    ending = work(queue, tell=lambda line: queue.cancel())
    assert (ending.ending, ending.exit_status) == ("cancelled", MORE)
    assert statuses(queue) == ["waiting", "waiting"]


def test_who_does_not_stop_in_time_is_killed_and_its_job_given_back(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def deaf(child: ScriptedChild, _: Job) -> Iterator[Reply | None]:
        while True:
            yield None

    monkeypatch.setattr(ScriptedChild, "script", deaf)
    work(queue, tell=lambda line: queue.cancel(), grace=0.0)
    assert STARTED[0].killed
    assert statuses(queue) == ["waiting", "waiting"]


def test_ctrl_c_a_second_time_does_not_wait(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def deaf(child: ScriptedChild, _: Job) -> Iterator[Reply | None]:
        while True:
            stop.ask(signal.SIGINT)
            yield None

    stop = Stop()
    monkeypatch.setattr(ScriptedChild, "script", deaf)
    assert work(queue, stop=stop, grace=1e6).ending == "stopped"
    assert STARTED[0].killed
    assert statuses(queue) == ["waiting", "waiting"]


def test_a_worker_whose_claim_was_taken_over_writes_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        if job.seed == 1:
            queue.attempts.take(job.key, 2, {"worker": "another"})
        yield from writing_results(child, job)

    monkeypatch.setattr(ScriptedChild, "script", script)
    assert work(queue).ending == "nothing left"
    assert STARTED[0].killed
    assert not (queue.output / job(1).folder).exists()
    assert statuses(queue) == ["running", "done"]


def test_a_full_disk_ends_the_worker_and_fails_no_job(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        yield Reply("failed", error="cannot write x (No space left on device)", is_full=True)

    monkeypatch.setattr(ScriptedChild, "script", script)
    with pytest.raises(FullDiskError, match=r"seed 1: cannot write x .*make room"):
        work(queue)
    assert statuses(queue) == ["waiting", "waiting"]
    assert queue.states()[job(1).key].failures == 0


def test_lm_eval_that_cannot_start_fails_no_job(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ScriptedChild, "starts", False)
    with pytest.raises(SweepError, match=r"can't be started: .*: ImportError: no lm_eval"):
        work(queue)
    assert statuses(queue) == ["waiting", "waiting"]


def test_it_waits_for_what_others_have_and_takes_over(queue: Queue):
    other = queue.claim("other")
    assert other is not None
    assert work(queue).ending == "nothing left"

    def lose(line: str) -> None:
        """The other is lost while this one has its last job."""
        if "done" in line:
            queue.attempts.drop(other.job.key, other.attempt)

    queue.add([job(1), job(2), job(3)])
    assert work(queue, wait=True, tell=lose).done == ["tiny ner seed 3", "tiny ner seed 1"]


def test_who_waits_says_so_once(queue: Queue):
    others = [queue.claim("other"), queue.claim("other")]
    stop, lines = Stop(), []

    def hear(line: str) -> None:
        lines.append(line)
        if line.endswith("the 2 jobs that are left"):
            assert others[0] is not None
            others[0].fail("bad", retry=False)
        else:
            stop.ask(signal.SIGTERM)

    assert work(queue, wait=True, tell=hear, stop=stop).ending == "stopped"
    assert lines == [f"waits: other workers have the {left} jobs that are left" for left in (2, 1)]


@pytest.mark.parametrize("keep", [True, False])
def test_encoders_are_kept_or_removed_once_their_job_is_done(
    keep: bool, queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Those of this job alone; what it has found in the store was another's."""
    store = tmp_path / "store"

    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        key = f"{job.seed}" * 32
        (store / "entries" / key).mkdir(parents=True)
        (store / "entries" / key / "epoch-1.0.safetensors").touch()
        record = {"session": {"from_store": job.seed == 2}, "training": {"store_key": key}}
        prompted = {"metadata": {"xglue": {"protocol": "prompt"}}}
        configs = {"xglue_ner_zs_de": {"metadata": {"xglue": record}}, "another": {}, "prompted": prompted}
        (child.output / "x").mkdir()
        (child.output / "x" / "results_1.json").write_text(json.dumps({"configs": configs}))
        yield Reply("done")

    monkeypatch.setattr(ScriptedChild, "script", script)
    queue.add([job(1), job(2)], store=store, keep_encoders=keep)
    work(queue)
    assert statuses(queue) == ["done", "done"]
    left = sorted(path.name[0] for path in (store / "entries").iterdir())
    assert left == (["1", "2"] if keep else ["2"])


def test_signals_are_heeded_and_given_back():
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with stop.heeding_signals():
        signal.raise_signal(signal.SIGTERM)
    assert (stop.why(), stop.is_urgent) == ("SIGTERM", False)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a system without hang-ups")
def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    stop = Stop()
    try:
        with stop.heeding_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stop.why() is None


def _stopped_after(progress: Progress):
    def script(child: ScriptedChild, _: Job) -> Iterator[Reply | None]:
        yield Reply("running", progress)
        while not child.stopped:
            yield None
        yield Reply("stopped")

    return script


@pytest.mark.parametrize(
    ("progress", "reason", "last"),
    [
        (Progress("loading lm_eval"), "SIGUSR1", "failed"),
        (Progress("NER: fine-tuning", 20, 90, "step"), "time limit", "failed"),  # resumed, and no step further
        (Progress("NER: fine-tuning", 20, 90, "step", 2.0), "time limit", "waiting"),
        (Progress("loading lm_eval"), "SIGINT", "waiting"),  # a person's wish is no limit
    ],
)
def test_a_job_whose_time_is_always_up_before_a_step_fails(queue: Queue, monkeypatch, progress, reason, last):
    queue.add([job(1)])
    monkeypatch.setattr(ScriptedChild, "script", _stopped_after(progress))
    seen = []
    for _ in range(STANDSTILLS):
        stop = Stop()
        work(queue, stop=stop, show=lambda *_, stop=stop: setattr(stop, "reason", reason))
        seen += statuses(queue)
    assert seen == ["waiting"] * (STANDSTILLS - 1) + [last]
    error = queue.states()[job(1).key].error
    assert (error or "").endswith("--retry-failed`") == (last == "failed")
