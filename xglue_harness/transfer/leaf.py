"""One language of a task: what its score is a score of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from xglue_harness.benchmark import TaskSpec
from xglue_harness.data import Source, open_source, unofficial
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.recipe import Options

Document: TypeAlias = Mapping[str, Any]
"""What one score is given for: a row, or a query with lists of its rows' columns (see `xglue_harness.scoring`)."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A language's test set, and what is wanted of it.

    Attributes:
        spec: the task.
        language: the language.
        options: what its user asked for.
        source: where its data come from.
        files: sha256 of what was read of the test set, by path.
        rows: number of rows of the test set.
        unofficial: what to say of the test set, where it has not the official number of rows.
        document_rows: rows of the test set that each of its documents is made of.
        documents: those that this process predicts, each once, by number; none before a run has chosen them.
        is_predicted_only: whether predictions are wanted without scores.
    """

    spec: TaskSpec
    language: str
    options: Options
    source: Source
    files: Mapping[str, str]
    rows: int
    unofficial: Sequence[str]
    document_rows: Sequence[range]
    documents: Mapping[int, Document] = field(default_factory=dict)
    is_predicted_only: bool = False

    @property
    def is_sample(self) -> bool:
        """Whether the data are the packaged toy."""
        return self.source.is_sample

    @property
    def single_row_queries(self) -> int | None:
        """Queries of one row, which have no ranking and count for no score; ``None``: not a ranking task."""
        return kind_of(self.spec).left_out(self.document_rows)


def load_leaf(spec: TaskSpec, language: str, options: Options) -> tuple[Leaf, Dataset]:
    """Read a language's test set.

    Args:
        spec: the task.
        language: the language.
        options: ``data`` says where to read.

    Returns:
        The leaf, and the test set's documents (`xglue_harness.kinds.base.TaskKind.documents`).

    Raises:
        DataError: where the data are missing or malformed.
    """
    kind, source = kind_of(spec), open_source(options.data)
    test = source.load(spec, "test", language)
    rows = len(test.dataset)
    leaf = Leaf(
        spec,
        language,
        options,
        source,
        files=dict(test.files),
        rows=rows,
        unofficial=unofficial(source, spec, "test", language, rows),
        document_rows=kind.rows_of_documents(test.dataset),
    )
    return leaf, kind.documents(test.dataset)
