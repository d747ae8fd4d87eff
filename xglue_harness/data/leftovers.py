"""What killed processes left half-written: folders of archives, and files of the cache."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.data.archive import lock_of, unpacked_folder
from xglue_harness.exclusive import is_locked
from xglue_harness.files import cache_root

IDLE = 3600.0
"""Where there is no lock to ask: seconds without a change after which no process is thought to be at work."""

_FOLDER = re.compile(r"\.(?P<name>.+)\.\w{8}")  # of `new_folder`
_FILE = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")  # of `replacing`


@dataclass(frozen=True)
class Leftover:
    """Something half-written.

    Attributes:
        path: folder or file.
        bytes: what it takes.
        in_use: whether a process may be at work on it.
    """

    path: Path
    bytes: int
    in_use: bool


def leftovers(folder: Path | None = None) -> list[Leftover]:
    """What lies half-written in the cache, and beside a folder that `data get` or `data prepare` was to make.

    Args:
        folder: a user's own folder, there or not.
    """
    half_written = []
    for path in sorted({*_in_cache(), *(_beside(folder) if folder else ())}):
        size, newest = 0, 0.0
        for part in (path, *path.rglob("*")):
            with suppress(OSError):  # whoever writes it may take it away
                status = part.lstat()
                size += status.st_size if not part.is_dir() else 0
                newest = max(newest, status.st_mtime)
        half_written.append(Leftover(path, size, _in_use(path, newest)))
    return half_written


def remove(leftover: Leftover) -> None:
    """Remove one.

    Raises:
        OSError: where it can't be removed.
    """
    shutil.rmtree(leftover.path) if leftover.path.is_dir() else leftover.path.unlink(missing_ok=True)


def _in_cache() -> Iterator[Path]:
    root = cache_root()
    for path in root.rglob(".*"):
        if _FILE.fullmatch(path.name) and path.is_file():
            yield path
    yield from _unfinished(root / "archives", "[0-9a-f]{64}")


def _beside(folder: Path) -> Iterator[Path]:
    yield from _unfinished(folder.absolute().parent, re.escape(folder.name))


def _unfinished(parent: Path, name: str) -> Iterator[Path]:
    for path in parent.glob(".*"):
        match = _FOLDER.fullmatch(path.name)
        if match and re.fullmatch(name, match["name"]) and path.is_dir() and not path.is_symlink():
            yield path


def _in_use(path: Path, newest: float) -> bool:
    """A process that unpacks into the cache holds a lock; for anything else, go by the clock."""
    match = _FOLDER.fullmatch(path.name)
    if path.parent != cache_root() / "archives" or match is None:
        return time.time() - newest < IDLE
    return is_locked(lock_of(unpacked_folder(match["name"])))
