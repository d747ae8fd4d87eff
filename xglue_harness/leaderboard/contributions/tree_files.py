"""The files of a folder of contributions, found without following anything that a stranger put there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.errors import LeaderboardError

PARTS = ("backbones", "results", "reference")

_DEPTH = 5
"""Parts of the longest path: results, backbone, recipe, seed, file."""

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True)
class Entry:
    """A regular file.

    Attributes:
        path: where it is.
        size: bytes.
        executable: whether anybody may run it; Git keeps no other right.
    """

    path: Path
    size: int
    executable: bool


def list_files(folder: Path, problems: list[str] | None = None) -> dict[str, Entry | None]:
    """Every regular file of a tree, by its path in it with ``/`` between the parts; ``None`` for an empty folder.

    Args:
        folder: the tree.
        problems: gets what is neither a regular file nor a folder, or has no name for a file.

    Raises:
        LeaderboardError: where there is no such folder, it is a link, or it holds none of the parts.
    """
    if folder.is_symlink():  # in a stranger's checkout it could lead anywhere
        raise LeaderboardError(f"{folder}: is a link; give the folder itself, with --tree DIR")
    if not any((folder / part).is_dir() for part in PARTS):
        raise LeaderboardError(
            f"{folder}: no leaderboard; expected a folder with {', '.join(PARTS)}: go to a checkout, or give --tree DIR"
        )
    return dict(_walk(folder, (), [] if problems is None else problems))


def _walk(folder: Path, parts: tuple[str, ...], problems: list[str]) -> Iterator[tuple[str, Entry | None]]:
    """Regular files below a folder, and empty folders as ``None``; what is neither is a problem, and not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(f"{folder}: cannot be read: {error.strerror}")
        return
    if not entries and parts:
        yield "/".join(parts), None
    for entry in entries:
        inner, path = (*parts, entry.name), folder / entry.name
        if not _SAFE.fullmatch(entry.name):
            problems.append(f"{path}: is no name for a file here; expected letters, digits, and . _ - between them")
        elif entry.is_symlink():
            problems.append(f"{path}: is a link; expected regular files and folders only")
        elif entry.is_dir(follow_symlinks=False):
            if len(inner) < _DEPTH:
                yield from _walk(path, inner, problems)
            else:
                problems.append(f"{path}: a folder too deep; expected results/<name>/<recipe>/<seed>/<file> at most")
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            yield "/".join(inner), Entry(path, status.st_size, bool(status.st_mode & 0o111) and os.name == "posix")
        else:
            problems.append(f"{path}: is a pipe or a device; expected regular files and folders only")
