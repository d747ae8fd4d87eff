r"""What scores of several trainings on the same test rows say, and how surely.

A score has two sources of chance: the training (its seed) and the test rows. Each backbone has its own trainings, but
all of them are scored on the same rows, so a difference between two is paired over rows; where the languages of a task
are translations of each other, a source sentence with all of its translations is one row. Every number here is an
`Estimate` of a contrast: a weighted sum of scores, such as a mean over languages, a difference between two backbones,
or English minus the others.

With ``S`` trainings and ``n`` rows, crossed, the variance of a contrast is that of a two-way layout without replication
(Searle, Casella and McCulloch 1992, Variance Components, chapter 4):

.. math:: \hat V = s^2_{seeds}/S + V_{rows} - V_{rows \times seeds}

``V_rows`` is by linearisation, as the standard errors of `xglue_harness.metrics`; the last term takes away what the
first two both hold. Intervals and p-values are Student's t with Satterthwaite's (1946) degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats: TypeAlias = NDArray[np.float64]

LEVEL = 0.95
"""Of all intervals."""

Seeds = Literal["own", "borrowed", "unknown"]
"""Where the variance between trainings comes from: each backbone's own; for a backbone with one training, the largest
of the others'; or nowhere, where all have one: then an interval is of test rows only, and too narrow."""


@dataclass(frozen=True)
class Block:
    """Test rows that several languages share (translations), or those of one language.

    Attributes:
        languages: columns of `TaskRuns.scores` that the rows belong to.
        numerators: what each row adds to the score's numerator, ``[rows, runs, languages]``.
        denominators: the same of its denominator; 1 where the score is a mean.
    """

    languages: tuple[int, ...]
    numerators: Floats
    denominators: Floats

    @cached_property
    def covariance(self) -> Floats:
        """Of the scores over draws of test rows, ``[runs, languages, runs, languages]``."""
        n, *shape = self.numerators.shape
        totals = self.denominators.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.where(totals > 0, self.numerators.sum(axis=0) / totals, 0.0)
            scale = np.where(totals > 0, np.sqrt(n / (n - 1)) / totals, 0.0) if n > 1 else np.zeros_like(totals)
        moves = ((self.numerators - ratios * self.denominators) * scale).reshape(n, -1)  # of each score, by each row
        covariance: Floats = (moves.T @ moves).reshape(*shape, *shape)
        return covariance


@dataclass(frozen=True)
class TaskRuns:
    """Scores of one task: several trainings of several backbones on the same test rows.

    Attributes:
        backbones: the backbone of each run, by number from 0, ``[runs]``; every number up to the largest has a run.
        scores: from 0 to 1, ``[runs, languages]``.
        blocks: the rows behind them; each language is in one block.
        tracks: of each backbone, how it was used (fine-tuned, frozen): a backbone with one training borrows from those
            of its own track alone; empty: all of one.
        unseeded: the backbones whose scores no seed decides.
    """

    backbones: NDArray[np.int64]
    scores: Floats
    blocks: tuple[Block, ...]
    tracks: tuple[str, ...] = ()
    unseeded: frozenset[int] = frozenset()

    def lenders(self, backbone: int) -> list[int]:
        """Backbones with several trainings, whose variance one with a single training may borrow."""
        alike = [other for other in range(self.size) if not self.tracks or self.tracks[other] == self.tracks[backbone]]
        return [other for other in alike if len(self.runs(other)) > 1 and other not in self.unseeded]

    def runs(self, backbone: int) -> NDArray[np.int64]:
        """The runs of a backbone."""
        return np.flatnonzero(self.backbones == backbone)

    @property
    def size(self) -> int:
        """How many backbones there are."""
        return int(self.backbones.max()) + 1


@dataclass(frozen=True)
class Estimate:
    """A contrast of scores with its uncertainty.

    Attributes:
        value: mean over the trainings, in the unit of the scores.
        stderr: standard error over trainings and test rows.
        df: Student's degrees of freedom.
        low: lower end of the 95% interval.
        high: upper end.
        p: two-sided p-value of the hypothesis that the contrast is 0.
        seeds: where the variance between trainings comes from.
    """

    value: float
    stderr: float
    df: float
    low: float
    high: float
    p: float
    seeds: Seeds

    def __neg__(self) -> Estimate:
        """The contrast the other way round."""
        return replace(self, value=-self.value, low=-self.high, high=-self.low)


Part: TypeAlias = "tuple[TaskRuns, Floats]"
"""A task, and the weight of each score in a contrast, ``[backbones, languages]``."""


def estimate(parts: Sequence[Part]) -> Estimate:
    """A contrast over one or more tasks, whose trainings and test rows are independent of each other.

    Args:
        parts: each task with its weights.

    Raises:
        ValueError: no score has a weight.
    """
    value, seeds, rows, shared = 0.0, 0.0, 0.0, 0.0
    uncertain: list[tuple[float, float]] = []  # parts of the variance, with their degrees of freedom
    sources: set[Seeds] = set()
    for task, weights in parts:
        shares = weights[task.backbones] / np.bincount(task.backbones)[task.backbones, None]
        value += float((shares * task.scores).sum())
        for block in task.blocks:
            total = _quadratic(block.covariance, shares[:, [*block.languages]])
            rows += total
            uncertain.append((total, len(block.numerators) - 1))
        for backbone in weighted_backbones(weights):
            variance, both, df, source = _between_trainings(task, backbone, weights[backbone])
            seeds, shared = seeds + variance, shared + both
            uncertain.append((variance, df))
            sources.add(source)
    if not sources:
        raise ValueError("a contrast needs at least one score with a weight other than 0")
    known: Seeds = "unknown" if "unknown" in sources else "borrowed" if "borrowed" in sources else "own"
    return _student(value, max(seeds + rows - shared, seeds, rows), uncertain, known)


def weighted_backbones(weights: Floats) -> list[int]:
    """Backbones that have a part in a contrast."""
    return [int(number) for number in np.flatnonzero(weights.any(axis=1))]


def _quadratic(covariance: Floats, shares: Floats) -> float:
    """Variance of a weighted sum of scores, ``shares[runs, languages]``; 0 where it is nothing but rounding."""
    flat = shares.ravel()
    matrix = covariance.reshape(flat.size, flat.size)
    variance = float(flat @ matrix @ flat)
    return variance if variance > 1e-12 * float(flat**2 @ matrix.diagonal()) else 0.0


def _between_trainings(task: TaskRuns, backbone: int, weight: Floats) -> tuple[float, float, float, Seeds]:
    """Variance of a backbone's mean over its trainings, its part from training × row, and degrees of freedom.

    Two or three trainings may happen to agree, and their variance is then far too small. It holds the interplay of
    training and rows, which is known better, from all rows: so it is taken for that at least. A backbone with one
    training gets the largest variance that another one has. Where no seed decides anything there is none.
    """
    if backbone in task.unseeded:
        return 0.0, 0.0, 0.0, "own"
    size = len(task.runs(backbone))
    donors = [backbone] if size > 1 else task.lenders(backbone)
    variances = []
    for donor in donors:
        runs = task.runs(donor)
        df = len(runs) - 1
        both = sum(_interplay(block, runs, weight[[*block.languages]]) for block in task.blocks)
        variances.append((max(float((task.scores[runs] @ weight).var(ddof=1)), both), both, df))
    if not variances:
        return 0.0, 0.0, 0.0, "unknown"
    variance, both, df = max(variances)
    return variance / size, both / size, df, "own" if size > 1 else "borrowed"


def _interplay(block: Block, runs: NDArray[np.int64], weight: Floats) -> float:
    """Variance of one training's score that comes from training × row, not from either."""
    between = (block.covariance[runs][:, :, runs] @ weight).transpose(0, 2, 1) @ weight
    return max(0.0, float(np.trace(between) - between.sum() / len(runs)) / (len(runs) - 1))


def _student(value: float, variance: float, uncertain: Sequence[tuple[float, float]], source: Seeds) -> Estimate:
    if variance == 0:  # no training and no row differs from another; what is left of the value may be rounding
        value = value if abs(value) > 1e-12 else 0.0
        return Estimate(value, 0.0, math.inf, value, value, float(value == 0), source)
    spread = sum(part**2 / df for part, df in uncertain if df > 0)
    df = variance**2 / spread if spread > 0 else math.inf
    stderr = math.sqrt(variance)
    reach = _quantile(df) * stderr
    p = float(2 * special.stdtr(df, -abs(value) / stderr))
    return Estimate(value, stderr, df, value - reach, value + reach, p, source)


def _quantile(df: float) -> float:
    """Student's, of both ends of an interval; from `scipy.special`, for `scipy.stats` takes ten times as long."""
    return float(special.stdtrit(df, (1 + LEVEL) / 2) if math.isfinite(df) else special.ndtri((1 + LEVEL) / 2))


def seed_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95% interval of the mean over trainings, on these very test rows; ``None`` for fewer than two.

    Args:
        values: a score of each training.
    """
    if len(values) < 2:
        return None
    mean, stderr = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = _quantile(len(values) - 1) * stderr
    return mean - reach, mean + reach
