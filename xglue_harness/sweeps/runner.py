"""The process that a worker keeps beside itself: it loads lm_eval once, and runs it on job after job.

A line of JSON on its standard input is a job: `Request`. It answers with lines of JSON on what was its standard output
when it began: how far it is, and how each job ended: `Reply`. Output of lm_eval, of torch, and of whatever crashes goes
into the job's log. Closed input ends it, in the middle of a job as well: its worker is gone.

    python -m xglue_harness.sweeps.runner
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

from xglue_harness.sweeps.states import Progress

EVERY = 2.0
"""Seconds between two answers of how far a job is."""

LENGTH = 500
"""Most characters of an error's line."""

How = Literal["ready", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Request:
    """A job.

    Attributes:
        arguments: of lm_eval.
        log: file that its output is added to.
    """

    arguments: tuple[str, ...]
    log: str

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> Request:
        """As it was sent."""
        value = json.loads(line)
        return cls(tuple(value["arguments"]), value["log"])


@dataclass(frozen=True)
class Reply:
    """What became of a job, or how far it is.

    Attributes:
        how: ``stopped`` was asked to stop, and has written a checkpoint where it was training.
        progress: of a running job.
        error: why it failed, in a line.
        retry: whether the same job may do better in a new process.
        is_full: whether it failed since a disk has no room.
    """

    how: How
    progress: Progress | None = None
    error: str = ""
    retry: bool = False
    is_full: bool = False

    @property
    def ends_process(self) -> bool:
        """Whether the process ends with it: a failure that was not foreseen may leave it in any state."""
        return self.how == "stopped" or self.retry or self.is_full

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> Reply:
        """As it was sent."""
        value: dict[str, Any] = json.loads(line)
        progress = value.pop("progress")
        return cls(**value, progress=progress and Progress(**progress))


def main() -> None:
    """Take jobs until the input is closed, one fails in a way that was not foreseen, or a stop is asked for."""
    from xglue_harness.threads import settle

    if hasattr(signal, "SIGUSR1"):  # which Slurm may send to all processes; the worker says when to stop
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what is printed goes where errors go
    requests = _Requests(sys.stdin)
    settle()
    from xglue_harness.harness.command import LmEval

    lm_eval = LmEval()
    answers.write(Reply("ready").line())
    for request in requests:
        reporter = threading.Thread(target=_report, args=(answers, done := threading.Event()), daemon=True)
        reporter.start()
        reply = _run(lm_eval, request)
        done.set()
        reporter.join()
        answers.write(reply.line())
        if reply.ends_process:
            break
    os._exit(0)  # threads of libraries, and memory in any state, don't keep it


class _Requests:
    """Jobs as they come in; the process ends when no more can: its worker needs it no longer, or is gone."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._file:
            self._lines.put(line)
        os._exit(0)

    def __iter__(self) -> Iterator[Request]:
        while True:
            yield Request.read(self._lines.get())


def _run(lm_eval: Any, request: Request) -> Reply:
    """Run lm_eval, its output in the job's log."""
    from xglue_harness.interrupt import is_stop_requested, request_stop

    before = signal.signal(signal.SIGTERM, request_stop)
    try:
        _redirect(request.log)
        print(f"$ lm_eval {' '.join(map(_quoted, request.arguments))}", flush=True)  # noqa: T201
        lm_eval.run(request.arguments)
        return Reply("done")
    except KeyboardInterrupt:
        return Reply("stopped")
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # a full disk takes no log either
            traceback.print_exc()
        # An interrupt within a library may come out of it as any error: numpy's has been a ValueError.
        return Reply("stopped") if is_stop_requested() else judged(error)
    finally:
        signal.signal(signal.SIGTERM, before)
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()


def _redirect(log: str) -> None:
    """Let all output of this process go to the end of a log."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def judged(error: BaseException) -> Reply:
    """What an error says, and whether another attempt may help.

    Errors of ours come again: a file is malformed, there is no such model, a loss is not finite. Others may not: a
    device that fell over, a connection that broke, memory that somebody else had.
    """
    from huggingface_hub.constants import HF_HUB_OFFLINE

    from xglue_harness.encoders.device import is_out_of_memory
    from xglue_harness.errors import XGlueError
    from xglue_harness.sweeps.attempts import FULL

    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    is_full = any(isinstance(cause, OSError) and cause.errno in FULL for cause in chain)
    passing = any(map(is_out_of_memory, chain))
    if not HF_HUB_OFFLINE:
        passing |= any(isinstance(cause, (ConnectionError, TimeoutError, socket.gaierror)) for cause in chain)
    ours = isinstance(error, (XGlueError, SystemExit))
    said = "lm_eval refuses its arguments; the log says which" if isinstance(error, SystemExit) else str(error)
    reason = said.rpartition("\n")[2] if ours else said  # below a list of what is allowed
    line = " ".join(reason.split()) or "no message"
    name = "" if ours else f"{type(error).__name__}: "
    return Reply("failed", error=f"{name}{line}"[:LENGTH], retry=passing or not ours, is_full=is_full)


def _report(answers: IO[str], done: threading.Event) -> None:
    """Answer how far the job is, from the bars that it shows, until it is done."""
    last = None
    while not done.wait(EVERY):
        progress = progress_of_bars()
        if progress is not None and progress != last:
            answers.write(Reply("running", progress).line())
            last = progress


def progress_of_bars() -> Progress | None:
    """What tqdm's bars of this process say: a training's steps, where there is one, else the bar that began last."""
    from tqdm import tqdm

    with tqdm.get_lock():
        bars = [bar.format_dict for bar in list(tqdm._instances) if not bar.disable]
    if not bars:
        return None
    facts: Mapping[str, Any] = max(bars, key=lambda bar: (bar["unit"] == "step", bar["n"] > 0, -bar["elapsed"]))
    n, elapsed = facts["n"], facts["elapsed"]
    done_here = n - (facts["initial"] or 0)
    rate = done_here / elapsed if done_here > 0 and elapsed > 0 else None
    return Progress(str(facts["prefix"] or "").rstrip(": "), n, facts["total"], str(facts["unit"]), rate)


def _quoted(argument: str) -> str:
    from shlex import quote

    return quote(argument)


if __name__ == "__main__":
    main()
