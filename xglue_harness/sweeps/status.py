"""What `sweep status` shows: how a sweep stands, from the queue's files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.states import JobState, Progress

ORDER = ("running", "lost", "failed", "waiting", "done")
"""Of what is shown: what people look for comes first."""


UNITS = {"step": " steps", "ex": " examples"}
"""What the bars of a run count, in words."""


@dataclass(frozen=True)
class Standing:
    """How a sweep stands.

    Attributes:
        jobs: all of it, with what has become of each, in the order in which they are shown.
        is_cancelled: whether workers are asked to stop.
    """

    jobs: Sequence[tuple[Job, JobState]]
    is_cancelled: bool

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by status; a status without any is left out."""
        found: Counter[str] = Counter(state.status for _, state in self.jobs)
        return {status: found[status] for status in ORDER if found[status]}

    def line(self) -> str:
        """In a line: ``3 running, 1 failed, 20 of 24 done``."""
        counts = {**self.counts}
        done = counts.pop("done", 0)
        parts = [*(f"{count} {status}" for status, count in counts.items()), f"{done} of {len(self.jobs)} done"]
        return ", ".join(parts) + (" (cancelled: `sweep run` goes on)" if self.is_cancelled else "")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        jobs = [
            {
                "name": job.name,
                "key": job.key,
                "backbone": job.backbone,
                "task": job.task,
                "seed": job.seed,
                **asdict(state),
                "log": state.log and str(state.log),
                "seconds_left": state.progress and state.progress.seconds_left,
            }
            for job, state in self.jobs
        ]
        return {"counts": self.counts, "cancelled": self.is_cancelled, "jobs": jobs}


def standing(queue: Queue) -> Standing:
    """How a sweep stands.

    Raises:
        SweepError: where no sweep was begun.
    """
    states = queue.states()
    jobs = [(job, states[job.key]) for job in queue.jobs()]
    return Standing(sorted(jobs, key=lambda pair: ORDER.index(pair[1].status)), queue.is_cancelled)


def told(progress: Progress | None) -> str:
    """How far a job is: ``XNLI: fine-tuning: 120 of 2000 steps, 3.1 a second``."""
    if progress is None:
        return ""
    if progress.total is None:
        return progress.what
    units = UNITS.get(progress.unit, "")
    speed = f", {progress.per_second:.3g} a second" if progress.per_second else ""
    return f"{progress.what}: {progress.done:g} of {progress.total:g}{units}{speed}"


def span(seconds: float | None) -> str:
    """A time as people read it: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
