"""The short form of an analysis's table: what is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Summary:
    """A table in words.

    Attributes:
        heads: of the columns.
        note: how to read it.
        rows: cells of each row, and whether the numbers are others' than ours.
        remark: what is to be said below it; may be empty.
        names: how many of the columns, the first ones, name a row; the others hold numbers.
    """

    heads: tuple[str, ...]
    note: str
    rows: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    remark: str = ""
    names: int = 1

    def add(self, *cells: str, published: bool = False) -> None:
        """Add a row."""
        self.rows.append((cells, published))


def mean(values: Iterable[float | None]) -> str:
    """The mean of those that are known, with three digits."""
    known = [value for value in values if value is not None]
    return number(sum(known) / len(known) if known else None, 3)


def number(value: float | None, digits: int) -> str:
    """A number in words."""
    return "-" if value is None else f"{value:.{digits}f}"


def short_name(encoder: str) -> str:
    """The last part of an encoder's name."""
    return encoder.rstrip("/").rsplit("/", 1)[-1]
