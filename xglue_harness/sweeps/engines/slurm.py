"""Workers as a Slurm job array: submitted through submitit, and requeued when they are preempted or out of time.

Nothing else imports submitit. It writes the batch script, calls ``sbatch`` and starts Python on the compute node; the
signals are handled here, since they have to reach the worker's own process, which writes a checkpoint before it stops.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.errors import SweepError
from xglue_harness.sweeps.begin import open_queue
from xglue_harness.sweeps.engines.choice import SLURM
from xglue_harness.sweeps.engines.environment import captured
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.worker import IDLE, Stop, work

if TYPE_CHECKING:
    from xglue_harness.sweeps.jobs import Job

SIGNAL, AHEAD = "USR1", 120
"""The signal before the time limit, and seconds that are left then: for a checkpoint of a large encoder."""

START_MINUTES = 10
"""What a time limit made from the minutes of a job has on top: for start-up, and the seconds of `AHEAD`."""

CHECKPOINT = 100.0
"""Seconds of `AHEAD` that a training gets for its checkpoint; the rest is for giving the job back, and to requeue."""

PATIENCE = 1.2
"""How long a task waits for a lost job, beside the time after which it counts as lost."""


@dataclass(frozen=True)
class SlurmOptions:
    """What ``sbatch`` is told; where ``None``, what the jobs need says it, or the site's defaults.

    Attributes:
        workers: tasks of the array.
        partition: as sbatch's.
        account: as sbatch's.
        gres: as sbatch's.
        time: limit of a task, in any of sbatch's forms.
        setup: lines of shell before the worker starts, such as ``module load cuda``.
    """

    workers: int | None = None
    partition: str | None = None
    account: str | None = None
    gres: str | None = None
    time: str | None = None
    setup: Sequence[str] = ()


@dataclass(frozen=True)
class Submission:
    """An array that was submitted, or none where that needs none.

    Attributes:
        array: its id; ``None`` where nothing was submitted.
        workers: its number of tasks.
        script: what sbatch was given.
        folder: of the scripts and logs.
        there: tasks that Slurm had in its queue already.
    """

    array: str | None
    workers: int
    script: Path | None
    folder: Path
    there: Sequence[str] = ()

    def __str__(self) -> str:
        """For people."""
        if self.there and self.array is None:
            return (
                f"Slurm has workers of this sweep already, which take what is new: {', '.join(self.there)}; --workers "
                "adds others"
            )
        if self.array is None:
            return "nothing is left to do"
        return (
            f"submitted: array {self.array} of {self.workers} workers, without network (`sweep prefetch` fetches what "
            f"they need); `sweep status` and `sweep cancel` see them; what they say: {self.folder}"
        )


@dataclass(frozen=True)
class ArrayWorker:
    """What a task of the array runs, pickled by submitit.

    Attributes:
        output: of the sweep.
    """

    output: Path

    def __call__(self) -> None:
        """Work until nothing is left or a signal comes; then go back into Slurm's queue, if something is left."""
        job, stop = job_id(), Stop()
        with stop.heeding_signals():  # submitit's own handlers would not let a training write a checkpoint
            ending = _patiently(open_queue(self.output), f"slurm-{job}", stop)
            if ending == "stopped" and requeues(job, stop.reason):
                _requeue(job)


def _patiently(queue: Queue, name: str, stop: Stop) -> str:
    """Work; where others have what is left, wait for as long as one that was lost takes to be noticed, and no longer.

    A node that is lost takes its pulse with it. Nobody is paid for waiting until the last of the others has ended.
    """
    since = time.monotonic()
    while True:
        worked = work(queue, name=name, stop=stop, tell=_tell, grace=CHECKPOINT)
        if worked.done or worked.failed:
            since = time.monotonic()
        if worked.ending != "nothing left" or time.monotonic() - since > PATIENCE * queue.attempts.lost_seconds:
            return worked.ending
        time.sleep(IDLE)


def _tell(line: str) -> None:
    """Into the task's log."""
    print(line, flush=True)  # noqa: T201


def submit(queue: Queue, options: SlurmOptions) -> Submission:
    """Submit an array of workers; returns as soon as Slurm has it.

    Nothing is submitted where nothing is left to do, or where Slurm has workers of this sweep already and no number of
    others was asked for.

    Args:
        queue: of the sweep, on a file system that the compute nodes have, too.
        options: what sbatch is told.

    Raises:
        SweepError: where submitit or Slurm is missing, an option is malformed, or sbatch refuses.
    """
    folder = queue.folder / SLURM
    if "%" in str(folder):
        raise SweepError(f"{folder}: Slurm takes % in a path for a placeholder; give the sweep another output")
    states = queue.states()
    jobs = [job for job in queue.jobs() if states[job.key].status not in ("done", "failed")]
    there = waiting_and_running(queue)
    if not jobs or (there and options.workers is None):
        return Submission(None, 0, None, folder, there)
    parameters, workers = parameters_of(jobs, options), _workers(jobs, options)
    tasks = _submitted(folder, parameters, [ArrayWorker(queue.output)] * workers)
    return Submission(tasks[0].job_id.partition("_")[0], workers, tasks[0].paths.submission_file, folder, there)


def _submitted(folder: Path, parameters: Mapping[str, object], workers: Sequence[ArrayWorker]) -> list[Any]:
    """Submitit's jobs."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        raise SweepError("the engine slurm needs submitit: pip install 'xglue-harness[cluster]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.SlurmExecutor(folder)
        executor.update_parameters(**parameters)
        tasks: list[Any] = executor.submit_array(workers)
    except (FailedJobError, FailedSubmissionError) as error:
        raise SweepError(f"sbatch refused the array: {' '.join(str(error).split())}") from None
    except (OSError, RuntimeError) as error:
        raise SweepError(f"Slurm can't be asked: {error}") from None
    return tasks


def waiting_and_running(queue: Queue) -> list[str]:
    """Tasks of this sweep that Slurm has in its queue, by array and task, from whichever ``run`` they are.

    Raises:
        SweepError: where there is no squeue.
    """
    if not (queue.folder / SLURM).is_dir():
        return []
    submitted = {path.name.partition("_")[0] for path in (queue.folder / SLURM).glob("*_submission.sh")}
    found: list[str] = []
    for array in sorted(submitted):  # one by one: squeue refuses a list with a job in it that it has forgotten
        done = _run("squeue", "--noheader", "--array", "--format", "%i", "--jobs", array)
        found += done.stdout.split()
    return found


def cancel_waiting(queue: Queue) -> None:
    """Take the tasks that have not started out of Slurm's queue; those that run look at the sweep's queue and stop."""
    for array in {task.partition("_")[0] for task in waiting_and_running(queue)}:
        _output("scancel", "--state", "PENDING", array)


def job_id() -> str:
    """This task as Slurm's commands name it: ``<array>_<task>``, or the job where there is no array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def requeues(job: str, signal: str | None) -> bool:
    """Whether a task that a signal has stopped goes back into the queue.

    After the signal before the time limit it does. SIGTERM comes for a preemption, where the job counts as running for
    a grace time, and Slurm takes one that ends in it for finished. It also comes when Slurm has decided already: the
    job was cancelled, or is requeued without our doing.

    Args:
        job: as Slurm's commands name it.
        signal: its name, as ``SIGTERM``.

    Raises:
        SweepError: where squeue fails.
    """
    if signal != "SIGTERM":
        return signal == f"SIG{SIGNAL}"
    return _output("squeue", "--noheader", "--format", "%T", "--jobs", job).strip() == "RUNNING"


def minutes(text: str) -> int:
    """A time limit in any of sbatch's forms, in minutes, rounded up.

    Args:
        text: ``90``, ``90:00``, ``1:30:00``, ``1-0``, ``1-12:30`` or ``1-12:30:00``.

    Raises:
        SweepError: for anything else.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not match:
        raise SweepError(f"--time {text}: expected minutes, hours:minutes:seconds, or days-hours:minutes:seconds")
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match[1] is not None or match[4] is not None:
        seconds = 86400 * days + 3600 * first + 60 * second + third
    else:
        seconds = 60 * first + second
    if seconds <= AHEAD:
        raise SweepError(f"--time {text}: too short; {AHEAD} seconds of it are kept for the last checkpoint")
    return ceil(seconds / 60)


def _workers(jobs: Sequence[Job], options: SlurmOptions) -> int:
    """As many as were asked for, else one a backbone, which it loads once; never more than jobs."""
    return min(len(jobs), options.workers or len({job.backbone for job in jobs}))


def parameters_of(jobs: Sequence[Job], options: SlurmOptions) -> dict[str, object]:
    """For submitit: what was asked for, else the most that any of the jobs needs.

    Raises:
        SweepError: for an option that sbatch could not read.
    """
    for name in ("partition", "account", "gres"):
        value = getattr(options, name)
        if value is not None and not value.isprintable():
            raise SweepError(f"--{name} {value!r}: is no name that sbatch could take")
    cpus = max((job.needs.cpus or 0 for job in jobs), default=0)
    memory = max((job.needs.memory_gb or 0.0 for job in jobs), default=0.0)
    gpus = ceil(max(map(_gpus, jobs), default=0.0))
    given = {
        "job_name": "xglue-sweep",
        "partition": options.partition,
        "account": options.account,
        "gres": options.gres or (f"gpu:{gpus}" if gpus else None),
        "time": _time(jobs, options),
        "cpus_per_task": cpus or None,
        "srun_args": [f"--cpus-per-task={cpus}"] if cpus else None,  # srun does not take it over from sbatch
        "mem": f"{ceil(1024 * memory)}M" if memory else None,
        "wckey": None,  # submitit has one of its own, which some sites refuse
        "setup": [*_environment(), *options.setup],
        "additional_parameters": {"requeue": True, "signal": f"{SIGNAL}@{AHEAD}"},
    }
    return {name: value for name, value in given.items() if value is not None or name in ("time", "wckey")}


def _gpus(job: Job) -> float:
    """Slurm gives whole ones; a share is for engines that put several workers on one."""
    if job.needs.gpus is not None:
        return job.needs.gpus
    return 0.0 if job.device == "cpu" else 1.0


def _time(jobs: Sequence[Job], options: SlurmOptions) -> int | None:
    if options.time is not None:
        return minutes(options.time)
    longest = max((job.needs.minutes or 0.0 for job in jobs), default=0.0)
    return ceil(longest) + START_MINUTES if longest else None


def _environment() -> Iterator[str]:
    """Lines of shell that come before the user's own, which may say otherwise."""
    yield "set -e"
    for name, value in {**captured(), "HF_HUB_OFFLINE": "1"}.items():
        yield f"export {name}={shlex.quote(value)}"


def _requeue(job: str) -> None:
    """Put this task back into Slurm's queue, which ends it, and maybe the command that asks for it, too."""
    done = _run("scontrol", "requeue", job)
    if done.returncode > 0:
        raise SweepError(f"scontrol requeue {job}: {done.stderr.strip()}")


def _output(*command: str) -> str:
    """What a command of Slurm prints.

    Raises:
        SweepError: where there is none, or it fails.
    """
    done = _run(*command)
    if done.returncode:
        raise SweepError(f"{shlex.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SweepError(f"{command[0]}: {error}") from None
