"""The official ``xglue_full_dataset.tar.gz``: read through once, of which only the eight tasks' files are kept."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.cache import appearing_folder, cache_root, locked
from xglue_harness.data.folder import ARCHIVE_FOLDER, FolderSource, file_sha256
from xglue_harness.data.manifest import official_archive
from xglue_harness.data.source import LoadedSplit
from xglue_harness.errors import DataError

_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


def archive_sha256(path: Path) -> str:
    """sha256 (hex) of an archive, computed once a process for each state of the file.

    Raises:
        DataError: if the file can't be read.
    """
    try:
        status = path.stat()
        return _archive_sha256(path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


@lru_cache(maxsize=8)
def _archive_sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    return file_sha256(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the files of the eight tasks into ``folder``, which appears complete or not at all.

    Only regular members whose names are exactly those of the benchmark table are written: never one that leads out of
    the folder, a link or a device; nor MLQA, QG and NTG.

    Args:
        archive: the gzip tar, with its members below ``xglue_full_dataset/``.
        folder: where the tasks' folders go; it may exist if it is empty.

    Raises:
        DataError: if the archive is not a complete gzip tar or holds no file of the eight tasks.
        OSError: if ``folder`` can't be written or is not empty.
    """
    with appearing_folder(folder) as inner:
        try:
            found = _extract(archive, inner)
        except _BROKEN as error:
            raise DataError(
                f"{archive}: not a complete gzip tar archive ({error}); expected the official "
                f"{official_archive().file}: was the download cut short?"
            ) from error
        if not found:
            raise DataError(
                f"{archive}: holds no file of the eight tasks; expected members such as {ARCHIVE_FOLDER}/NER/en.train"
            )


def unpacked_folder(sha256: str) -> Path:
    """Where in the cache an archive's files are kept, there or not.

    Args:
        sha256: of the archive (hex).
    """
    return cache_root() / "archives" / sha256


def unpack_once(folder: Path, archive: Callable[[], Path]) -> Path | None:
    """Unpack an archive into the cache unless it is there. One process does it; others that want it wait.

    Args:
        folder: of `unpacked_folder`.
        archive: gives the archive, where it is needed.

    Returns:
        The archive that was unpacked; ``None`` where another had been faster.

    Raises:
        DataError: if the archive is broken or the cache can't be written; and what ``archive`` raises.
    """
    if folder.is_dir():
        return None
    lock = cache_root() / "locks" / f"{folder.name}.lock"
    try:
        with locked(lock, f"another process fetches or unpacks {folder}; waiting for it"):
            if folder.is_dir():
                return None
            found = archive()
            unpack(found, folder)
            return found
    except OSError as error:
        raise DataError(
            f"cannot unpack the archive to {folder} ({error.strerror or error}); "
            "set the environment variable XGLUE_CACHE to a folder that can be written and has room"
        ) from error


def _extract(archive: Path, folder: Path) -> int:
    from tqdm.auto import tqdm

    wanted = {f"{ARCHIVE_FOLDER}/{path}": path for spec in TASKS.values() for _, _, path in spec.files()}
    found = 0
    with (
        archive.open("rb") as raw,
        tqdm.wrapattr(
            raw,
            "read",
            total=archive.stat().st_size,
            desc=f"reading {archive.name}",
            unit="B",
            unit_scale=True,
            disable=None,
        ) as counted,
        gzip.GzipFile(fileobj=counted) as plain,
    ):
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            for member in tar:
                relative = wanted.get(str(PurePosixPath(member.name)))
                source = tar.extractfile(member) if relative is not None and member.isreg() else None
                if relative is not None and source is not None:
                    _copy(source, folder / relative)
                    found += 1
        # The tar ends before the gzip stream does: only the end of the latter holds its checksum.
        while plain.read(1 << 20):
            pass
    return found


def _copy(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


class ArchiveSource:
    """Data in the official archive, unpacked to the cache on first use; see ``Source``.

    Attributes:
        sha256: of the archive (hex).
        is_official: whether that is the published one.
    """

    name = "archive"
    is_sample = False

    def __init__(self, path: Path) -> None:
        """Open an archive; nothing is unpacked yet.

        Raises:
            DataError: if the file can't be read.
        """
        self.sha256 = archive_sha256(path)
        self.is_official = self.sha256 == official_archive().sha256
        self.description = str(path)
        self._path = path
        self._folder: FolderSource | None = None

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split.

        Raises:
            DataError: if the archive is broken, or lacks the file, or the file is malformed.
            KeyError: for a split or a language that is not the task's.
        """
        return self._unpacked().load(task, split, language)

    def content(self, task: TaskSpec, split: str, language: str) -> bytes:
        """The file's bytes.

        Raises:
            DataError: if the archive is broken, or the file can't be read.
        """
        return self._unpacked().content(task, split, language)

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages of ``split`` whose file is in the archive, in the task's order.

        Raises:
            DataError: if the archive is broken.
        """
        return self._unpacked().available(task, split)

    def folder(self) -> Path:
        """The folder in the cache that holds the archive's files; unpacked if it is not there yet.

        Raises:
            DataError: if the archive is broken or the cache can't be written.
        """
        folder = unpacked_folder(self.sha256)
        unpack_once(folder, lambda: self._path)
        return folder

    def _unpacked(self) -> FolderSource:
        if self._folder is None:
            self._folder = FolderSource(self.folder(), name=self.name, description=self.description)
        return self._folder
