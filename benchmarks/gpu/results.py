"""Results of the parts, and how a worker process tells them: a line of JSON each, as soon as there is something."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["measured", "ok", "FAILED", "error", "left out"]
"""``FAILED``: a check found what it looks for; ``error``: the part itself broke, or ran out of time."""

MARK = "@result "
"""Begins the lines of a worker's output that are results."""

_TAIL = 1500


class LeftOutError(Exception):
    """This machine, or this version, has not what a part needs; the message says what."""


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        key: its name, ``group/what``.
        status: how it went.
        figures: numbers, and lists or tables of them, by name; names hold the units.
        note: what a reader must know.
    """

    key: str
    status: Status
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def tell(result: Result) -> None:
    """Print a result for the process that started this one."""
    print(f"{MARK}{json.dumps(asdict(result))}", flush=True)


def told(line: str) -> Result | None:
    """The result that a line of a worker's output tells; ``None`` for any other line."""
    return Result(**json.loads(line.removeprefix(MARK))) if line.startswith(MARK) else None


def arguments() -> dict[str, Any]:
    """What a worker process was given."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def check(key: str, act: Callable[[], tuple[bool, Mapping[str, Any], str]]) -> None:
    """Run a check and tell how it went; the next one runs whatever happens.

    Args:
        key: its name.
        act: gives whether it holds, the figures and a note.
    """
    try:
        holds, figures, note = act()
        tell(Result(key, "ok" if holds else "FAILED", dict(figures), note))
    except Exception as error:
        tell(broken(key, error))


def measure(key: str, act: Callable[[], tuple[Mapping[str, Any], str]]) -> bool:
    """Measure something and tell it; returns whether that went well."""
    try:
        figures, note = act()
        tell(Result(key, "measured", dict(figures), note))
    except Exception as error:
        tell(broken(key, error))
        return False
    return True


def broken(key: str, error: BaseException) -> Result:
    """A part that an exception ended; the end of its traceback is kept."""
    if isinstance(error, LeftOutError):
        return Result(key, "left out", {}, str(error))
    lines = traceback.format_exception(error)
    return Result(key, "error", {"traceback": "".join(lines)[-_TAIL:]}, first_line(error))


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
