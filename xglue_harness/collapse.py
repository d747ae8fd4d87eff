"""Runs that learnt nothing are kept and flagged, so that nobody averages over them unawares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.kinds import kind_of

MARGIN = 2.0
"""Standard errors above a constant guess that English dev must reach."""


def chance(spec: TaskSpec, documents: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """What always guessing one class scores on a set of documents.

    Args:
        spec: the task.
        documents: documents with their gold labels.

    Returns:
        The score of guessing the commonest class, and the score up to which a model can't be told from that: `MARGIN`
        standard errors more.
    """
    kind = kind_of(spec)
    golds = [document[spec.label_column] for document in documents]
    (commonest, _), *_ = Counter(label for gold in golds for label in _labels(gold)).most_common(1)
    items = [kind.document_score(gold, _constant(gold, commonest)) for gold in golds]
    guess, stderr = kind.score(items), kind.stderr(items)
    return guess, guess if stderr is None else guess + MARGIN * stderr


def _labels(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value]


def _constant(gold: Any, label: int) -> Any:
    return [label] * len(gold) if isinstance(gold, list) else label


def classes_of(values: Iterable[Any]) -> set[int]:
    """The classes that occur among gold labels or predictions."""
    return {label for value in values for label in _labels(value)}


def constant(spec: TaskSpec, predicted: Iterable[Any], gold: Iterable[Any]) -> str | None:
    """The one class that all predictions are, where the gold labels are of several; ``None`` otherwise."""
    classes = classes_of(predicted)
    return spec.labels[classes.pop()] if len(classes) == 1 and len(classes_of(gold)) > 1 else None
