"""A folder in the layout of the official archive, complete or not."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.data.cache import cached_split, split_key
from xglue_harness.data.official import read
from xglue_harness.data.source import LoadedSplit
from xglue_harness.data.unpacked import DamagedDataError, check_bytes, read_manifest
from xglue_harness.errors import DataError
from xglue_harness.files import is_folder, is_regular, read_regular
from xglue_harness.resources import PACKAGE

ARCHIVE_FOLDER = "xglue_full_dataset"
"""The one folder at the top of the official archive."""

SAMPLE = PACKAGE / "data" / "sample"
"""The package's own miniature of the benchmark, for smoke tests and demonstrations."""


def layout_root(folder: Path) -> Path:
    """The folder that holds the tasks' folders: ``folder``, or its ``xglue_full_dataset`` where it holds nothing else.

    Raises:
        DataError: if there is no such folder.
    """
    try:
        there = is_folder(folder)
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from error
    if not there:
        raise DataError(f"{folder}: no such folder; expected one in the layout of the official XGLUE archive")
    inner = folder / ARCHIVE_FOLDER
    entries = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    return inner if entries == [ARCHIVE_FOLDER] and inner.is_dir() else folder


class FolderSource:
    """Data in a folder; see ``Source``."""

    def __init__(self, folder: Path, *, name: str = "folder", description: str | None = None) -> None:
        """Open a folder.

        Args:
            folder: a folder in the official layout.
            name: the source's name.
            description: the source's description; the folder where it is not given.

        Raises:
            DataError: if there is no such folder.
        """
        self.name = name
        self.description = str(folder) if description is None else description
        self.is_sample = name == "sample"
        self.root = layout_root(folder)
        self._files = read_manifest(self.root)

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split, or take it from the cache.

        Raises:
            DataError: if the file is missing or malformed; `DamagedDataError` where the folder's manifest knows better.
            KeyError: for a split or a language that is not the task's.
        """
        relative, data = task.path(split, language), self.content(task, split, language)
        key = split_key(hashlib.sha256(data).hexdigest(), task, split)
        return cached_split(key, task, relative, lambda: read(data, task, split, str(self.root / relative)))

    def content(self, task: TaskSpec, split: str, language: str) -> bytes:
        """The file's bytes.

        Raises:
            DataError: if it is missing or can't be read; `DamagedDataError` where the folder's manifest knows better.
        """
        relative = task.path(split, language)
        path = self.root / relative
        if not self._has(relative):
            raise DataError(self._missing(task, split, path))
        try:
            data = read_regular(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        if self._files is not None:
            check_bytes(path, data, self._files[relative])
        return data

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages of ``split`` whose file is there, in the task's order.

        Raises:
            DataError: where something else than a file has its name.
        """
        languages = (SOURCE_LANGUAGE,) if split == "train" else task.languages
        return tuple(lang for lang in languages if self._has(task.path(split, lang)))

    def _has(self, relative: str) -> bool:
        """Whether a file is there; one that was unpacked and has gone counts as damage."""
        path = self.root / relative
        try:
            there = is_regular(path)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from error
        if self._files is None:
            return there
        if not there and relative in self._files:
            raise DamagedDataError(f"{path}: is missing")
        return relative in self._files

    def _missing(self, task: TaskSpec, split: str, path: Path) -> str:
        there = self.available(task, split)
        if split == "train":
            way_out = "every encoder is trained on it: add the file or leave the task out"
        elif there:
            leaves = ",".join(task.leaf(lang) for lang in there)
            way_out = f"this folder has {split} sets for {', '.join(there)}; select leaves, e.g. --tasks {leaves}"
        else:
            way_out = f"this folder has no {split} set of {task.title}: add it or leave the task out"
        return f"{path}: no such file; {way_out}"
