"""What every source of data offers: one split of one task and language at a time, and what it was read from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xglue_harness.benchmark import TaskSpec
from xglue_harness.data.manifest import manifest_rows
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class LoadedSplit:
    """One split of one task in one language.

    Attributes:
        dataset: the rows, memory-mapped. Its columns are ``TaskSpec.columns``; the label column holds int64 class ids;
            for tagging, ``words`` is a list of str a row and the labels are a list of int64 as long.
        files: sha256 (hex) over the rows (`xglue_harness.data.official.rows_sha256`), by the split's official path:
            the same from every source that has the same rows.
    """

    dataset: datasets.Dataset
    files: Mapping[str, str]


class Source(Protocol):
    """A place that task data comes from."""

    @property
    def name(self) -> str:
        """``sample``, ``hub``, ``folder`` or ``archive``."""

    @property
    def description(self) -> str:
        """Path or repositories with their commits, for humans and for a result's provenance."""

    @property
    def is_sample(self) -> bool:
        """Whether this is the package's own miniature, whose scores mean nothing."""

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split.

        Raises:
            DataError: if the source does not have it or it is malformed; the message says what can be done.
            KeyError: for a split or a language that is not the task's.
        """

    def content(self, task: TaskSpec, split: str, language: str) -> bytes | None:
        """The bytes of a split's official file; ``None`` where its rows come from a file of another kind.

        Raises:
            DataError: if it can't be read.
        """

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages of ``split`` that the source has, in the task's order; empty if it has none."""


def unofficial(source: Source, task: TaskSpec, split: str, language: str, rows: int) -> list[str]:
    """What to say of a split that does not have the official data's number of rows: scores on it don't compare.

    Args:
        source: where it comes from; nothing is said of the packaged toy, which says SAMPLE.
        task: the task.
        split: ``train``, ``dev`` or ``test``.
        language: language code.
        rows: those that were found.

    Returns:
        One line, as ``NER/de.test: 60 rows; the official data have 3007``; none where they agree or the manifest has
        no such split.
    """
    expected = manifest_rows(task, split, language)
    last = kind_of(task).per_word  # the manifest's loader dropped a last sentence that no blank line ends
    if source.is_sample or expected is None or rows == expected or (last and rows == expected + 1):
        return []
    return [f"{task.path(split, language)}: {rows} rows; the official data have {expected}"]


def fingerprint(files: Mapping[str, str]) -> str:
    """One sha256 (hex) over a set of splits: of the sorted pairs of path and sha256, each on a line of its own."""
    digest = hashlib.sha256()
    for path, sha256 in sorted(files.items()):
        digest.update(f"{path}\0{sha256}\n".encode())
    return digest.hexdigest()
