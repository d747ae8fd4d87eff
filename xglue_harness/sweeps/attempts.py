"""Attempts at jobs as files in a shared folder, of which all claims are made; `xglue_harness.sweeps.queue` says which.

Nothing here locks: network file systems have no dependable locks. An attempt is claimed by making a file that must not
be there yet (``O_EXCL``), which one process alone can.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xglue_harness.atomic import replacing
from xglue_harness.errors import SweepError

End = Literal["done", "failed", "retry", "released", "forgiven"]
"""How an attempt ended: its job is done, has failed for good, is to be tried again, or to be continued (a time limit, a
preemption); or was failed or done, and is to be tried again all the same."""

STANDSTILLS = 5
"""How often in a row a time limit may end a job's attempt that got no training step further, before it has failed."""

FULL = (errno.ENOSPC, errno.EDQUOT)


class FullDiskError(SweepError):
    """There is no room for the queue's files or for results: no fault of a job, and no worker can go on."""


@dataclass(frozen=True)
class Attempt:
    """The last attempt at a job, as the names of files tell it.

    Attributes:
        number: from 1; 0 where there was none.
        end: how it ended; ``None`` while it runs, or where it was lost.
        failures: attempts that failed or were lost since the job was last forgiven; one that has not ended is none.
    """

    number: int = 0
    end: End | None = None
    failures: int = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody has it, or had it and was lost."""
        return self.number > 0 and self.end is None

    @property
    def is_over(self) -> bool:
        """Whether the job needs no other attempt."""
        return self.end in ("done", "failed")


class Attempts:
    """The files of all attempts at the jobs of a queue."""

    def __init__(self, folder: Path, lost_seconds: float) -> None:
        """Know the place.

        Args:
            folder: of the queue.
            lost_seconds: after how long without a pulse a claim is lost.
        """
        self.folder, self.lost_seconds = folder, lost_seconds

    def make_folders(self) -> None:
        """Make the folders that attempts need."""
        for name in ("claims", "progress", "work", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def claim_file(self, key: str, number: int) -> Path:
        """The claim of an attempt; its time of change is its holder's pulse."""
        return self.folder / "claims" / f"{key}.{number}"

    def end_file(self, key: str, number: int, end: End) -> Path:
        """What says how an attempt ended."""
        return self.folder / "claims" / f"{key}.{number}.{end}"

    def progress_file(self, key: str, number: int) -> Path:
        """How far an attempt is."""
        return self.folder / "progress" / f"{key}.{number}"

    def workspace(self, key: str, number: int) -> Path:
        """Where an attempt's results are made."""
        return self.folder / "work" / f"{key}.{number}"

    def remove_workspaces(self, key: str) -> None:
        """Remove what all attempts at a job have made: those of killed workers, too."""
        for folder in (self.folder / "work").glob(f"{key}.*"):
            shutil.rmtree(folder, ignore_errors=True)

    def drop(self, key: str, number: int) -> None:
        """Take a claim back, which a full disk allows as well: the attempt has never been."""
        with suppress(OSError):
            self.claim_file(key, number).unlink(missing_ok=True)

    def log(self, key: str, number: int) -> Path:
        """Where the output of an attempt's lm_eval goes."""
        return self.folder / "logs" / f"{key}.{number}.log"

    def last(self) -> dict[str, Attempt]:
        """By key, the last attempt: one look at the names in a folder, whatever the number of jobs."""
        ends: dict[str, dict[int, End | None]] = {}
        with suppress(FileNotFoundError), os.scandir(self.folder / "claims") as entries:
            for entry in entries:
                key, _, rest = entry.name.partition(".")
                number, _, end = rest.partition(".")
                if number.isdecimal():
                    known = ends.setdefault(key, {})
                    known[int(number)] = end or known.get(int(number))  # type: ignore[assignment]
        return {key: _last(known) for key, known in ends.items()}

    def lost(self, attempts: Mapping[str, Attempt], *, only_looking: bool = False) -> set[str]:
        """Keys of open attempts without a pulse, or of a process of this machine that is gone.

        A pulse is compared with the time of a file that was touched just now in the same folder: both times are the
        file server's, and no two machines' clocks are compared.

        Args:
            attempts: the last of each job.
            only_looking: take this machine's clock where nothing can be written; for those who take nothing over.

        Raises:
            SweepError: where the file can't be touched.
        """
        held = {key: self.claim_file(key, attempt.number) for key, attempt in attempts.items() if attempt.is_open}
        if not held:
            return set()
        now, here = self._server_time(only_looking), whoami()
        lost = set()
        for key, path in held.items():
            with suppress(FileNotFoundError):
                if now - path.stat().st_mtime > self.lost_seconds or _is_gone(content(path), here):
                    lost.add(key)
        return lost

    def due(self, attempts: Mapping[str, Attempt], *, only_looking: bool = False) -> dict[str, float]:
        """Seconds until the next try of each job that failed and is to be tried again; below 0 where it is overdue.

        A pause begins with the note of the failure, by the file server's clock, as in `lost`.

        Args:
            attempts: the last of each job.
            only_looking: as in `lost`.

        Returns:
            By key; jobs that wait for no other try are left out.

        Raises:
            SweepError: as `lost`.
        """
        times: dict[str, float] = {}
        for key, attempt in attempts.items():
            if attempt.end == "retry":
                path = self.end_file(key, attempt.number, attempt.end)
                with suppress(FileNotFoundError):
                    times[key] = path.stat().st_mtime + content(path).get("pause", 0.0)
        if not times:
            return {}
        now = self._server_time(only_looking)
        return {key: due - now for key, due in times.items()}

    def take(self, key: str, number: int, owner: Mapping[str, Any]) -> bool:
        """Make the claim of an attempt; whether nobody had it yet.

        Raises:
            SweepError: where it can't be written; then nobody has it.
        """
        path = self.claim_file(key, number)
        with self.writing():
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                return False
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(dict(owner), file)
            except OSError:
                with suppress(OSError):
                    path.unlink()
                raise
        return True

    def end(self, key: str, number: int, end: End, facts: Mapping[str, Any]) -> None:
        """Note how an attempt ended.

        Raises:
            SweepError: where it can't be written.
        """
        with self.writing(), replacing(self.end_file(key, number, end)) as temporary:
            temporary.write_text(json.dumps(dict(facts)))

    def given_back(self, key: str, number: int, facts: Mapping[str, Any]) -> tuple[End, dict[str, Any]]:
        """How an attempt ends that is given back: to be continued, or failed where that would go on for ever.

        Args:
            key: the job's.
            number: of the attempt.
            facts: what is noted of it; ``stands_still`` where a time limit came before a step of its training.

        Returns:
            Its end, and what to note: failed is the last of `STANDSTILLS` attempts in a row that stood still.
        """
        before = range(max(1, number - STANDSTILLS + 1), number)
        notes = [facts, *(content(self.end_file(key, earlier, "released")) for earlier in before)]
        if len(notes) < STANDSTILLS or not all(note.get("stands_still") is True for note in notes):
            return "released", dict(facts)
        error = (
            f"its worker's time was up {STANDSTILLS} times in a row before a step of training: loading lm_eval, data "
            "and encoder takes longer than that; give workers a longer --time (or --minutes), then `sweep run FILE "
            "--retry-failed`"
        )
        return "failed", {**facts, "error": error}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One error for all that keeps files from being written.

        Raises:
            FullDiskError: where there is no room.
            SweepError: for another reason.
        """
        try:
            yield
        except OSError as error:
            kind = FullDiskError if error.errno in FULL else SweepError
            raise kind(
                f"{error.filename or self.folder}: can't be written ({error.strerror or error}): free some room, or see"
                " to its rights; then give the same command again, and it goes on"
            ) from error

    def _server_time(self, only_looking: bool) -> float:
        clock = self.folder / "claims" / f".clock-{whoami()['host']}-{os.getpid()}"
        try:
            clock.touch()
            try:
                os.utime(clock)
                return clock.stat().st_mtime
            finally:
                clock.unlink(missing_ok=True)
        except OSError as error:
            if only_looking:
                return time.time()
            with self.writing():
                raise error


def whoami() -> dict[str, Any]:
    """Host and process, by which another process of this machine can tell that a claim's holder is gone."""
    from platform import node

    return {"host": node(), "system": _system(), "pid": os.getpid()}


def content(path: Path) -> dict[str, Any]:
    """A small JSON file; empty where it is being written, or gone."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _last(ends: Mapping[int, End | None]) -> Attempt:
    number = max(ends)
    failures = 0
    for attempt in sorted(ends):
        if ends[attempt] == "forgiven":
            failures = 0
        elif ends[attempt] in ("retry", "failed") or (ends[attempt] is None and attempt < number):
            failures += 1
    return Attempt(number, ends[number], failures)


def _system() -> str | None:
    """What processes are numbered in: this boot of this machine, and the container; ``None`` where nobody knows."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _is_gone(owner: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    if owner.get("system") is None or owner["system"] != here["system"] or not isinstance(owner.get("pid"), int):
        return False
    return not Path("/proc", str(owner["pid"])).exists()
