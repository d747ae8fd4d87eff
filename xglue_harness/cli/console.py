"""The one console: what users wrote is printed as it is, brackets, colons and all."""

from __future__ import annotations

from typing import Any
from unicodedata import category

from rich.console import Console
from rich.text import Text


def printable(text: str) -> str:
    """A text without what a terminal would obey or could not encode: such characters by their escapes."""
    return "".join(c if c == "\n" or c.isprintable() or category(c) == "Zs" else ascii(c)[1:-1] for c in text)


class PlainConsole(Console):
    """A console for which no text is markup, emoji code or a command to the terminal."""

    def __init__(self, *, width: int | None = None, wide: int = 160) -> None:
        """Know the width.

        Args:
            width: columns; by default those of the terminal.
            wide: columns at least where there is none, so that a file or a pipe gets whole names.
        """
        super().__init__(markup=False, emoji=False, highlight=False, width=width)
        if width is None and not self.is_terminal:
            self.width = max(wide, self.width)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does, of `printable` text."""
        return super().render_str(printable(text), **options)
