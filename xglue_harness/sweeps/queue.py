"""The queue of a sweep: files in a shared folder, which any number of workers on any number of machines take jobs from.

All files lie in ``<output>/.sweep``:

- ``jobs.json``: the jobs, the longest first.
- ``claims/<key>.<n>``: the claim of attempt n. Its holder touches it while it works: its time of change is its pulse.
- ``claims/<key>.<n>.<end>``: how that attempt ended (`xglue_harness.sweeps.attempts.End`).
- ``progress/<key>.<n>``: how far it is.
- ``work/<key>.<n>``: its results while they are made; they appear in the output by one rename.
- ``logs/<key>.<n>.log``: what its lm_eval said.
- ``cancelled``: there while workers are asked to stop.

A claim without an end whose pulse has stopped is lost: its worker was killed, or its machine. Whoever makes the claim
of attempt n + 1 takes over, and only one can; a worker that finds such a claim beside its own stops, and
writes nothing.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xglue_harness.atomic import flush_folder
from xglue_harness.errors import SweepError
from xglue_harness.sweeps.attempts import Attempt, Attempts, End, FullDiskError, content, whoami
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.jobs_file import JobsFile, Known
from xglue_harness.sweeps.states import JobState, Progress, state_of

FOLDER = ".sweep"
"""The queue's folder in a sweep's output."""

LOST_SECONDS = 180.0
"""After how long without a pulse a claim is lost: three times as long as NFS may keep a file's old time."""

WORTH_STAYING = 0.5
"""A worker stays with its backbone while that has a job of at least this share of the longest one that waits."""

PAUSES = (30.0, 120.0, 600.0)
"""Seconds before a job that failed is tried again: after its first failure, its second, and every later one. What other
programs did to it (memory, a connection) may be over by then."""


class LostClaimError(SweepError):
    """Another worker has taken a claim over, since its pulse had stopped."""


class Queue:
    """The jobs of one sweep and their claims; safe for any number of processes and machines."""

    def __init__(self, output: Path, *, lost_seconds: float = LOST_SECONDS, pauses: Sequence[float] = PAUSES) -> None:
        """Know the place; nothing is written before jobs are added.

        Args:
            output: of the sweep; results appear in it.
            lost_seconds: after how long without a pulse a claim is lost. Workers must beat several times in it.
            pauses: seconds before another try, after the first failure of a job that is claimed here, the second, ...;
                the last holds for all later ones.
        """
        self.output, self.folder, self.pauses = output, output / FOLDER, tuple(pauses)
        self.attempts = Attempts(self.folder, lost_seconds)
        self._file = JobsFile(self.folder / "jobs.json")

    # ---------------------------------------------------------------- jobs

    def add(
        self,
        jobs: Sequence[Job],
        *,
        source: Path | None = None,
        attempts: int = 3,
        store: Path | None = None,
        keep_encoders: bool = True,
    ) -> None:
        """Let workers have these jobs, and no others; what is done, running or failed of them stays so.

        Args:
            jobs: in the order in which they are to be taken.
            source: the sweep's file. One output is one file's.
            attempts: how often a job is tried before it has failed.
            store: of fine-tuned encoders, for all workers; by default each one's own.
            keep_encoders: whether an encoder stays there once its job is done.

        Raises:
            SweepError: where the output is another file's, or can't be written.
        """
        other = self._file.source()
        if source is not None and other not in (None, source) and other.exists():
            raise SweepError(f"{self.output}: is the output of {other}; give {source} an output of its own")
        with self.attempts.writing():
            self.attempts.make_folders()
            self._file.write(Known(jobs, attempts, store, keep_encoders, source))

    def jobs(self) -> Sequence[Job]:
        """All jobs, in the order in which they are taken.

        Raises:
            SweepError: where there is no queue yet, or its file is damaged.
        """
        return self._file.read().jobs

    @property
    def most_attempts(self) -> int:
        """How often a job is tried before it has failed."""
        return self._file.read().attempts

    @property
    def store(self) -> Path | None:
        """The store of fine-tuned encoders that all workers share; ``None``: each has its own."""
        return self._file.read().store

    @property
    def keep_encoders(self) -> bool:
        """Whether fine-tuned encoders stay in the store once their job is done."""
        return self._file.read().keep_encoders

    # ---------------------------------------------------------------- claims

    def claim(
        self, worker: str, *, prefer_backbone: str | None = None, fits: Callable[[Job], bool] | None = None
    ) -> Claim | None:
        """The next job that waits or was lost, taken for this worker; ``None`` where there is none.

        One that pauses after a failure is left out (`next_try`).

        Args:
            worker: its name, by which `states` tells it from others.
            prefer_backbone: that the worker has loaded; its jobs come first unless another is far longer.
            fits: whether a job may run here, where the worker is choosy.

        Raises:
            SweepError: where the queue can't be written.
        """
        jobs, most = self.jobs(), self.most_attempts
        last = self.attempts.last()
        lost = self.attempts.lost(last)
        pausing = {key for key, seconds in self.attempts.due(last).items() if seconds > 0}
        owner = {"worker": worker, **whoami(), "began": time.time()}
        ready = [job for job in jobs if job.key in lost or (job.key not in pausing and _is_free(last.get(job.key)))]
        free = [job for job in ready if fits is None or fits(job)]
        for job in _in_order(free, prefer_backbone):
            before = last.get(job.key, Attempt())
            failures = before.failures + (job.key in lost)
            is_done = (self.output / job.folder).is_dir()  # a worker was killed between the rename and the note of it
            if failures >= most and not is_done:
                facts = {**content(self.attempts.claim_file(job.key, before.number)), "error": _vanished(failures)}
                self.attempts.end(job.key, before.number, "failed", facts)
            elif self.attempts.take(job.key, before.number + 1, owner):
                claim = Claim(self, job, before.number + 1, owner)
                if not claim.results.is_dir():
                    return claim
                claim.end("done", {})
        return None

    def next_try(self, fits: Callable[[Job], bool] | None = None) -> float | None:
        """Seconds until the first of the jobs that pause after a failure may be claimed; 0 or less: now.

        Args:
            fits: as in `claim`.

        Returns:
            ``None`` where no job waits for another try.
        """
        due = self.attempts.due(self.attempts.last())
        return min(
            (due[job.key] for job in self.jobs() if job.key in due and (fits is None or fits(job))), default=None
        )

    def states(self) -> dict[str, JobState]:
        """By key, what has become of each job.

        One look at the names of files; only those of jobs that run, failed or wait for another attempt are opened.
        """
        last = self.attempts.last()
        lost, due = self.attempts.lost(last, only_looking=True), self.attempts.due(last, only_looking=True)
        return {
            key: state_of(self.attempts, key, last.get(key, Attempt()), lost=key in lost, due_in=due.get(key, 0.0))
            for key in (job.key for job in self.jobs())
        }

    def left(self) -> int:
        """How many jobs are neither done nor failed."""
        last = self.attempts.last()
        return sum(not last.get(job.key, Attempt()).is_over for job in self.jobs())

    def is_finished(self) -> bool:
        """Whether every job is done or has failed."""
        return not self.left()

    def facts(self) -> dict[str, dict[str, Any]]:
        """By key of each job that is done, what its worker noted: ``worker``, ``host``, ``seconds``, ..."""
        last = self.attempts.last()
        done = {job.key: last[job.key].number for job in self.jobs() if last.get(job.key, Attempt()).end == "done"}
        return {key: content(self.attempts.end_file(key, number, "done")) for key, number in done.items()}

    def retry_failed(self) -> list[Job]:
        """Let jobs that have failed be tried again, as often as any; returns them."""
        return self._again("failed", lambda job: True)

    def redo_removed(self) -> list[Job]:
        """Let jobs be done again whose results somebody has removed; returns them."""
        return self._again("done", lambda job: not (self.output / job.folder).is_dir())

    def _again(self, end: End, which: Callable[[Job], bool]) -> list[Job]:
        last = self.attempts.last()
        chosen = [job for job in self.jobs() if last.get(job.key, Attempt()).end == end and which(job)]
        for job in chosen:
            number = last[job.key].number
            with self.attempts.writing(), suppress(FileNotFoundError):  # another process has done so
                new = self.attempts.end_file(job.key, number, "forgiven")
                self.attempts.end_file(job.key, number, end).replace(new)
        return chosen

    # ---------------------------------------------------------------- cancelling

    def cancel(self) -> None:
        """Ask all workers to stop; a training writes a checkpoint first."""
        with self.attempts.writing():
            self._cancelled.touch()

    def uncancel(self) -> None:
        """Let workers go on."""
        with self.attempts.writing():
            self._cancelled.unlink(missing_ok=True)

    @property
    def is_cancelled(self) -> bool:
        """Whether workers are asked to stop."""
        return self._cancelled.exists()

    # ---------------------------------------------------------------- files

    @property
    def _cancelled(self) -> Path:
        return self.folder / "cancelled"


@dataclass(frozen=True)
class Claim:
    """A job that this worker has.

    Attributes:
        queue: it is of.
        job: what is to be done.
        attempt: its number, from 1.
        owner: worker, host and process, as the claim's file says it.
    """

    queue: Queue
    job: Job
    attempt: int
    owner: Mapping[str, Any]

    @property
    def workspace(self) -> Path:
        """Where the results are made, on the output's file system."""
        return self.queue.attempts.workspace(self.job.key, self.attempt)

    @property
    def results(self) -> Path:
        """Where the results appear."""
        return self.queue.output / self.job.folder

    @property
    def log(self) -> Path:
        """Where the output of lm_eval goes."""
        return self.queue.attempts.log(self.job.key, self.attempt)

    def is_lost(self) -> bool:
        """Whether another worker has taken over, or the claim's file was removed."""
        files = self.queue.attempts
        taken = files.claim_file(self.job.key, self.attempt + 1)
        return taken.exists() or not files.claim_file(self.job.key, self.attempt).exists()

    def beat(self, progress: Progress | None = None) -> None:
        """Show that the worker is alive.

        Args:
            progress: how far the job is, for `Queue.states`.

        Raises:
            LostClaimError: where another worker has taken over; then nothing may be written any more.
        """
        files, key = self.queue.attempts, self.job.key
        with suppress(OSError):  # a pulse that can't be told has stopped; what counts is written, and told, elsewhere
            if self.is_lost():
                raise LostClaimError(
                    f"{self.job.name}: another worker has taken over, since this one gave no sign of life for "
                    f"{files.lost_seconds:.0f} s or its claim was removed"
                )
            files.claim_file(key, self.attempt).touch()
            if progress is not None:
                path = files.progress_file(key, self.attempt)
                temporary = path.with_name(f".{path.name}.tmp")
                temporary.write_text(json.dumps(asdict(progress)))
                temporary.replace(path)

    def finish(self, folder: Path, **facts: Any) -> None:
        """Let the results appear; the job is done.

        Args:
            folder: with the results: `workspace`, or another on the output's file system.
            facts: what to note beside them, as ``seconds``.

        Raises:
            LostClaimError: as `beat`.
            SweepError: where they can't be written, and the job is not done.
        """
        self.beat()
        with self.queue.attempts.writing():
            self.results.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.replace(self.results)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # else a worker that was thought lost was first
                    raise
            flush_folder(self.results.parent)
        self.end("done", facts)

    def fail(self, error: str, *, retry: bool, **facts: Any) -> None:
        """Note that the attempt failed.

        Args:
            error: why, in a line.
            retry: whether another attempt may help, after one of the queue's pauses; the job has failed after as many
                as the queue allows.
            facts: what to note beside it.
        """
        if not self.is_lost():
            failures = self.queue.attempts.last()[self.job.key].failures + 1
            if retry and failures < self.queue.most_attempts:
                pauses = self.queue.pauses
                pause = pauses[min(failures, len(pauses)) - 1]
                self.end("retry", {"error": error, **facts, "pause": pause})
            else:
                self.end("failed", {"error": error, **facts})

    def release(self, **facts: Any) -> None:
        """Give the job back, to be continued by whoever claims it next (`Attempts.given_back` knows the exception)."""
        if self.is_lost():
            return
        try:
            self.end(*self.queue.attempts.given_back(self.job.key, self.attempt, facts))
        except FullDiskError:
            self.queue.attempts.drop(self.job.key, self.attempt)
            self.queue.attempts.remove_workspaces(self.job.key)

    def end(self, end: End, facts: Mapping[str, Any]) -> None:
        """Note how the attempt ended, and remove what it needed meanwhile."""
        files, key = self.queue.attempts, self.job.key
        files.end(key, self.attempt, end, {**self.owner, **facts})
        files.remove_workspaces(key)
        with suppress(OSError):
            files.progress_file(key, self.attempt).unlink(missing_ok=True)


def _is_free(last: Attempt | None) -> bool:
    return last is None or last.end in ("retry", "released", "forgiven")


def _in_order(free: list[Job], prefer_backbone: str | None) -> list[Job]:
    """The longest first; before them those of a worker's backbone that are not far shorter than the longest."""
    longest = max((job.weight for job in free), default=0.0)

    def stays(job: Job) -> bool:
        return job.backbone == prefer_backbone and job.weight >= WORTH_STAYING * longest

    return sorted(free, key=lambda job: not stays(job))


def _vanished(times: int) -> str:
    often = "once" if times == 1 else f"{times} times"
    return f"its worker vanished without a word (failed or lost {often}): killed for memory, or its machine went down"
