"""From predictions of rows to a language's number, through the one place that scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xglue_harness.kinds import kind_of
from xglue_harness.scoring import score_predictions

if TYPE_CHECKING:
    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.kinds.base import Prediction
    from xglue_harness.probing.probes import Floats, Ints


@dataclass(frozen=True)
class Rows:
    """Rows of documents, with their labels.

    Attributes:
        spec: the task.
        rows: as an encoder reads them.
        documents: number of each row's document.
    """

    spec: TaskSpec
    rows: Sequence[Mapping[str, Any]]
    documents: Sequence[int]

    @classmethod
    def of(cls, spec: TaskSpec, documents: Sequence[Mapping[str, Any]]) -> Rows:
        """The rows of some documents."""
        kind = kind_of(spec)
        pairs = [(number, row) for number, document in enumerate(documents) for row in kind.rows_of(document)]
        return cls(spec, [row for _, row in pairs], [number for number, _ in pairs])

    @property
    def gold(self) -> list[Any]:
        """Class id of each row, or those of its words."""
        return [row[self.spec.label_column] for row in self.rows]

    @property
    def labels(self) -> Ints:
        """Class ids of all rows, or of the words of all rows, end to end."""
        gold = self.gold
        flat = [label for labels in gold for label in labels] if kind_of(self.spec).per_word else gold
        return np.array(flat, dtype=np.int64)


@dataclass(frozen=True)
class Scored:
    """What a language's predictions come to.

    Attributes:
        score: by the task's own metric.
        values: predicted class of each document, as `xglue_harness.prediction.predict.Predictions` has them.
        scores: log-probabilities of each document, the same.
    """

    score: float
    values: list[Prediction]
    scores: list[Any]


def scored(rows: Rows, logs: Floats) -> Scored:
    """Predict the likeliest class, and score.

    Args:
        rows: with their labels.
        logs: log-probabilities of the classes of each row, or of each word of all rows, ``[rows or words, classes]``.
    """
    kind, classes = kind_of(rows.spec), logs.argmax(axis=1)
    if kind.per_word:
        cuts = np.cumsum([len(labels) for labels in rows.gold])[:-1]
        best = logs[np.arange(len(logs)), classes]
        predicted: list[Any] = [part.tolist() for part in np.split(classes, cuts)]
        kept: list[Any] = [part.tolist() for part in np.split(best, cuts)]
    else:
        predicted, kept = classes.tolist(), logs.tolist()
    score = score_predictions(rows.spec, rows.gold, predicted, rows.documents).score
    return Scored(score, kind.grouped(rows.documents, predicted), kind.grouped(rows.documents, kept))


def ranking_by(rows: Rows, scores: Floats) -> float:
    """Mean nDCG of queries whose rows are ranked by a real number, ties averaged (WPR).

    Args:
        rows: of a ranking task.
        scores: ``[rows]``, higher is better.

    Raises:
        ValueError: where no query has two rows.
    """
    kind = kind_of(rows.spec)
    pairs = zip(kind.grouped(rows.documents, rows.gold), kind.grouped(rows.documents, scores.tolist()), strict=True)
    return kind.score([kind.document_score(gold, found) for gold, found in pairs])
