"""Programs run in turn, round by round, and compared figure by figure."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

Figures = Mapping[str, Sequence[Mapping[str, float]]]
"""The two sides; of each, the figures of every round, in the order of the rounds."""


def parser_of(description: str | None, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """A parser whose help is a benchmark's own docstring, with ``--rounds`` where a default is given."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def in_turn(sides: Iterable[str], number: int) -> list[str]:
    """The sides in the order of one round: every second round goes backwards, so that none is always first."""
    return list(sides)[:: -1 if number % 2 else 1]


def clock(act: Callable[[], T]) -> tuple[float, T]:
    """Seconds that a call takes, and what it returns."""
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def middle(values: Iterable[float]) -> tuple[float, float, float]:
    """Median, least and largest of some values."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[0], ordered[-1]


def spread(values: Iterable[float], form: str = ".2f") -> str:
    """Median and range of some values, in words."""
    median, least, largest = (format(value, form) for value in middle(values))
    return f"{median} ({least} to {largest})"


def print_ratios(sides: Figures, width: int) -> None:
    """Print the medians of each figure and the median ratio of the first side to the second, with its range.

    Args:
        sides: both of them.
        width: columns of a figure's name.
    """
    (first, ones), (second, others) = sides.items()
    for figure in ones[0]:
        pairs = [(a[figure], b[figure]) for a, b in zip(ones, others, strict=True)]
        one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = spread(a / b if b else math.nan for a, b in pairs)
        print(f"{figure:{width}} {first} {one:9.3f}   {second} {other:9.3f}   ratio {ratio}")


def print_difference(sides: Figures, figure: str) -> None:
    """Print by how much the first side's figure is above the second's: the median over the rounds, with its range."""
    (first, ones), (second, others) = sides.items()
    differences = [a[figure] - b[figure] for a, b in zip(ones, others, strict=True)]
    print(f"{figure}: {first} - {second} {spread(differences, '+.4f')}")
