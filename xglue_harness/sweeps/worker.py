"""A worker: takes job after job from a queue, and lets a process beside it (`xglue_harness.sweeps.child`) do them.

The worker itself imports nothing heavy and does nothing but watch, so its pulse goes on whatever lm_eval does. Where it
is killed, its process ends with it, and another worker takes the job over.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xglue_harness.errors import SweepError
from xglue_harness.files import read_json
from xglue_harness.sweeps.attempts import FullDiskError, whoami
from xglue_harness.sweeps.child import Child
from xglue_harness.sweeps.jobs import Job, arguments
from xglue_harness.sweeps.queue import Claim, LostClaimError, Queue
from xglue_harness.sweeps.runner import Reply, Request
from xglue_harness.sweeps.states import Progress

BEAT = 10.0
"""Seconds between two beats of a pulse, which tell how far the job is."""

LOOK = 0.5
"""Seconds within which a worker notices that it is to stop, or that a job has ended."""

IDLE = 5.0
"""Seconds between two looks for a job, while other workers have those that are left."""

GRACE = 120.0
"""Seconds that a training gets for its checkpoint when it is to stop."""

MORE = 75
"""Exit status of a worker that was stopped while there was work left (the system's EX_TEMPFAIL): start it again."""

TIME_IS_UP = ("time limit", "SIGUSR1")
"""Reasons to stop that come again, each time after as long: a worker's own limit, and Slurm's."""

Ending = Literal["finished", "nothing left", "stopped", "cancelled"]


@dataclass
class Stop:
    """Whether a worker is to stop, and why; signals say so, and a deadline.

    Attributes:
        deadline: when to stop by itself, as ``time.time()`` counts; a checkpoint is written before.
        reason: why it is to stop.
        is_urgent: whether it is to stop without a checkpoint.
    """

    deadline: float | None = None
    reason: str | None = None
    is_urgent: bool = False

    def ask(self, number: int, _: object = None) -> None:
        """A signal's handler: the first asks to stop, Ctrl-C a second time asks not to wait."""
        self.is_urgent = self.reason is not None and number == signal.SIGINT
        self.reason = self.reason or signal.Signals(number).name

    def why(self) -> str | None:
        """Why to stop now; ``None`` to go on."""
        if self.reason is None and self.deadline is not None and time.time() >= self.deadline:
            self.reason = "time limit"
        return self.reason

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Let signals ask to stop (SIGUSR1 is Slurm's, before a time limit); for a process's main thread.

        Those that are ignored stay so: a hang-up under ``nohup``, Ctrl-C of a shell's background.
        """
        numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")]
        heeded = [number for number in numbers if number is not None and signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.ask) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class Work:
    """What a worker has done.

    Attributes:
        ending: why it has ended: all jobs are ``finished``; others have what is left (``nothing left``), or it was
            stopped.
        done: names of jobs.
        failed: names of jobs of which an attempt failed.
    """

    ending: Ending = "finished"
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0; `MORE` where it was stopped while there was work left."""
        return MORE if self.ending in ("stopped", "cancelled") else 0


def worker_name() -> str:
    """A name that no other worker has: host, process, and four digits."""
    return f"{whoami()['host']}-{os.getpid()}-{secrets.token_hex(2)}"


def work(
    queue: Queue,
    *,
    name: str | None = None,
    stop: Stop | None = None,
    wait: bool = False,
    environment: Mapping[str, str] | None = None,
    fits: Callable[[Job], bool] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    show: Callable[[Job, Progress], None] = lambda job, progress: None,
    grace: float = GRACE,
) -> Work:
    """Take jobs and do them until nothing is left; a job that pauses after a failure is waited for.

    Args:
        queue: of the sweep.
        name: of this worker; by default `worker_name`.
        stop: asks it to stop; a training writes a checkpoint, and its job is given back.
        wait: stay while other workers have what is left, in case one of them is lost.
        environment: for lm_eval's process, beside the worker's own: ``CUDA_VISIBLE_DEVICES``, ...
        fits: whether a job may run here.
        tell: gets a line for each thing that happens.
        show: gets how far a job is.
        grace: seconds that a training gets for its checkpoint.

    Raises:
        SweepError: where the queue can't be read or written, a disk is full, or lm_eval can't be started; the job that
            it had is given back.
    """
    environment = {**_store(queue), **(environment or {})}
    worker = _Worker(queue, name or worker_name(), stop or Stop(), environment, tell, show, grace)
    try:
        return worker.work(wait, fits)
    finally:
        worker.close()


def _store(queue: Queue) -> dict[str, str]:
    store = queue.store
    return {} if store is None else {"XGLUE_STORE": str(store)}


class _Worker:
    """The process beside a worker, and what it has loaded."""

    def __init__(
        self,
        queue: Queue,
        name: str,
        stop: Stop,
        environment: Mapping[str, str],
        tell: Callable[[str], None],
        show: Callable[[Job, Progress], None],
        grace: float,
    ) -> None:
        self._queue, self._name, self._stop = queue, name, stop
        self._environment, self._tell, self._show, self._grace = environment, tell, show, grace
        self._child: Child | None = None
        self._backbone: str | None = None
        self._work = Work()
        self._left: int | None = None
        self._has_advanced = False

    def work(self, wait: bool, fits: Callable[[Job], bool] | None) -> Work:
        """Until nothing is left."""
        while not self._is_to_stop():
            claim = self._queue.claim(self._name, prefer_backbone=self._backbone, fits=fits)
            if claim is not None:
                self._left = None
                self._do(claim)
            elif not (left := self._queue.left()):
                self._work.ending = "finished"
                break
            elif (due_in := self._queue.next_try(fits)) is not None or wait:
                self._idle(left, due_in)
            else:
                self._work.ending = "nothing left"
                break
        return self._work

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.close()
            self._child = None

    @property
    def _reason(self) -> str:
        return self._stop.reason or "cancelled"

    def _is_to_stop(self) -> bool:
        if self._stop.why() is not None:
            self._work.ending = "stopped"
        elif self._queue.is_cancelled:
            self._work.ending = "cancelled"
        else:
            return False
        return True

    def _idle(self, left: int, due_in: float | None) -> None:
        """Wait a little: for a job's next try, or for other workers to lose what they have."""
        if left != self._left:
            others = f"waits: other workers have the {left} jobs that are left"
            pausing = f"waits: of the {left} jobs that are left, one that failed is tried again in {due_in or 0:.0f} s"
            self._tell(others if due_in is None else pausing)
            self._left = left
        seconds = IDLE if due_in is None else min(IDLE, max(LOOK, due_in))  # NFS may list an overdue job for a while
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._is_to_stop():
            time.sleep(LOOK)

    # ---------------------------------------------------------------- one job

    def _do(self, claim: Claim) -> None:
        """Do a claimed job, and note how it ended."""
        job, began = claim.job, time.monotonic()
        self._has_advanced = False
        again = f", attempt {claim.attempt}" if claim.attempt > 1 else ""
        self._tell(f"{job.name}: begins{again}")
        try:
            self._queue.attempts.remove_workspaces(job.key)
            with self._queue.attempts.writing():
                claim.workspace.mkdir(parents=True)
                child = self._ready_child(claim)
            reply = self._watch(claim, child) if child is not None else Reply("stopped")
            self._note(claim, reply, round(time.monotonic() - began, 1))
        except LostClaimError as error:
            self._kill_child()
            self._tell(str(error))
        except BaseException:
            self._kill_child()
            with suppress(SweepError, OSError):
                claim.release(reason="its worker ended")
            raise

    def _note(self, claim: Claim, reply: Reply, seconds: float) -> None:
        job, facts = claim.job, {"seconds": seconds}
        if reply.how == "done":
            claim.finish(claim.workspace, **facts)
            self._work.done.append(job.name)
            if not self._queue.keep_encoders:
                remove_encoders(claim.results, self._queue.store)
            self._tell(f"{job.name}: done in {seconds:.0f} s: {claim.results}")
        elif reply.how == "stopped":
            claim.release(
                stands_still=not self._has_advanced and self._reason in TIME_IS_UP, reason=self._reason, **facts
            )
            self._tell(f"{job.name}: stopped after {seconds:.0f} s; it goes on from its last checkpoint")
        elif reply.is_full:
            raise FullDiskError(
                f"{job.name}: {reply.error} ({claim.log}). No job has failed: make room, and the same command goes on"
            )
        else:
            claim.fail(reply.error, retry=reply.retry, **facts)
            self._work.failed.append(job.name)
            self._tell(f"{job.name}: failed: {reply.error} ({claim.log})")

    def _ready_child(self, claim: Claim) -> Child | None:
        """The process with lm_eval loaded; ``None`` where a stop was asked for meanwhile.

        Raises:
            SweepError: where lm_eval can't be loaded, which is no fault of the job.
        """
        if self._child is None:
            self._child = Child(self._environment, claim.log)
            try:
                while (reply := self._child.hear(LOOK)) is None:
                    claim.beat(Progress("loading lm_eval"))
                    if self._is_to_stop():
                        self._kill_child()
                        return None
            except EOFError:
                death = self._child.death()
                self._child = None
                if self._is_to_stop():
                    return None
                raise SweepError(f"lm_eval can't be started: {death}: {_last_line(claim.log)} ({claim.log})") from None
            assert reply.how == "ready"
        return self._child

    def _watch(self, claim: Claim, child: Child) -> Reply:
        """Let the process do the job; beat, and hear, until it has ended."""
        self._backbone = claim.job.backbone
        child.send(Request(tuple(arguments(claim.job, claim.workspace)), str(claim.log)))
        beaten, kill_at, progress = 0.0, None, None
        while True:
            try:
                reply = child.hear(LOOK)
            except EOFError:
                self._child = self._backbone = None
                is_stopped = kill_at is not None or self._is_to_stop()  # by the same signal, maybe
                return Reply("stopped") if is_stopped else Reply("failed", error=child.death(), retry=True)
            if reply is not None and reply.how != "running":
                if reply.ends_process:
                    self._kill_child()
                return reply
            if reply is not None and reply.progress is not None:
                progress = reply.progress
                # A resumed training's bar begins where that was; there is a speed once it has gone further.
                self._has_advanced |= progress.unit == "step" and progress.per_second is not None
                self._show(claim.job, progress)
            if time.monotonic() - beaten > BEAT:
                claim.beat(progress)
                beaten = time.monotonic()
            if kill_at is None and self._is_to_stop():
                self._tell(f"{claim.job.name}: stops ({self._reason}); a training writes a checkpoint first")
                child.stop()
                kill_at = time.monotonic() + self._grace
            if kill_at is not None and (self._stop.is_urgent or time.monotonic() > kill_at):
                self._kill_child()
                return Reply("stopped")

    def _kill_child(self) -> None:
        if self._child is not None:
            self._child.kill()
        self._child = self._backbone = None


def remove_encoders(results: Path, store: Path | None) -> None:
    """Remove the encoders that a job has trained from the store; ones that were there before stay.

    Args:
        results: of the job.
        store: where its encoders are; by default this process's own.
    """
    from xglue_harness.store.trainings import Store

    kept = Store(store)
    for path in results.glob("*/results_*.json"):
        for config in read_json(path)["configs"].values():
            record = (config.get("metadata") or {}).get("xglue") or {}
            if "session" in record and not record["session"]["from_store"]:  # a prompted model has trained nothing
                folder = kept.entry_folder(record["training"]["store_key"])
                kept.remove_unused(folder)


def _last_line(log: Path) -> str:
    """The last line of a log that says something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        return str(error.strerror)
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "it said nothing")
