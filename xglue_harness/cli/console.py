"""The one console: what users wrote is printed as it is, brackets, colons and all."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.summary import Summary

WIDE = 240
"""Columns at least where there is no terminal, so that a file or a pipe gets whole names."""


def printable(text: str) -> str:
    """A text without what a terminal would obey or could not encode: such characters by their escapes."""
    return "".join(c if c == "\n" or c.isprintable() or category(c) == "Zs" else ascii(c)[1:-1] for c in text)


class PlainConsole(Console):
    """A console for which no text is markup, emoji code or a command to the terminal."""

    def __init__(self, *, width: int | None = None) -> None:
        """Know the width.

        Args:
            width: columns; by default those of the terminal, or `WIDE`.
        """
        super().__init__(markup=False, emoji=False, highlight=False, width=width)
        if width is None and not self.is_terminal:
            self.width = max(WIDE, self.width)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does, of `printable` text."""
        return super().render_str(printable(text), **options)


def table(heads: Sequence[str], align: str, *, title: str | None = None) -> Table:
    """An empty table, in a frame where it has a title.

    Args:
        heads: of the columns.
        align: a letter for each, as in LaTeX: ``l`` (left), ``r`` (right), ``p`` (a paragraph: long cells are folded).
        title: above it.
    """
    if title is None:
        empty = Table(box=None, header_style="bold")
    else:
        empty = Table(title=title, title_justify="left", expand=False)
    for head, letter in zip(heads, align, strict=True):
        if letter == "p":
            empty.add_column(head, overflow="fold")
        else:
            empty.add_column(head, justify="right" if letter == "r" else "left", no_wrap=True)
    return empty


def print_summary(summary: Summary, out: Output) -> None:
    """Print the short form of an analysis's table, and what a reader must know of its data.

    Args:
        summary: the table.
        out: where the whole of it was written.
    """
    shown = table(summary.heads, "l" * summary.names + "r" * (len(summary.heads) - summary.names))
    for cells, published in summary.rows:
        shown.add_row(*cells, style="dim" if published else None)
    console = PlainConsole()
    console.print(shown)
    console.print(summary.note, style="dim")
    for line in (summary.remark, out.data.warning if out.data is not None else ""):
        if line:
            typer.echo(line)


def print_json(value: Any) -> None:
    """Print what a command's table says, for programs: the one form of ``--json``.

    Args:
        value: numbers, texts, sequences, mappings, dataclasses, paths, and numpy's numbers; a number that is not finite
            becomes ``null``, which JSON can say.
    """
    print(json.dumps(_plain(value), indent=1, allow_nan=False))  # noqa: T201


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # a number of numpy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
