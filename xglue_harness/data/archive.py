"""The official ``xglue_full_dataset.tar.gz``: it is read once, and only the files of the eight tasks are kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from xglue_harness.atomic import new_folder
from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.folder import ARCHIVE_FOLDER, FolderSource
from xglue_harness.data.manifest import official_archive
from xglue_harness.data.source import LoadedSplit
from xglue_harness.data.tar import BROKEN, not_an_archive, unpack_members
from xglue_harness.data.unpacked import DamagedDataError, in_short, read_manifest, verify_unpacked, write_manifest
from xglue_harness.errors import DataError
from xglue_harness.exclusive import locked
from xglue_harness.files import cache_root, file_sha256, open_regular

T = TypeVar("T")

logger = logging.getLogger(__name__)


def archive_sha256(path: Path) -> str:
    """sha256 (hex) of an archive; a process computes it once, and again only after the file has changed.

    Raises:
        DataError: if the file can't be read.
    """
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
        return _archive_sha256(path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


@lru_cache(maxsize=8)
def _archive_sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    return file_sha256(path)


def unpack(archive: Path, folder: Path, sha256: str | None = None, *, vouched: bool = False) -> None:
    """Unpack the files of the eight tasks into ``folder``, which appears complete or not at all.

    Only regular members whose names are exactly those of the benchmark table are written: never one that leads out of
    the folder, a link or a device; nor MLQA, QG and NTG. One read both hashes and unpacks, so the hash is of what was
    unpacked.

    Args:
        archive: the gzip tar, with its members below ``xglue_full_dataset/``.
        folder: where the tasks' folders go; it may exist if it is empty.
        sha256: of the archive (hex), where it is known already.
        vouched: put a manifest beside the files, and in the place of what ``folder`` holds; for the cache.

    Raises:
        DataError: if the archive is not a complete gzip tar, is another one by now, asks for too much, or holds no file
            of the eight tasks.
        OSError: if ``folder`` can't be written or, where not ``vouched``, is not empty.
    """
    wanted = {f"{ARCHIVE_FOLDER}/{path}": path for spec in TASKS.values() for _, _, path in spec.files()}
    with new_folder(folder, replace=vouched) as inner:
        try:
            actual, files = unpack_members(archive, inner, wanted)
        except BROKEN as error:
            raise not_an_archive(archive, error) from error
        if not files:
            raise DataError(
                f"{archive}: holds no file of the eight tasks; expected members such as {ARCHIVE_FOLDER}/NER/en.train"
            )
        if sha256 not in (None, actual):
            raise DataError(
                f"{archive}: sha256 {actual} when it was unpacked, {sha256} before: the file changed meanwhile; "
                "run again once it is complete; nothing was kept"
            )
        if vouched:
            write_manifest(inner, actual, files)


def unpacked_folder(sha256: str) -> Path:
    """Where in the cache an archive's files are kept, there or not.

    Args:
        sha256: of the archive (hex).
    """
    return cache_root() / "archives" / sha256


def lock_of(folder: Path) -> Path:
    """The lock that a process holds while it unpacks into a folder of `unpacked_folder`."""
    return cache_root() / "locks" / f"{folder.name}.lock"


def unpack_once(folder: Path, archive: Callable[[], Path]) -> Path | None:
    """Unpack an archive into the cache unless it is there. One process does it; others that need it wait.

    Args:
        folder: of `unpacked_folder`.
        archive: gives the archive, where it is needed.

    Returns:
        The archive that was unpacked; ``None`` where it was there, or another process was faster.

    Raises:
        DataError: if the archive is broken or the cache can't be written; and what ``archive`` raises.
    """
    return None if _damage(folder) is None else _unpack_locked(folder, archive, _damage)


def use_unpacked(folder: Path, archive: Callable[[], Path], use: Callable[[Path], T]) -> T:
    """Read from an unpacked archive. Damage is logged, and the archive is unpacked again if it is still at hand.

    Args:
        folder: of `unpacked_folder`.
        archive: gives the archive, where it is needed.
        use: reads from the folder; it is called a second time if the first meets a damaged file.

    Raises:
        DataError: if the archive can't be had; and what ``use`` raises.
    """
    unpack_once(folder, archive)
    try:
        return use(folder)
    except DamagedDataError:
        _unpack_locked(folder, archive, lambda folder: in_short(verify_unpacked(folder)) or None)
        return use(folder)


def _damage(folder: Path) -> str | None:
    """Why an archive must be unpacked (again), judging by the manifest alone: "" where nothing is there yet."""
    if not folder.is_dir():
        return ""
    try:
        missing = read_manifest(folder) is None
    except DamagedDataError as error:
        return str(error)
    return f"{folder} has no manifest; an older version may have unpacked it" if missing else None


def _unpack_locked(folder: Path, archive: Callable[[], Path], damage: Callable[[Path], str | None]) -> Path | None:
    try:
        with locked(lock_of(folder), f"another process fetches or unpacks {folder}; waiting for it"):
            if (problem := damage(folder)) is None:
                return None
            if problem:
                logger.warning("the unpacked archive is damaged (%s); it is unpacked anew", problem)
            try:
                source = archive()
                unpack(source, folder, folder.name, vouched=True)
            except DataError as error:
                if not problem:
                    raise
                raise DataError(f"{problem}; and the archive can't be unpacked anew: {error}") from error
            return source
    except OSError as error:
        raise DataError(
            f"cannot unpack the archive to {folder} ({error.strerror or error}); "
            "set the environment variable XGLUE_CACHE to a folder that can be written and has room"
        ) from error


class UnpackedSource:
    """Data of an archive that is kept unpacked in the cache; see ``Source``."""

    is_sample = False

    def __init__(self, sha256: str, archive: Callable[[], Path], *, name: str, description: str) -> None:
        """Nothing is unpacked yet.

        Args:
            sha256: of the archive (hex).
            archive: gives the archive, where it is needed.
            name: the source's name.
            description: the source's description.
        """
        self.sha256, self.name, self.description = sha256, name, description
        self._archive = archive

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split.

        Raises:
            DataError: if the archive can't be had, is broken, or lacks the file, or the file is malformed.
            KeyError: for a split or a language that is not the task's.
        """
        return self._use(lambda source: source.load(task, split, language))

    def content(self, task: TaskSpec, split: str, language: str) -> bytes:
        """The file's bytes.

        Raises:
            DataError: if the archive can't be had, is broken, or lacks the file.
        """
        return self._use(lambda source: source.content(task, split, language))

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages of ``split`` whose file is in the archive, in the task's order.

        Raises:
            DataError: if the archive can't be had or is broken.
        """
        return self._use(lambda source: source.available(task, split))

    def folder(self) -> Path:
        """The folder in the cache that holds the archive's files; unpacked if it is not there yet.

        Raises:
            DataError: if the archive can't be had or is broken, or the cache can't be written.
        """
        return self._use(lambda source: source.root)

    def _use(self, read: Callable[[FolderSource], T]) -> T:
        def use(folder: Path) -> T:
            return read(FolderSource(folder, name=self.name, description=self.description))

        return use_unpacked(unpacked_folder(self.sha256), self._archive, use)


class ArchiveSource(UnpackedSource):
    """Data in the official archive, unpacked to the cache on first use; see ``Source``.

    Attributes:
        sha256: of the archive (hex).
        is_official: whether that is the published one.
    """

    def __init__(self, path: Path) -> None:
        """Open an archive; nothing is unpacked yet.

        Raises:
            DataError: if the file can't be read.
        """
        super().__init__(archive_sha256(path), lambda: path, name="archive", description=str(path))
        self.is_official = self.sha256 == official_archive().sha256
