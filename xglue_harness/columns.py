"""Tables of plain text that are wider than a line: their columns wrap into blocks, each with the names of the rows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

WIDEST = 120
"""Characters of a line at most, and where there is no terminal."""

_NARROWEST = 40


def line_width() -> int:
    """Characters of a line: as many as the terminal has, but not more than `WIDEST`, which a file or a pipe gets."""
    return max(_NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def in_blocks(widths: Sequence[int], room: int, *, gap: int = 2) -> list[list[int]]:
    """Which columns stand beside one another, behind the first one, which begins every block.

    There are as few blocks as can be, and they are about as wide as one another.

    Args:
        widths: characters of each column, ``[columns]``.
        room: characters of a line.
        gap: characters between two columns.

    Returns:
        Numbers of the columns of each block, the first one's not among them; a column that is too wide stands alone.
    """
    fewest = best = _filled(widths, room, gap)
    while len(best) == len(fewest) and room > widths[0]:
        fewest, room = best, room - 1
        best = _filled(widths, room, gap)
    return fewest


def _filled(widths: Sequence[int], room: int, gap: int) -> list[list[int]]:
    """Each block takes as many columns as fit."""
    blocks: list[list[int]] = [[]]
    used = widths[0]
    for number, width in enumerate(widths[1:], start=1):
        if blocks[-1] and used + gap + width > room:
            blocks.append([])
            used = widths[0]
        blocks[-1].append(number)
        used += gap + width
    return blocks


def aligned(rows: Sequence[Sequence[str]], room: int) -> list[str]:
    """A table's lines, in blocks that fit, with an empty line between two.

    Args:
        rows: cells, the heads of the columns first; the first column is aligned to the left, all others to the right.
        room: characters of a line.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for block in in_blocks(widths, room):
        if lines:
            lines.append("")
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(row[number].rjust(widths[number]) for number in block)]
            lines.append("  ".join(cells).rstrip())
    return lines
