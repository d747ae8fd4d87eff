"""The paired bootstrap of a contrast: a check on `estimate`, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xglue_harness.leaderboard.ranking.statistics import Block, Floats, Part, weighted_backbones


def bootstrap(parts: Sequence[Part], *, replicates: int = 2000, seed: int = 0) -> Floats:
    """The paired bootstrap of a contrast, over trainings × test rows: the check on `estimate`, and a picture of it.

    A replicate draws rows (the same for all backbones and for all languages of a block) and each backbone's trainings,
    with replacement, and computes the scores anew. It holds only ``(S-1)/S`` of the variance of ``S`` trainings and no
    Student's quantiles, and counts the interplay of trainings and rows three times; ranks come from `estimate`.

    Args:
        parts: each task with its weights.
        replicates: how many.
        seed: of the draws.

    Returns:
        The contrast in each replicate, ``[replicates]``.

    Source:
        Owen 2007, The pigeonhole bootstrap, theorem 2.
    """
    generator = np.random.default_rng(seed)
    contrasts = np.zeros(replicates)
    for task, weights in parts:
        scores = np.empty((replicates, *task.scores.shape))
        for block in task.blocks:
            scores[:, :, [*block.languages]] = _redrawn(block, replicates, generator)
        for backbone in weighted_backbones(weights):
            runs = task.runs(backbone)
            drawn = generator.choice(runs, (replicates, len(runs)))
            values = scores @ weights[backbone]
            contrasts += np.take_along_axis(values, drawn, axis=1).mean(axis=1)
    return contrasts


def _redrawn(block: Block, replicates: int, generator: np.random.Generator) -> Floats:
    """Scores from rows drawn with replacement, ``[replicates, runs, languages]``."""
    rows, *shape = block.numerators.shape
    redrawn = np.empty((replicates, *shape))
    step = max(1, 4_000_000 // rows)  # counts of so many replicates fit in 32 MB
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        places = generator.integers(rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        counts = np.bincount(places.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)
        above = counts @ block.numerators.reshape(rows, -1)
        below = counts @ block.denominators.reshape(rows, -1)
        ratios = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        redrawn[start : start + size] = ratios.reshape(size, *shape)
    return redrawn
