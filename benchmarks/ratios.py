"""Two programs run in turn, compared figure by figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

Found = Mapping[str, Sequence[Mapping[str, float]]]
"""The two sides; of each, the figures of every round, in the order of the rounds."""


def middle(values: Iterable[float]) -> tuple[float, float, float]:
    """Median, least and largest of some values."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[0], ordered[-1]


def print_ratios(found: Found, width: int) -> None:
    """Print the medians of each figure and the median ratio of the first side to the second, with its range.

    Args:
        found: the two sides.
        width: columns of a figure's name.
    """
    (first, ones), (second, others) = found.items()
    for figure in ones[0]:
        pairs = [(a[figure], b[figure]) for a, b in zip(ones, others, strict=True)]
        one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio, least, largest = middle(a / b if b else math.nan for a, b in pairs)
        print(
            f"{figure:{width}} {first} {one:9.3f}   {second} {other:9.3f}   "
            f"ratio {ratio:.2f} ({least:.2f} to {largest:.2f})"
        )


def print_difference(found: Found, figure: str) -> None:
    """Print by how much the first side's figure is above the second's: the median over the rounds, with its range."""
    (first, ones), (second, others) = found.items()
    difference, least, largest = middle(a[figure] - b[figure] for a, b in zip(ones, others, strict=True))
    print(f"{figure}: {first} - {second} {difference:+.4f} ({least:+.4f} to {largest:+.4f})")
