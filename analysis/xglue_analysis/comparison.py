"""CKA of two encoders layer by layer, each value with what it takes to judge it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from xglue_analysis.arrays import Array, layers
from xglue_analysis.cka import cka_grid, null_deviation, standardised, without_dominant
from xglue_analysis.resampling import PAIRWISE_LIMIT, Interval, Null, Pairwise, jackknife_stderr

VALUES = (
    *("cka", "low", "high", "stderr", "stderr_jackknife", "null_mean", "null_sd", "null_p95"),
    *("cka_biased", "null_mean_biased", "null_p95_biased", "cka_standardised", "cka_without_dominant", "influence"),
)
"""Columns of a comparison that are measured."""


def compare(
    xs: Sequence[Array],
    ys: Sequence[Array],
    *,
    permutations: int = 200,
    replicates: int = 500,
    dropped: int = 3,
    seed: int = 0,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """One row for each pair of layers.

    - ``cka``: debiased; ``cka_biased``: the paper's form.
    - ``null_mean``, ``null_sd``: of ``cka`` when sentences are shuffled, exact for any data; ``null_p95``: its 95th
      percentile; ``null_mean_biased`` (exact) and ``null_p95_biased``: the same of the biased form.
    - ``low``, ``high``, ``stderr``: bootstrap of ``cka`` over sentences; ``stderr_jackknife``: from leaving one out.
    - ``cka_standardised``: of features with variance 1; ``cka_without_dominant``: without the ``dropped`` features of
      the largest variance on each side. Where they differ much from ``cka``, a few dimensions decide it.
    - ``influence``: largest change of ``cka`` when one sentence is left out; ``influential``: that sentence.

    Args:
        xs: a layers ``[n, d]``; layer 0 is what the embeddings give.
        ys: b layers ``[n, e]`` on the same sentences.
        permutations: for the percentiles.
        replicates: of the bootstrap.
        dropped: features to drop.
        seed: of both.
        progress: show bars.

    Returns:
        a * b rows with ``layer_a``, ``layer_b``, ``n``, ``d_a``, ``d_b`` and the values above; ``None`` for what can't
        be computed: values of a layer that is the same vector for all sentences, and all that needs permutations,
        replicates or leaving out where there are more than `resampling.PAIRWISE_LIMIT` sentences.

    Raises:
        AnalysisError: as `cka.cka_grid`.
    """
    xs, ys = layers(xs, "xs"), layers(ys, "ys")
    grid = cka_grid(xs, ys, progress=progress)
    n, shape = grid.n, (len(xs), len(ys))
    fewer_x, fewer_y = ([without_dominant(z, min(dropped, z.shape[1] - 1)) for z in zs] for zs in (xs, ys))
    columns = {
        "cka": grid.debiased,
        "cka_biased": grid.biased,
        "null_mean": torch.zeros(shape),
        "null_sd": torch.full(shape, null_deviation(n)),
        "cka_standardised": cka_grid([standardised(x) for x in xs], [standardised(y) for y in ys]).debiased,
        "cka_without_dominant": cka_grid(fewer_x, fewer_y).debiased,
    }
    influential = torch.full(shape, -1)
    if 5 <= n <= PAIRWISE_LIMIT:
        pairwise = Pairwise(xs, ys)
        null = pairwise.null(permutations=permutations, seed=seed, progress=progress)
        interval = pairwise.bootstrap(replicates=replicates, seed=seed, progress=progress)
        change = pairwise.leave_one_out() - grid.debiased[..., None]
        columns.update(_uncertain(null, interval, change))
        influential = change.abs().argmax(-1)
    rows = []
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            facts = {"layer_a": i, "layer_b": j, "n": n, "d_a": x.shape[1], "d_b": y.shape[1]}
            values = {name: known(columns[name][i, j]) if name in columns else None for name in VALUES}
            place = None if values["influence"] is None else int(influential[i, j])
            rows.append({**facts, **values, "influential": place, "dropped": dropped})
    return rows


def matched(layers: int, others: int) -> list[tuple[int, int]]:
    """Layers of two encoders at the same relative depth: 0 with 0, the last with the last.

    Args:
        layers: of the first encoder, the embeddings not counted.
        others: of the second.
    """
    return [(layer, round(layer * others / layers)) for layer in range(layers + 1)]


@dataclass(frozen=True)
class AtDepth:
    """Debiased CKA of two encoders at the same relative depth, and its mean over the layers above the embeddings.

    Attributes:
        n: sentences.
        pairs: of layers, as `matched` has them.
        debiased: ``[a, b]`` of all pairs of layers.
        biased: the same of the biased form.
        interval: bootstrap over sentences, of the pairs above the embeddings and of their mean.
        null_p95: 95th percentile of the mean when sentences are shuffled; ``None``: not asked for.
    """

    n: int
    pairs: list[tuple[int, int]]
    debiased: torch.Tensor
    biased: torch.Tensor
    interval: Interval
    null_p95: float | None

    @property
    def mean(self) -> float:
        """Over the layers above the embeddings."""
        return float(torch.stack([self.debiased[i, j] for i, j in self.pairs[1:]]).nanmean())

    @property
    def bounds(self) -> tuple[float, float]:
        """95% interval of `mean`: percentiles over replicates."""
        low, high = torch.nanquantile(self.interval.means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return low, high

    def rows(self) -> list[list[float | int | None]]:
        """``layer``, ``other_layer``, ``cka``, ``cka_biased``, ``low`` and ``high`` of each pair of layers."""
        kept = (self.debiased, self.biased, self.interval.low, self.interval.high)
        return [[i, j, *(known(values[i, j]) for values in kept)] for i, j in self.pairs]


def at_depth(xs: Sequence[Array], ys: Sequence[Array], *, seed: int, permutations: int = 0) -> AtDepth:
    """Compare two encoders at the same relative depth.

    Args:
        xs: a layers ``[n, d]``; layer 0 is what the embeddings give.
        ys: b layers ``[n, e]`` on the same sentences.
        seed: of the bootstrap and of permutations.
        permutations: for `AtDepth.null_p95`.

    Raises:
        AnalysisError: as `cka.cka_grid`, and for more than `resampling.PAIRWISE_LIMIT` sentences.
    """
    pairs = matched(len(xs) - 1, len(ys) - 1)
    grid, pairwise, above = cka_grid(xs, ys), Pairwise(xs, ys), pairs[1:]
    interval = pairwise.bootstrap(seed=seed, pairs=above, average=above)
    null = None
    if permutations:
        draws = pairwise.null(permutations=permutations, seed=seed).debiased
        null = known(torch.stack([draws[:, i, j] for i, j in above]).nanmean(0).quantile(0.95))
    return AtDepth(grid.n, pairs, grid.debiased.cpu(), grid.biased.cpu(), interval, null)


def _uncertain(null: Null, interval: Interval, change: torch.Tensor) -> dict[str, torch.Tensor]:
    jackknife = torch.tensor([[jackknife_stderr(values) for values in row] for row in change])
    return {
        "null_p95": null.debiased_p95,
        "null_mean_biased": null.biased_mean,
        "null_p95_biased": null.biased_p95,
        "low": interval.low,
        "high": interval.high,
        "stderr": interval.stderr,
        "stderr_jackknife": jackknife,
        "influence": change.abs().amax(-1),
    }


def known(value: torch.Tensor | float) -> float | None:
    """A number for a table: ``None`` where it is NaN."""
    number = float(value)
    return number if math.isfinite(number) else None
