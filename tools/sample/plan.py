"""Drawing the rows of a task: distinct items, split three ways, labels balanced and shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")
Label = TypeVar("Label")

SIZES = {"train": 240, "dev": 40, "test": 60}
"""Rows (or sentences) of a file."""


def distinct(count: int, draw: Callable[[], Item], key: Callable[[Item], object] = lambda item: item) -> list[Item]:
    """Draw ``count`` items of which no two have the same key.

    Raises:
        ValueError: if the space of items looks too small.
    """
    seen: dict[object, Item] = {}
    for _ in range(1000 * count):
        item = draw()
        seen.setdefault(key(item), item)
        if len(seen) == count:
            return list(seen.values())
    raise ValueError(f"fewer than {count} distinct items")


def balanced(rng: Random, labels: Sequence[Label], count: int) -> list[Label]:
    """``count`` labels in random order, each as often as the others (give or take one)."""
    result = [labels[i % len(labels)] for i in range(count)]
    rng.shuffle(result)
    return result


def split_up(items: Sequence[Item], per_item: int = 1) -> dict[str, list[Item]]:
    """Cut ``items`` into the splits; ``per_item`` rows will be made of each."""
    result: dict[str, list[Item]] = {}
    start = 0
    for split, size in SIZES.items():
        count = size // per_item
        result[split] = list(items[start : start + count])
        start += count
    return result


def total(per_item: int = 1) -> int:
    """How many items all splits need."""
    return sum(size // per_item for size in SIZES.values())
