"""Bars of progress on the terminal: only of what takes a while, and never in the middle of a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

PATIENCE = 1.0
"""Seconds that work takes before it gets a bar."""


def progress_bar(total: int, title: str, unit: str, *, wanted: bool, leave: bool = False, initial: int = 0) -> tqdm:
    """A bar of tqdm's that appears after `PATIENCE`.

    Args:
        total: of the units that are to be done.
        title: what is done.
        unit: name of what is counted.
        wanted: whether it is shown at all.
        leave: whether it stays once all is done.
        initial: units that were done before.
    """
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit=unit, disable=not wanted, leave=leave, initial=initial, delay=PATIENCE)


@contextmanager
def bars_aside() -> Iterator[Any]:
    """Bars make room for what is printed or logged meanwhile, and come back below it."""
    from tqdm import tqdm

    with tqdm.external_write_mode():
        yield
