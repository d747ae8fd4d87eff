"""The diagnostic ``trajectory`` of the harness: how an encoder's CKA goes while it learns a task, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from xglue_analysis.comparison import AtDepth, at_depth, known
from xglue_analysis.result import DiagnosticResult, Metric

PERMUTATIONS = 99
"""For the null of each epoch."""


class Epoch(Protocol):
    """An epoch of the training."""

    @property
    def epoch(self) -> float:
        """Passes over the training set."""

    @property
    def name(self) -> str:
        """What ``states`` call the encoder with its weights."""

    @property
    def missing(self) -> str | None:
        """Why its weights are not there; ``None``: they are."""

    @property
    def dev(self) -> Mapping[str, float]:
        """Dev scores by language."""

    @property
    def test(self) -> Mapping[str, float]:
        """Test scores by language."""


class EpochContext(Protocol):
    """What `trajectory` is given."""

    languages: tuple[str, ...]
    source: str
    parallel: bool
    seed: int
    device: torch.device

    @property
    def epochs(self) -> Sequence[Epoch]:
        """All epochs in their order."""

    def states(self, encoder: str, language: str) -> torch.Tensor:
        """``[layers + 1, n, d]``."""


@dataclass(frozen=True)
class _Point:
    epoch: float
    between: AtDepth


def trajectory(context: EpochContext) -> DiagnosticResult:
    """Debiased CKA after each epoch whose weights are there, mean over the layers above the embeddings.

    The details have, by language, all epochs with their scores, and of each ``measure`` a point an epoch:

    - ``cka_pretrained``: the epoch's encoder against the pretrained one, on the language's own sentences.
    - ``cka_en``: a language against English in the epoch's encoder, where test sets are translations; epoch 0 is the
      pretrained encoder.

    A point has the mean with its 95% interval and standard error, bootstrapped over sentences, what 95% of permutations
    of the sentences stay below, and the values by layer. The metrics are differences between two points of one
    trajectory, with standard errors of the paired bootstrap:

    - ``cka_pretrained_change``: of the last epoch less the first one that is there.
    - ``cka_en_change``: of the last epoch that is there less the pretrained encoder's.
    """
    there = [epoch for epoch in context.epochs if epoch.missing is None]
    source = context.source
    points: dict[str, dict[str, list[_Point]]] = {language: {} for language in context.languages}

    def states(encoder: str, language: str) -> list[torch.Tensor]:
        return list(context.states(encoder, language).to(context.device))

    def add(epoch: float, language: str, measure: str, one: tuple[str, str], other: tuple[str, str]) -> None:
        between = at_depth(states(*one), states(*other), seed=context.seed, permutations=PERMUTATIONS)
        points[language].setdefault(measure, []).append(_Point(epoch, between))

    for epoch, encoder in [(0.0, "pretrained"), *((epoch.epoch, epoch.name) for epoch in there)]:
        for language in context.languages:  # all of an epoch, before the next one takes its place
            if encoder != "pretrained":
                add(epoch, language, "cka_pretrained", (encoder, language), ("pretrained", language))
            if context.parallel and language != source:
                add(epoch, language, f"cka_{source}", (encoder, language), (encoder, source))
    return DiagnosticResult(
        languages={
            language: {f"{measure}_change": _change(line) for measure, line in lines.items() if len(line) > 1}
            for language, lines in points.items()
        },
        details={
            language: {
                "epochs": [_scores(epoch, language) for epoch in context.epochs],
                "points": [_row(measure, point) for measure, line in lines.items() for point in line],
            }
            for language, lines in points.items()
        },
    )


def _change(line: Sequence[_Point]) -> Metric:
    """The last point less the first; draws of sentences are the same in both."""
    first, last = line[0].between, line[-1].between
    return Metric(last.mean - first.mean, float((last.interval.means - first.interval.means).std()))


def _scores(epoch: Epoch, language: str) -> dict[str, Any]:
    return {
        "epoch": epoch.epoch,
        "missing": epoch.missing,
        "dev": epoch.dev.get(language),
        "test": epoch.test.get(language),
    }


def _row(measure: str, point: _Point) -> dict[str, Any]:
    """One point, as the record keeps it."""
    between = point.between
    low, high = between.bounds
    return {
        "measure": measure,
        "epoch": point.epoch,
        "n": between.n,
        "cka": known(between.mean),
        "stderr": known(between.interval.mean_stderr),
        "low": known(low),
        "high": known(high),
        "null_p95": between.null_p95,
        "by_layer": {
            "columns": ["layer", "other_layer", "cka", "cka_biased", "low", "high"],
            "rows": between.rows(),
        },
    }
