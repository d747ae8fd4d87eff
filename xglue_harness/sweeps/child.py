"""A worker's hold on its `xglue_harness.sweeps.runner`: start it, send it jobs, hear it, stop it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from xglue_harness.sweeps.runner import Reply, Request

BARS = {"TQDM_MININTERVAL": "10"}
"""Bars go into a log here, so they are drawn seldom."""


class Child:
    """A process that runs lm_eval on job after job."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Start it; it is ready when it says so.

        Args:
            environment: what is to be set beside the worker's own.
            log: where its output goes until it has a job.
        """
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "xglue_harness.sweeps.runner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**BARS, **os.environ, **environment},
                text=True,
                encoding="utf-8",
                start_new_session=os.name == "posix",  # Ctrl-C is for the worker, which stops it in its own way
            )
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def send(self, request: Request) -> None:
        """Give it a job; a dead one does not mind, and `hear` tells."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(request.line())
            self._process.stdin.flush()

    def hear(self, seconds: float) -> Reply | None:
        """What it says within some seconds; ``None`` for nothing.

        Raises:
            EOFError: where it is dead, and all that it has said was heard.
        """
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            return None
        if reply is None:
            self._process.wait()
            raise EOFError
        return reply

    def stop(self) -> None:
        """Ask it to stop, a training to write a checkpoint first."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let it end: it has no job."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()

    def death(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"lm_eval's process ended without a word (exit status {code})"
        name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else f"signal {-code}"
        why = ": was it killed for its memory?" if name == "SIGKILL" else ""
        return f"lm_eval's process was ended by {name}{why}"

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # a line that was cut off
            for line in self._process.stdout:
                self._replies.put(Reply.read(line))
        self._replies.put(None)
