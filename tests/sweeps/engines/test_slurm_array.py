"""What happens to an array costs no job: preemptions, time limits, lost nodes."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.sweeps.slurm.stand_in import Cluster
from tests.sweeps.stubs import Stub
from xglue_harness.sweeps.engines import slurm
from xglue_harness.sweeps.engines.slurm import SlurmOptions, submit
from xglue_harness.sweeps.queue import Claim, Queue
from xglue_harness.sweeps.worker import Stop

pytestmark = pytest.mark.processes

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'xglue-harness[cluster]'")


def test_submission_returns_at_once(start, stub: Stub):
    """Whatever there is to do: the tasks have not even begun to work."""
    cluster = start()
    submission = submit(stub.queue, SlurmOptions(workers=2))
    assert submission.workers == len(cluster.jobs()) == 2
    assert stub.finished() == []
    assert {state.status for state in stub.queue.states().values()} == {"waiting"}


def test_the_array_does_all_jobs(start, stub: Stub):
    cluster = start()
    array = submit(stub.queue, SlurmOptions(workers=2)).array
    workers = stub.wait_for("running", 2)
    assert sorted(workers) == [f"slurm-{array}_0", f"slurm-{array}_1"]
    assert {state["state"] for state in cluster.wait(60).values()} == {"COMPLETED"}
    stub.check()


def _history(cluster: Cluster, job: str) -> list[str]:
    """The states that a task has had; it may be gone before Slurm has ended it."""
    return [state for state in cluster.jobs()[job]["history"] if state != "COMPLETING"]


def test_a_preempted_task_goes_back_into_the_queue_and_its_job_goes_on(start, long_stub: Stub):
    cluster = start()
    array = submit(long_stub.queue, SlurmOptions()).array
    long_stub.wait_for_checkpoint()
    cluster.preempt(array)
    cluster.wait(60)
    assert _history(cluster, array) == ["RUNNING", "REQUEUED", "PENDING", "RUNNING", "COMPLETED"]
    assert not long_stub.finished()[0].endswith(" from 0")
    long_stub.check()


def test_a_job_longer_than_the_time_limit_spans_several(start, long_stub: Stub, monkeypatch):
    monkeypatch.setenv("STUB_STEPS", "200")
    cluster = start(minute=8.0)  # of three minutes, the signal comes after one
    array = submit(long_stub.queue, SlurmOptions(time="3")).array
    cluster.wait(120)
    history = _history(cluster, array)
    assert history[:4] == ["RUNNING", "REQUEUED", "PENDING", "RUNNING"]
    assert history[-1] == "COMPLETED"
    assert "TIMEOUT" not in history
    assert not long_stub.finished()[0].endswith(" from 0")
    long_stub.check()


def test_the_task_of_a_lost_node_starts_again(start, stub: Stub):
    cluster = start()
    array = submit(stub.queue, SlurmOptions(workers=2)).array
    stub.wait_for("running", 2)
    stub.wait_for_checkpoint()
    cluster.lose_node(f"{array}_1")
    cluster.wait(60)
    assert _history(cluster, f"{array}_1") == ["RUNNING", "NODE_FAIL", "PENDING", "RUNNING", "COMPLETED"]
    stub.check()


def test_a_cancelled_task_stays_cancelled_and_gives_its_job_back(start, long_stub: Stub):
    cluster = start()
    array = submit(long_stub.queue, SlurmOptions()).array
    long_stub.wait_for_checkpoint()
    subprocess.run(["scancel", array], check=True)
    cluster.wait(20)
    assert _history(cluster, array) == ["RUNNING", "CANCELLED"]
    (state,) = long_stub.queue.states().values()
    assert (state.status, state.failures) == ("waiting", 0)


def test_a_cancelled_sweep_leaves_slurms_queue(start, stub: Stub):
    cluster = start()
    array = submit(stub.queue, SlurmOptions(workers=2)).array
    stub.wait_for("running", 2)
    assert sorted(slurm.waiting_and_running(stub.queue)) == [f"{array}_0", f"{array}_1"]
    stub.queue.cancel()
    cluster.wait(20)
    assert slurm.waiting_and_running(stub.queue) == []
    assert {state["state"] for state in cluster.jobs().values()} == {"COMPLETED"}


def test_a_task_that_waits_is_taken_back(start, stub: Stub):
    cluster = start(minute=600.0)  # what is requeued waits for twenty seconds
    array = submit(stub.queue, SlurmOptions(workers=1)).array
    stub.wait_for("running", 1)
    cluster.lose_node(array)
    while cluster.jobs()[array]["state"] != "PENDING":
        time.sleep(0.05)
    slurm.cancel_waiting(stub.queue)
    assert cluster.wait(5)[array]["state"] == "CANCELLED"


@pytest.mark.parametrize(
    ("signal", "state", "expected"),
    [
        ("SIGUSR1", "COMPLETING", True),
        ("SIGTERM", "RUNNING", True),
        ("SIGTERM", "COMPLETING", False),
        ("SIGINT", "RUNNING", False),
    ],
)
def test_what_goes_back_into_the_queue(tmp_path: Path, monkeypatch, signal: str, state: str, expected: bool):
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho {state}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert slurm.requeues("7_1", signal) is expected


def _claimed_elsewhere(stub: Stub) -> Claim:
    """The one job, in the hands of a worker that is alive as far as this machine can tell."""
    claim = stub.queue.claim("elsewhere")
    assert claim is not None
    return claim


def test_a_task_waits_for_what_another_may_have_lost(long_stub: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm, "IDLE", 0.1)
    monkeypatch.setenv("STUB_STEPS", "1")
    _claimed_elsewhere(long_stub)
    assert slurm._patiently(Queue(long_stub.queue.output, lost_seconds=2.0), "here", Stop()) == "finished"
    long_stub.check()


def test_a_task_does_not_wait_for_others_to_end(long_stub: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm, "IDLE", 0.1)
    monkeypatch.setattr(slurm, "PATIENCE", 0.0)
    _claimed_elsewhere(long_stub)
    assert slurm._patiently(long_stub.queue, "here", Stop()) == "nothing left"
    assert long_stub.finished() == []
