"""What has become of a job, read from the files of its attempts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xglue_harness.sweeps.attempts import Attempt, Attempts, content

Status = Literal["waiting", "running", "lost", "done", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        what: it does now, as ``XNLI: fine-tuning``.
        done: units that are done.
        total: units there are; ``None`` where nobody knows.
        unit: ``step``, ``batch``, ...
        per_second: units.
    """

    what: str
    done: float = 0
    total: float | None = None
    unit: str = ""
    per_second: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until all of its units are done."""
        if self.total is None or not self.per_second:
            return None
        return max(0.0, self.total - self.done) / self.per_second


@dataclass(frozen=True)
class JobState:
    """What has become of a job.

    Attributes:
        status: ``lost`` is a claim whose pulse has stopped: the next worker takes it over.
        attempt: number of the last one; 0 before the first.
        failures: attempts that failed or were lost, of as many as the sweep's ``attempts`` allow.
        worker: that has it, or had it last.
        host: the worker's machine.
        seconds: that the attempt has been running, or took; unknown for jobs that are done (`Queue.facts` has it).
        progress: of a running job, where it has told.
        error: of a failed job, in a line; of a waiting one, what went wrong the last time.
        log: of the last attempt.
        due_in: seconds until a waiting job may be tried again, where it pauses after a failure.
    """

    status: Status
    attempt: int = 0
    failures: int = 0
    worker: str | None = None
    host: str | None = None
    seconds: float | None = None
    progress: Progress | None = None
    error: str | None = None
    log: Path | None = None
    due_in: float | None = None


def state_of(files: Attempts, key: str, last: Attempt, *, lost: bool, due_in: float = 0.0) -> JobState:
    """What has become of a job.

    Args:
        files: of all attempts.
        key: the job's.
        last: the last attempt at it.
        lost: whether that has no pulse any more.
        due_in: seconds until the next one may begin.
    """
    number, end = last.number, last.end
    if number == 0:
        return JobState("waiting")
    state = JobState("waiting", number, last.failures, log=files.log(key, number))
    if end == "done":
        return replace(state, status="done")
    facts = content(files.claim_file(key, number) if end is None else files.end_file(key, number, end))
    state = replace(state, worker=facts.get("worker"), host=facts.get("host"))
    if end is not None:
        status: Status = "failed" if end == "failed" else "waiting"
        state = replace(state, status=status, seconds=facts.get("seconds"), error=facts.get("error"))
        return replace(state, due_in=due_in) if due_in > 0 else state
    began, told = facts.get("began"), content(files.progress_file(key, number))
    return replace(
        state,
        status="lost" if lost else "running",
        seconds=None if began is None else time.time() - began,
        progress=Progress(**told) if told else None,
    )
