"""One language of a task: what its score is a score of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.data import Source, open_source, unofficial
from xglue_harness.scoring import documents, queries

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
        queries: rows of each document (ranking); ``None`` where a document is a row.
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
    queries: Sequence[range] | None
    documents: Mapping[int, Document] = field(default_factory=dict)
    is_predicted_only: bool = False

    @property
    def is_sample(self) -> bool:
        """Whether the data are the packaged toy."""
        return self.source.is_sample

    @property
    def single_row_queries(self) -> int:
        """Queries of one row, which have no ranking and count for no score."""
        return sum(len(rows) == 1 for rows in self.queries or ())

    def rows_of_document(self, number: int) -> range:
        """Rows of the test set that a document is made of."""
        return range(number, number + 1) if self.queries is None else self.queries[number]


def load_leaf(spec: TaskSpec, language: str, options: Options) -> tuple[Leaf, Dataset]:
    """Read a language's test set.

    Args:
        spec: the task.
        language: the language.
        options: ``data`` says where to read.

    Returns:
        The leaf, and the test set's documents (`xglue_harness.scoring.documents`).

    Raises:
        DataError: where the data are missing or malformed.
    """
    source = open_source(options.data)
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
        queries=queries(spec, test.dataset) if spec.kind is Kind.RANKING else None,
    )
    return leaf, documents(spec, test.dataset)
