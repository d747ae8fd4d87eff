"""From predictions of rows to a language's number, through the one place that scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xglue_harness.kinds import kind_of
from xglue_harness.kinds.base import joined
from xglue_harness.probing.probes import Classifier, cosines, fit, pair_features
from xglue_harness.scoring import score_predictions

if TYPE_CHECKING:
    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.kinds.base import Prediction
    from xglue_harness.probing.probes import Floats, Ints
    from xglue_harness.probing.recipe import ProbeRecipe


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

    @property
    def texts(self) -> list[str]:
        """The first text of each row, then the second one of each where rows have two."""
        columns = [names for names in (self.spec.text_a, self.spec.text_b) if names]
        return [joined(row, names) for names in columns for row in self.rows]


@dataclass(frozen=True)
class Scored:
    """What a language's predictions come to.

    Attributes:
        score: by the task's own metric.
        values: predicted class of each document, as `xglue_harness.prediction.predict.Predictions` has them.
        scores: log-probabilities of each document, the same.
        predicted: predicted class of each row, or of each of its words.
        similarity: cosine of the two texts of each row, ``[rows]``, where the probe reads it.
        ranking: WPR: mean nDCG of rows that are ranked by that cosine.
    """

    score: float
    values: list[Prediction]
    scores: list[Any]
    predicted: list[Any]
    similarity: list[float] | None = None
    ranking: float | None = None


def features(recipe: ProbeRecipe, vectors: Floats, *, pairs: int) -> Floats:
    """What a probe's classifier reads.

    Args:
        recipe: of the probe.
        vectors: of all texts or words; of pairs, the first text of each, then the second one of each.
        pairs: number of rows, where they are pairs.

    Returns:
        ``[rows or words, features]``.
    """
    if recipe.features in ("text", "word"):
        return vectors
    first, second = vectors[:pairs], vectors[pairs:]
    return pair_features(first, second) if recipe.features == "pair" else cosines(first, second)[:, None]


def fitted(recipe: ProbeRecipe, rows: Rows, vectors: Floats, what: str) -> Classifier:
    """The classifier of English training rows.

    Args:
        recipe: of the probe.
        rows: the training rows.
        vectors: as for `features`.
        what: is fitted, for messages.

    Raises:
        DataError: for training rows of a single class.
    """
    read = features(recipe, vectors, pairs=len(rows.rows))
    return fit(read, rows.labels, len(rows.spec.labels), recipe, what)


def judged(recipe: ProbeRecipe, classifier: Classifier, rows: Rows, vectors: Floats) -> Scored:
    """Predict the rows of a language, and score.

    Args:
        recipe: of the probe.
        classifier: from `fitted`.
        rows: with their labels.
        vectors: as for `features`.
    """
    read = features(recipe, vectors, pairs=len(rows.rows))
    found = scored(rows, classifier.log_probabilities(read))
    if recipe.features != "cosine":
        return found
    similarity = read[:, 0]
    ranking = ranking_by(rows, similarity) if kind_of(rows.spec).several_rows else None
    return replace(found, similarity=similarity.tolist(), ranking=ranking)


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
    return Scored(score, kind.grouped(rows.documents, predicted), kind.grouped(rows.documents, kept), predicted)


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
