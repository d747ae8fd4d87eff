"""What is left of a similarity when what chance gives is taken away (Gröger et al. 2026, arXiv:2602.14486).

A similarity of unrelated representations is not 0, and depends on their width and on how many there are. So a value is
compared with what it becomes when the sentences of one side are shuffled, which breaks what belongs together and keeps
all else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.errors import AnalysisError


@dataclass(frozen=True)
class Calibrated:
    """A similarity beside its null.

    Attributes:
        value: as it was measured.
        score: ``(value - threshold) / (most - threshold)``, at least 0: 0 for what chance gives too, 1 for the most.
        p: share of the null, and of the value itself, that is as large: never 0.
        threshold: what the value has to exceed.
        mean: of the null.
    """

    value: float
    score: float
    p: float
    threshold: float
    mean: float


def calibrated(value: float, null: Array, *, most: float = 1.0, level: float = 0.05) -> Calibrated:
    """A value beside its null (Gröger et al. 2026, algorithm 1).

    The threshold is the order statistic ``⌈(1 - level)(K + 1)⌉`` of the value and its K null values together, so
    unrelated representations exceed it in no more than a share ``level`` of all cases, whatever their distribution.

    Args:
        value: the similarity.
        null: ``[K]``, the same for shuffled sentences.
        most: the largest value that there is.
        level: share of false positives.

    Returns:
        NaN everywhere where the value or one of its null is NaN.

    Raises:
        AnalysisError: for no null, or a level outside 0 to 1.
    """
    drawn = tensor(null, "null").double().flatten()
    if not len(drawn) or not 0 < level < 1:
        raise AnalysisError(
            f"{len(drawn)} null values and level={level}: give one at least, and a level between 0 and 1"
        )
    if math.isnan(value) or bool(drawn.isnan().any()):
        return Calibrated(*[math.nan] * 5)
    together = torch.cat([drawn, torch.tensor([value], dtype=torch.float64)]).sort().values
    threshold = float(together[math.ceil((1 - level) * len(together)) - 1])
    p = (1 + int((drawn >= value).sum())) / len(together)
    room = most - threshold
    score = max(0.0, value - threshold) / room if room > 0 else 0.0
    return Calibrated(value, score, p, threshold, float(drawn.mean()))


def shuffled(n: int, permutations: int, seed: int) -> torch.Tensor:
    """Orders of n sentences, ``[permutations, n]``: the same for all measures and layers of one seed.

    Raises:
        AnalysisError: for no permutations.
    """
    if permutations < 1:
        raise AnalysisError("no permutations: ask for one at least")
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n, generator=generator) for _ in range(permutations)])


def calibrate(
    x: Array,
    y: Array,
    measure: Callable[[torch.Tensor, torch.Tensor], float],
    *,
    permutations: int = 200,
    seed: int = 0,
    most: float = 1.0,
    level: float = 0.05,
) -> Calibrated:
    """Any similarity, calibrated by computing it again for each permutation.

    Args:
        x: ``[n, d]``.
        y: ``[n, e]``, row by row the same sentences.
        measure: the similarity of two such, as `alignment.mexa`.
        permutations: how many.
        seed: of them.
        most: the largest value that there is.
        level: share of false positives.

    Raises:
        AnalysisError: for no permutations, and as ``measure``.
    """
    x, y = tensor(x, "x"), tensor(y, "y")
    null = [measure(x, y[order]) for order in shuffled(len(y), permutations, seed)]
    return calibrated(measure(x, y), torch.tensor(null, dtype=torch.float64), most=most, level=level)
