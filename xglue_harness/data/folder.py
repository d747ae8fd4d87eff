"""A folder in the layout of the official archive, complete or not."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.data.cache import cached_split, split_key
from xglue_harness.data.official import Rows, read
from xglue_harness.data.source import LoadedSplit
from xglue_harness.errors import DataError

ARCHIVE_FOLDER = "xglue_full_dataset"
"""The one folder at the top of the official archive."""

SAMPLE = Path(__file__).with_name("sample")
"""The package's own miniature of the benchmark, for smoke tests and demonstrations."""


def layout_root(folder: Path) -> Path:
    """The folder that holds the tasks' folders: ``folder``, or its ``xglue_full_dataset`` where it holds nothing else.

    Raises:
        DataError: if there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one in the layout of the official XGLUE archive")
    inner = folder / ARCHIVE_FOLDER
    entries = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    return inner if entries == [ARCHIVE_FOLDER] and inner.is_dir() else folder


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
        self._root = layout_root(folder)

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split, or take it from the cache.

        Raises:
            DataError: if the file is missing or malformed.
            KeyError: for a split or a language that is not the task's.
        """
        relative = task.path(split, language)
        path = self._root / relative
        if not path.is_file():
            raise DataError(self._missing(task, split, path))
        try:
            digest = file_sha256(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

        def parse() -> Rows:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:  # its rows would be kept under the wrong content
                raise DataError(f"{path}: the file changed while it was read; run again once it is complete")
            return read(data, task, split, str(path))

        return cached_split(split_key(digest, task, split), task, relative, parse)

    def content(self, task: TaskSpec, split: str, language: str) -> bytes:
        """The file's bytes.

        Raises:
            DataError: if it can't be read.
        """
        path = self._root / task.path(split, language)
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages of ``split`` whose file is there, in the task's order."""
        languages = (SOURCE_LANGUAGE,) if split == "train" else task.languages
        return tuple(lang for lang in languages if (self._root / task.path(split, lang)).is_file())

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
