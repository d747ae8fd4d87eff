"""Files and folders that a user names: the one gate through which they are read, and the place of the cache.

Only regular files pass: a named pipe has no end and may have no beginning, a device fills the memory. All that can be
wrong with a path or a file is an `OSError` whose ``strerror`` says it, so that a caller turns it into its own error;
all that can be wrong with JSON is a `ValueError`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from xglue_harness.errors import DataError

MOST_BYTES = 1_000_000_000
"""The largest file that is read at once: more than all files of the eight tasks together."""

MOST_JSON_BYTES = 256_000_000

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def user_path(text: str | Path) -> Path:
    """A path as a user wrote it, there or not, with ``~`` and ``~name`` expanded.

    Raises:
        OSError: where there is no such user, or no system could have such a path.
    """
    try:
        path = Path(text).expanduser()
        with suppress(PermissionError):
            _mode(path)
        return path
    except RuntimeError as error:  # no such user
        raise OSError(errno.ENOENT, f"{str(error).rstrip('.')}: ~ stands for no folder", str(text)) from None


def variable_path(name: str, value: str) -> Path:
    """The folder that an environment variable names.

    Raises:
        DataError: where no system could have such a path, or ``~name`` is no user.
    """
    try:
        return user_path(value)
    except OSError as error:
        raise DataError(f"{name}={value[:200]}: {error.strerror}") from error


def cache_root() -> Path:
    """``$XGLUE_CACHE``, else where the system keeps caches: on Linux ``~/.cache/xglue_harness``.

    Raises:
        DataError: as `variable_path`.
    """
    if chosen := os.environ.get("XGLUE_CACHE"):
        return variable_path("XGLUE_CACHE", chosen)
    from platformdirs import user_cache_path  # not every command looks at the cache

    return user_cache_path("xglue_harness", appauthor=False).expanduser()  # fails for a user without a home


def unwritable_cache(folder: Path, error: Exception) -> DataError:
    """The error for a cache folder that can't be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return DataError(
        f"cannot write the cache folder {folder} ({reason}); "
        "set the environment variable XGLUE_CACHE to a folder that can be written and has room"
    )


def no_room() -> OSError:
    """The cause of an error that is raised before the system would: whoever looks for a full disk finds one."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def nearest_existing(path: Path) -> Path:
    """A path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def is_folder(path: Path) -> bool:
    """Whether there is a folder of that path.

    Raises:
        OSError: where it can't be told: the name is too long, a folder above can't be entered.
    """
    return stat.S_ISDIR(_mode(path))


def is_regular(path: Path) -> bool:
    """Whether there is a regular file of that path, or a link to one.

    Raises:
        OSError: as `is_folder`, and where something else is there, which no reader should open.
    """
    mode = _mode(path)
    if mode and not stat.S_ISDIR(mode):
        _refuse(mode, path)
    return stat.S_ISREG(mode)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; never waits, as for whoever writes into a named pipe.

    Raises:
        OSError: where it can't be opened, or is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(_possible(path), flags)
    try:
        _refuse(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, limit: int = MOST_BYTES) -> bytes:
    """All bytes of a regular file.

    Args:
        path: of the file.
        limit: most bytes that it may have.

    Raises:
        OSError: as `open_regular`, and where it is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size) if size <= limit else b""  # read() takes as much memory as it is asked for
        while len(data) == size <= limit and (more := file.read(1 << 16)):  # it grows, or has no size: /proc
            data += more
            size = len(data)
    if size > limit:
        raise OSError(errno.EFBIG, f"has {size:,} bytes and more; at most {limit:,} are read", str(path))
    return data


def sha256_of(file: IO[bytes]) -> str:
    """sha256 (hex) of what is left to read of an open file."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a regular file's bytes.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        return sha256_of(file)


def parse_json(data: str | bytes) -> Any:
    """A JSON value.

    Raises:
        ValueError: where it is none, or is nested so deeply that Python gives up.
    """
    try:
        return json.loads(data)
    except RecursionError:  # how deep a parser goes depends on Python's version
        raise ValueError("is nested too deeply") from None


def read_json(path: Path, limit: int = MOST_JSON_BYTES) -> Any:
    """The value of a JSON file.

    Raises:
        OSError: as `read_regular`.
        ValueError: as `parse_json`.
    """
    return parse_json(read_regular(path, limit))


def _possible(path: Path) -> Path:
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a path holds no NUL byte", str(path).replace("\0", "\\0"))
    return path


def _mode(path: Path) -> int:
    """What is there, links followed; 0 for nothing."""
    try:
        return _possible(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _refuse(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        what = next((name for holds, name in _KINDS if holds(mode)), "no file")
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, f"is {what}; expected a regular file", str(path))
