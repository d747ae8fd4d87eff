"""Two programs run in turn, compared figure by figure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def print_ratios(found: Mapping[str, Sequence[Mapping[str, float]]], width: int) -> None:
    """Print the medians of each figure and the median ratio of the first side to the second, with its range.

    Args:
        found: the two sides; of each, the figures of every round, in the order of the rounds.
        width: columns of a figure's name.
    """
    (first, ones), (second, others) = found.items()
    for figure in ones[0]:
        pairs = [(a[figure], b[figure]) for a, b in zip(ones, others, strict=True)]
        ratios = sorted(a / b for a, b in pairs)
        one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{figure:{width}} {first} {one:9.3f}   {second} {other:9.3f}   "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
