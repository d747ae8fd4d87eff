"""Parts run one after the other, each in processes of its own, within the minutes that there are."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.results import Result, told
from xglue_harness.atomic import replacing

ROOT = Path(__file__).resolve().parents[2]
Say = Callable[[str], object]
RESERVE = 5.0
"""Seconds that are kept for the table and the file."""
_TAIL = 3000


@dataclass(frozen=True)
class Part:
    """Work for one worker process.

    Attributes:
        name: of the part, shown while it runs.
        worker: module in ``benchmarks.gpu.workers``, or any other that takes JSON as its argument.
        arguments: what it is given.
        estimate: seconds that it is thought to take on a CUDA machine; it is left out where fewer are left.
        limit: seconds after which it is ended.
        keys: results that it should tell; those that are missing at its end are errors.
        environment: variables of its process.
    """

    name: str
    worker: str
    arguments: Mapping[str, Any]
    estimate: float
    limit: float
    keys: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Budget:
    """Seconds until the end."""

    def __init__(self, seconds: float, *, patience: float = 1, clock: Any = time.monotonic) -> None:
        """Begin now; parts may take ``patience`` times their limits, on a machine that is slow."""
        self._clock, self._patience = clock, patience
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds for further parts."""
        return float(max(0.0, self._end - self._clock() - RESERVE))

    def limit(self, part: Part) -> float:
        """Seconds after which a part is ended."""
        return min(part.limit * self._patience, self.left())

    def fits(self, part: Part) -> bool:
        """Whether a part can be begun."""
        return part.estimate <= self.left()


class Journal:
    """All that is known so far, in a file that is written anew after every part."""

    def __init__(self, path: Path | None, facts: Mapping[str, Any]) -> None:
        """Note what is measured, and where the results go (``None``: nowhere)."""
        self._path, self._lock = path, threading.Lock()
        self.facts = dict(facts)
        self.results: list[Result] = []
        self.parts: list[dict[str, Any]] = []

    def add(self, *results: Result) -> None:
        """Take results."""
        with self._lock:
            self.results += results
            self._write()

    def ended(self, part: Part, seconds: float, how: str, stderr: str) -> None:
        """Note how a part ended, and the end of what it said on stderr."""
        with self._lock:
            self.parts.append({"name": part.name, "seconds": round(seconds, 1), "how": how, "stderr": stderr[-_TAIL:]})
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        document = {**self.facts, "results": [asdict(result) for result in self.results], "parts": self.parts}
        with replacing(self._path.absolute()) as temporary:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")


def read(path: Path) -> tuple[dict[str, Any], list[Result]]:
    """Facts and results of a file that a `Journal` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return document, [Result(**result) for result in document.pop("results")]


class Run:
    """One worker process, and a thread that takes its results."""

    def __init__(self, part: Part, journal: Journal, seconds: float, say: Say = print) -> None:
        """Start it; it is ended after ``seconds``."""
        self._part, self._journal, self._seconds, self._say = part, journal, seconds, say
        self._began = self._ended = time.monotonic()
        self._keys: set[str] = set()
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed at the end)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {"CUDA_VISIBLE_DEVICES": "0", **os.environ, "PYTHONPATH": path, **part.environment}
        self._process = subprocess.Popen(
            [sys.executable, "-m", part.worker, json.dumps(part.arguments)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, seconds: float = math.inf) -> None:
        """Wait for its end, or bring it about, after so many seconds from now at the latest."""
        how = "ended"
        try:
            code = self._process.wait(max(1.0, min(seconds, self._seconds - (time.monotonic() - self._began))))
            if code:
                how = f"ended with code {code}"
        except subprocess.TimeoutExpired:
            how = f"stopped after {time.monotonic() - self._began:.0f} s"
        self._end_all()
        self._reader.join(5)
        self._stderr.seek(0)
        stderr = self._stderr.read()
        self._stderr.close()
        missing = [key for key in self._part.keys if key not in self._keys]
        last = stderr.strip().splitlines()[-1][-200:] if stderr.strip() else ""
        note = f"{self._part.name} {how}; {last}" if last else f"{self._part.name} {how}"
        self._journal.add(*(Result(key, "error", {}, note) for key in missing))
        if missing:
            self._say(f"  {', '.join(missing)}: error {note}")
        self._journal.ended(self._part, self._ended - self._began, how, stderr)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                result = told(line)
            except (ValueError, TypeError):  # a line that was cut
                continue
            if result is not None:
                self._keys.add(result.key)
                self._journal.add(result)
                self._say(f"  {result.key}: {result.status} {result.note[:120]}".rstrip())
        self._ended = time.monotonic()

    def _end_all(self) -> None:
        """End the process and those that it started: they are a session of their own."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run_together(parts: list[Part], budget: Budget, journal: Journal, *, patience: float, say: Say = print) -> None:
    """Run parts that nobody times, all at once.

    Args:
        parts: what they are; those that do not fit into the time are a line.
        budget: how much there is.
        journal: where results go.
        patience: seconds that the last part may take once all others have ended.
        say: how to tell what runs.
    """
    fitting = [part for part in parts if _fits(part, budget, journal, say)]
    if not fitting:
        return
    say(f"together: {'; '.join(part.name for part in fitting)} ... ({budget.left():.0f} s left)")
    runs = [Run(part, journal, budget.limit(part), say) for part in fitting]
    for run in runs[:-1]:
        run.wait()
    runs[-1].wait(patience if len(runs) > 1 else math.inf)


def _fits(part: Part, budget: Budget, journal: Journal, say: Say) -> bool:
    if budget.fits(part):
        return True
    note = f"{part.estimate:.0f} s wanted, {budget.left():.0f} s left"
    journal.add(*(Result(key, "left out", {}, note) for key in part.keys))
    say(f"{part.name}: left out, {note}")
    return False


def run_parts(parts: list[Part], budget: Budget, journal: Journal, say: Say = print) -> None:
    """Run parts in order, as long as there is time; one that no longer fits is a line."""
    for part in parts:
        if _fits(part, budget, journal, say):
            say(f"{part.name} ... ({budget.left():.0f} s left)")
            Run(part, journal, budget.limit(part), say).wait()
