"""Files and folders that appear whole or not at all: made aside, flushed to the disk, put in place by one rename."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary place that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        OSError: where it can't be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes what is open for writing only
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        with suppress(OSError):  # in a folder that can't be written there is nothing to take away either
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block ends well, and vanishes when it does not.

    Args:
        folder: that is to appear; it may exist if it is empty.
        replace: whether it may also hold something, which then gives way.

    Raises:
        OSError: where it can't be written, or is not empty and must not be replaced; then all is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()  # with the permissions of any new folder: a temporary one is the user's alone
        yield new
        if replace and folder.is_dir():
            folder.replace(old)  # goes with the temporary folder
        try:
            new.replace(folder)
        except OSError:
            if old.exists():
                old.replace(folder)
            raise
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make renames within a folder survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems flush no folders
            os.fsync(handle)
    finally:
        os.close(handle)
