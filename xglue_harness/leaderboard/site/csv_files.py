"""Tables as CSV files: the numbers of a page as it shows them, in full precision.

Scores are in percent and differences in points, as in the table; columns ``low`` and ``high`` hold a 95% interval.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import PurePosixPath

from xglue_harness.leaderboard.site.cells import NONE, Cell, Head, Table
from xglue_harness.leaderboard.site.json_numbers import DIGITS

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula, at the start of a text."""


class Downloads:
    """CSV files of the tables that pages show, by path from the site's root; a template asks for one by its table."""

    def __init__(self) -> None:
        """None yet."""
        self.files: dict[str, str] = {}
        self._page = ""

    def start(self, page: str) -> None:
        """From now on tables are those of ``page``."""
        self._page = PurePosixPath(page).stem

    def __call__(self, table: Table) -> str:
        """Keep a table; its path."""
        stem = path = f"data/tables/{self._page}-{_slug(table.caption)}"
        number = 1
        while f"{path}.csv" in self.files:
            number += 1
            path = f"{stem}-{number}"
        path += ".csv"
        self.files[path] = csv_text(table)
        return path


def _slug(caption: str, limit: int = 48) -> str:
    """The first words of a caption, for a file's name."""
    slug = ""
    for word in re.findall(r"[a-z0-9]+", caption.lower()):
        if len(slug) + len(word) > limit:
            break
        slug += f"-{word}"
    return slug.removeprefix("-").removesuffix("-in") or "table"


def csv_text(table: Table) -> str:
    """A table as CSV: a line of heads, a line for each row.

    Args:
        table: a cell with a number gives that, with an interval its ends in two columns more; others give their text.
    """
    columns = [_Column(head, [row[place] for row in table.rows]) for place, head in enumerate(table.heads)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for column in columns for name in column.names])
    for number in range(len(table.rows)):
        writer.writerow([value for column in columns for value in column.values(number)])
    return out.getvalue()


class _Column:
    def __init__(self, head: Head, cells: list[Cell]) -> None:
        self.cells = cells
        self.spans = any(cell.span is not None for cell in cells)
        self.valued = not self.spans or any(cell.value is not None for cell in cells)
        name = text_value(head.text)
        self.names = [name] * self.valued + [f"{name} low", f"{name} high"] * self.spans

    def values(self, number: int) -> list[str]:
        cell = self.cells[number]
        ends = cell.span or (None, None)
        own = text_value(cell.text) if cell.value is None and cell is not NONE else _number(cell.value)
        return [own] * self.valued + [_number(end) for end in ends] * self.spans


def _number(value: float | None) -> str:
    return "" if value is None else repr(round(value, DIGITS - 2))


def text_value(text: str) -> str:
    """A text that no spreadsheet takes for a formula; a dash, which stands for nothing, is empty."""
    if text == NONE.text:
        return ""
    return f"'{text}" if text.startswith(FORMULA) else text
