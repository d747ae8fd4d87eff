"""Unpack the official archive for good: the checksum first, then the eight tasks' files, complete or not at all."""

from __future__ import annotations

from pathlib import Path

from xglue_harness.data.archive import archive_sha256, unpack
from xglue_harness.data.manifest import official_archive
from xglue_harness.errors import DataError
from xglue_harness.files import is_folder


def prepare(archive: Path, folder: Path, expected_sha256: str | None = None) -> None:
    """Verify an archive and unpack what the eight tasks need.

    Args:
        archive: the official ``xglue_full_dataset.tar.gz``.
        folder: where the tasks' folders go; it may exist if it is empty.
        expected_sha256: sha256 (hex) that the archive must have; the published one where not given.

    Raises:
        DataError: if the archive is missing, another or broken, if ``folder`` is not empty, or if it can't be written
            (the disk is full); then nothing is left behind.
    """
    official = official_archive()
    expected = (expected_sha256 or official.sha256).lower()
    check_new(folder)
    sha256 = archive_sha256(archive)
    if sha256 != expected:
        size = archive.stat().st_size
        of = f" of the official {official.file} ({official.bytes} bytes)" if expected == official.sha256 else ""
        raise DataError(
            f"{archive}: sha256 {sha256} ({size} bytes); expected {expected}{of}: fetch it again, or give --sha256 if "
            "you mean another archive"
        )
    try:
        unpack(archive, folder, expected)
    except OSError as error:
        raise DataError(
            f"cannot unpack {archive} to {folder}: {error.strerror or error}; nothing was left behind"
        ) from error


def check_new(folder: Path) -> None:
    """Make sure that nothing would be overwritten.

    Args:
        folder: a folder that is to appear; it may exist if it is empty.

    Raises:
        DataError: if it is not empty, or no folder.
    """
    try:
        if is_folder(folder) and any(folder.iterdir()):
            raise DataError(f"{folder}: the folder is not empty; expected a new or an empty one")
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder}: is not a folder; expected a new or an empty one")
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from error
