"""Two texts, one grade; the rows of a query are ranked by their predicted grades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xglue_harness import metrics
from xglue_harness.kinds.base import TaskKind
from xglue_harness.official_metrics import Official, mean_ndcg, query_rows

if TYPE_CHECKING:
    from datasets import Dataset


class Ranking(TaskKind):
    """WPR, scored by nDCG. A document is a query: consecutive rows with the same text.

    Queries of one row are documents, too. They have no ranking and count for no score, as in XGLUE's evaluator, but
    submissions hold a prediction for each row.
    """

    several_rows = True
    asks = "grades"
    official_rule = "ndcg"

    @property
    def _query(self) -> str:
        """The column with the query."""
        return self.spec.text_a[0]

    def rows_of_documents(self, dataset: Dataset) -> list[range]:
        """Runs of rows with the same query."""
        return query_rows(dataset[self._query])

    def documents(self, dataset: Dataset) -> Dataset:
        """One row a query, with lists of its rows' other columns."""
        from datasets import Dataset as Arrow

        queries = self.rows_of_documents(dataset)
        columns: dict[str, list[Any]] = {name: dataset[name][:] for name in self.spec.columns}
        texts = columns.pop(self._query)
        lists = {name: [[values[row] for row in rows] for rows in queries] for name, values in columns.items()}
        return Arrow.from_dict({self._query: [texts[rows[0]] for rows in queries], **lists})

    def rows_of(self, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The query with each of its pages."""
        others = [name for name in self.spec.columns if name != self._query]
        for index in range(len(document[self.spec.label_column])):
            yield {self._query: document[self._query], **{name: document[name][index] for name in others}}

    def is_row(self, document: Mapping[str, Any]) -> bool:
        """Whether there is one grade and no list of them."""
        return not isinstance(document[self.spec.label_column], list)

    def grouped(self, documents: Sequence[int], values: Sequence[Any]) -> list[Any]:
        """A list of values a query."""
        queries: dict[int, list[Any]] = {}
        for document, value in zip(documents, values, strict=True):
            queries.setdefault(document, []).append(value)
        return [*queries.values()]

    def by_row(self, value: Any) -> list[Any]:
        """A query's values are those of its rows."""
        return list(value)

    def is_scored(self, gold: Any) -> bool:
        """Whether there are two rows to rank."""
        return len(gold) > 1

    def left_out(self, documents: Iterable[Any]) -> int:
        """Queries of one row."""
        return sum(not self.is_scored(rows) for rows in documents)

    def text(self, document: Mapping[str, Any]) -> str:
        """The query, and below it a line for each page."""
        pages = zip(*(document[name] for name in self.spec.text_b), strict=True)
        return "\n".join([document[self._query], *(" ".join(page) for page in pages)])

    def document_score(self, gold: Any, predicted: Any) -> float | None:
        """NDCG of the query's rows."""
        return metrics.ndcg(gold, predicted) if self.is_scored(gold) else None

    def official(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Official:
        """The same mean nDCG."""
        return Official(mean_ndcg(gold, predicted), None, "ndcg")
