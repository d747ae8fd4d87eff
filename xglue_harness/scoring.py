"""Predictions in, scores out: the one place that scores a language."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.kinds import kind_of
from xglue_harness.kinds.base import Prediction as Prediction
from xglue_harness.official_metrics import Official


@dataclass(frozen=True)
class PredictionScores:
    """What the predictions of one language come to.

    Attributes:
        score: by the task's metric, from 0 to 1.
        stderr: its standard error over documents; ``None`` where it is not defined.
        official: by XGLUE's own evaluator.
        items: score of each document that counts (`xglue_harness.kinds.base.TaskKind.document_score`): a number, or
            a pair of numerator and denominator.
        single_row_queries: queries of one row, which count for neither score; ``None``: not a ranking task.
    """

    score: float
    stderr: float | None
    official: Official
    items: list[Any]
    single_row_queries: int | None


def score_predictions(
    spec: TaskSpec, gold: Sequence[Any], predicted: Sequence[Any], documents: Sequence[int] | None = None
) -> PredictionScores:
    """Score the predictions of one language.

    Args:
        spec: the task.
        gold: class id of each row, or those of its words (tagging), ``[rows]``.
        predicted: the same of the predictions.
        documents: number of each row's document, which is its query (ranking), ``[rows]``; each row is one where not
            given.

    Raises:
        ValueError: no document counts, or lengths differ.
    """
    kind = kind_of(spec)
    numbers = range(len(gold)) if documents is None else documents
    golds, predictions = kind.grouped(numbers, gold), kind.grouped(numbers, predicted)
    pairs = [(g, p) for g, p in zip(golds, predictions, strict=True) if kind.is_scored(g)]
    items = [kind.document_score(g, p) for g, p in pairs]
    return PredictionScores(
        kind.score(items),
        kind.stderr(items),
        kind.official([g for g, _ in pairs], [p for _, p in pairs]),
        items,
        kind.left_out(golds),
    )


# ---------------------------------------------------------------- for callers that do not ask the kind yet


def queries(spec: TaskSpec, dataset: Any) -> list[range]:
    """Rows of each query."""
    return kind_of(spec).rows_of_documents(dataset)


def documents(spec: TaskSpec, dataset: Any) -> Any:
    """One row a document."""
    return kind_of(spec).documents(dataset)


def is_scored(spec: TaskSpec, gold: Any) -> bool:
    """Whether a document counts for the score."""
    return kind_of(spec).is_scored(gold)


def rows_of(spec: TaskSpec, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The rows of a document."""
    return kind_of(spec).rows_of(document)


def document_score(spec: TaskSpec, gold: Any, predicted: Any) -> Any:
    """Score one document."""
    return kind_of(spec).document_score(gold, predicted)


def score(spec: TaskSpec, items: Sequence[Any]) -> float:
    """A language's score."""
    return kind_of(spec).score(items)


def score_stderr(spec: TaskSpec, items: Sequence[Any]) -> float:
    """Its standard error, or NaN."""
    stderr = kind_of(spec).stderr(items)
    return math.nan if stderr is None else stderr
