"""Predictions in, scores out: the one place that scores a language, and what several languages come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.kinds import kind_of
from xglue_harness.metrics import group_stderr
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


@dataclass(frozen=True)
class Means:
    """What the scores of a task's languages come to, in their unit.

    Attributes:
        mean: over languages; ``None``: there are none.
        stderr: its standard error over documents of independent languages; ``None`` where a language has none.
        gap: English less the mean of the others, the cross-lingual transfer gap; ``None`` where either is missing.
    """

    mean: float | None
    stderr: float | None
    gap: float | None


def means(scores: Mapping[str, float], errors: Mapping[str, float | None] | None = None) -> Means:
    """Mean, standard error and transfer gap of the scores of a task's languages.

    Args:
        scores: by language.
        errors: their standard errors, by language; ``None``: not known.
    """
    known = [error for language in scores if (error := (errors or {}).get(language)) is not None]
    others = [score for language, score in scores.items() if language != SOURCE_LANGUAGE]
    english = scores.get(SOURCE_LANGUAGE)
    return Means(
        mean=_mean([*scores.values()]) if scores else None,
        stderr=group_stderr(known) if known and len(known) == len(scores) else None,
        gap=None if english is None or not others else english - _mean(others),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
