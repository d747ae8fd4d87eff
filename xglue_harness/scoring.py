"""Documents (what one score is given for) and their scores, for each kind of task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from xglue_harness import metrics
from xglue_harness.benchmark import Kind, TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.metrics import Ratio

Prediction = int | list[int]
"""Predicted class of a row; of each word (tagging); of each row of a query (ranking)."""


def queries(spec: TaskSpec, dataset: Dataset) -> list[range]:
    """Rows of each query: consecutive rows with the same query text, as XGLUE's evaluator groups them."""
    column = dataset[spec.text_a[0]]
    found, at = [], 0
    for _, rows in groupby(column):
        size = sum(1 for _ in rows)
        found.append(range(at, at + size))
        at += size
    return found


def documents(spec: TaskSpec, dataset: Dataset) -> Dataset:
    """One row a document: the data set itself, or for ranking one row a query with lists of its rows' columns.

    Queries of one row are there, too: they have no ranking and count for no score (`document_score`), but XGLUE's
    submissions hold a prediction for each row.
    """
    if spec.kind is not Kind.RANKING:
        return dataset
    from datasets import Dataset as Arrow

    groups = queries(spec, dataset)
    columns: dict[str, list[Any]] = {name: dataset[name][:] for name in spec.columns}
    query = spec.text_a[0]
    grouped = {
        name: [[values[i] for i in rows] for rows in groups] for name, values in columns.items() if name != query
    }
    return Arrow.from_dict({query: [columns[query][rows[0]] for rows in groups], **grouped})


def is_scored(spec: TaskSpec, gold: Any) -> bool:
    """Whether a document counts for the score: a query of one row has no ranking, and XGLUE's evaluator leaves it out.

    Args:
        spec: the task.
        gold: as for `document_score`.
    """
    return spec.kind is not Kind.RANKING or len(gold) > 1


def rows_of(spec: TaskSpec, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The rows that a document is made of, as the encoder reads them."""
    if spec.kind is not Kind.RANKING:
        yield document
        return
    query = spec.text_a[0]
    for index in range(len(document[spec.label_column])):
        yield {query: document[query], **{name: document[name][index] for name in spec.columns if name != query}}


def document_score(spec: TaskSpec, gold: Any, predicted: Any) -> float | Ratio | None:
    """Score one document.

    Args:
        spec: the task.
        gold: class, classes of the words, or grades of the rows.
        predicted: the same of the prediction.

    Returns:
        1.0 or 0.0 for a class, nDCG for a query (``None`` where it has one row only), and a (numerator, denominator)
        pair for a sentence's words.
    """
    if not is_scored(spec, gold):
        return None
    if spec.kind is Kind.RANKING:
        return metrics.ndcg(gold, predicted)
    if spec.kind is not Kind.TAGGING:
        return float(gold == predicted)
    if spec.metric == "acc":
        return metrics.accuracy_counts(gold, predicted)
    return metrics.entity_counts([spec.labels[i] for i in gold], [spec.labels[i] for i in predicted])


def score(spec: TaskSpec, items: Sequence[Any]) -> float:
    """A language's score from those of its documents: a mean, or a ratio of sums for words; ``None`` is left out.

    Raises:
        ValueError: no document counts.
    """
    counted = [item for item in items if item is not None]
    return metrics.ratio(counted) if spec.kind is Kind.TAGGING else metrics.mean(counted)


def score_stderr(spec: TaskSpec, items: Sequence[Any]) -> float:
    """Standard error of `score` over documents, which are taken for independent; NaN where it is not defined."""
    counted = [item for item in items if item is not None]
    return metrics.ratio_stderr(counted) if spec.kind is Kind.TAGGING else metrics.mean_stderr(counted)
