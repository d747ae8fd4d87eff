"""Which differences between backbones are significant, and the ranks that follow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xglue_harness.leaderboard.ranking.statistics import LEVEL, Estimate


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: rejecting those of at most 0.05 errs anywhere with a probability of at most 0.05.

    Args:
        p_values: of all hypotheses of the family.

    Source:
        Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for step, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[i]))
        adjusted[i] = largest
    return adjusted


@dataclass(frozen=True)
class Comparison:
    """One pair of backbones.

    Attributes:
        first: number of the one.
        second: number of the other.
        difference: the first minus the second.
        p_holm: p-value, adjusted for all pairs that were compared.
    """

    first: int
    second: int
    difference: Estimate
    p_holm: float

    @property
    def winner(self) -> int | None:
        """The backbone that is significantly better; ``None``: tied."""
        if self.p_holm > 1 - LEVEL or self.difference.value == 0:
            return None
        return self.first if self.difference.value > 0 else self.second


def compare_all(size: int, difference: Callable[[int, int], Estimate]) -> list[Comparison]:
    """Compare all pairs of backbones.

    Args:
        size: how many backbones there are.
        difference: gives the first minus the second.
    """
    pairs = [(i, j, difference(i, j)) for i, j in itertools.combinations(range(size), 2)]
    adjusted = holm([estimate.p for *_, estimate in pairs])
    return [Comparison(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def ranks(comparisons: Sequence[Comparison], size: int) -> list[tuple[int, int]]:
    """Best and worst rank of each backbone: one more than those significantly better, and all but those worse.

    Backbones that no significant difference parts are tied at the same best rank, if the same ones are better.

    Args:
        comparisons: of all pairs.
        size: how many backbones there are.
    """
    better, worse = [0] * size, [0] * size
    for pair in comparisons:
        if pair.winner is not None:
            loser = pair.second if pair.winner == pair.first else pair.first
            better[loser] += 1
            worse[pair.winner] += 1
    return [(1 + better[i], size - worse[i]) for i in range(size)]
