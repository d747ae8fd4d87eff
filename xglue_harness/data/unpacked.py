"""The manifest of an unpacked archive: each file's sha256 and size, under the archive's sha256.

A file of the cache is trusted if the bytes that are read have the sha256 that was noted when they were unpacked, in the
same read that hashed the archive.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from xglue_harness.errors import DataError
from xglue_harness.files import open_regular, read_regular, sha256_of
from xglue_harness.seal import DamagedFileError, sealed_json, unsealed_json

MANIFEST = ".unpacked.json"
"""Of an unpacked archive; no other folder of data has one."""

_MOST_BYTES = 1_000_000
_FORMAT = 1
_SHOWN = 3

Files = Mapping[str, tuple[str, int]]
"""sha256 (hex) and size in bytes, by a file's path relative to the folder."""


class DamagedDataError(DataError):
    """A file of an unpacked archive is not as it was in the archive."""


def write_manifest(folder: Path, sha256: str, files: Files) -> None:
    """Note what was unpacked into a folder.

    Args:
        folder: that holds the files.
        sha256: of the archive (hex).
        files: all that was unpacked.

    Raises:
        OSError: where it can't be written.
    """
    value = {"format": _FORMAT, "files": {path: list(facts) for path, facts in sorted(files.items())}}
    with (folder / MANIFEST).open("xb") as file:
        file.write(sealed_json(sha256, value))
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Files | None:
    """What was unpacked into a folder; ``None`` where it is no unpacked archive, or a user's own copy of one.

    Args:
        folder: whose name is the archive's sha256; a copy has another name.

    Raises:
        DamagedDataError: where the manifest is damaged, or of another archive.
    """
    path = folder / MANIFEST
    if not re.fullmatch("[0-9a-f]{64}", folder.name):
        return None
    try:
        value = unsealed_json(folder.name, read_regular(path, _MOST_BYTES))
        if value["format"] != _FORMAT:
            raise DamagedFileError(f"it has format {value['format']}, not {_FORMAT}")
        return {name: (str(sha256), int(size)) for name, (sha256, size) in value["files"].items()}
    except FileNotFoundError:
        return None
    except (DamagedFileError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedDataError(f"{path}: {error}") from None
    except OSError as error:
        raise DamagedDataError(f"{path}: cannot be read: {error.strerror}") from None


def verify_unpacked(folder: Path) -> list[str]:
    """What is wrong with an unpacked archive, a line for each file. All bytes are read.

    Args:
        folder: whose name is the archive's sha256.
    """
    try:
        files = read_manifest(folder)
    except DamagedDataError as error:
        return [str(error)]
    if files is None:
        return [f"{folder / MANIFEST}: is missing: nothing vouches for this folder; an older version may have made it"]
    problems = [problem for name, facts in files.items() if (problem := _problem(folder / name, *facts))]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    strange = sorted(there - set(files) - {MANIFEST})
    return [*problems, *(f"{folder / name}: was not in the archive" for name in strange)]


def check_unpacked(folder: Path) -> None:
    """`verify_unpacked` as an error.

    Raises:
        DamagedDataError: naming the first few of the files.
    """
    if problems := verify_unpacked(folder):
        raise DamagedDataError(in_short(problems))


def in_short(problems: Sequence[str]) -> str:
    """A few of many problems, in one line."""
    rest = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def copy_unpacked(folder: Path, target: Path) -> None:
    """Copy what was unpacked, comparing what is copied with the manifest, which stays behind.

    Args:
        folder: of an unpacked archive.
        target: an empty folder, which the caller removes where this raises.

    Raises:
        DamagedDataError: where a file is not as it was unpacked.
        OSError: where ``target`` can't be written.
    """
    for name, facts in (read_manifest(folder) or {}).items():
        try:
            data = read_regular(folder / name)
        except FileNotFoundError:
            raise DamagedDataError(f"{folder / name}: is missing") from None
        check_bytes(folder / name, data, facts)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)


def check_bytes(path: Path, data: bytes, facts: tuple[str, int]) -> None:
    """Compare bytes that were read with what the manifest says of the file.

    Raises:
        DamagedDataError: where they differ.
    """
    if (sha256 := hashlib.sha256(data).hexdigest()) != facts[0]:
        raise damaged(path, sha256, facts[0])


def damaged(path: Path, sha256: str, expected: str) -> DamagedDataError:
    """The error for a file whose sha256 is not the one that was noted."""
    return DamagedDataError(f"{path}: sha256 {sha256[:12]}..., in the archive {expected[:12]}...: damaged or edited")


def _problem(path: Path, sha256: str, size: int) -> str | None:
    try:
        with open_regular(path) as file:
            length = os.fstat(file.fileno()).st_size
            if length != size:
                return f"{path}: {length} bytes, in the archive {size}"
            actual = sha256_of(file)
    except FileNotFoundError:
        return f"{path}: is missing"
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    return None if actual == sha256 else str(damaged(path, actual, sha256))
