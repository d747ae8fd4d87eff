"""What is wrong with a stranger's file, in messages that can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from xglue_harness.errors import XGlueError
from xglue_harness.untrusted.text import UNSEEN

_SHOWN_LIMIT = 600


def shown(problem: str) -> str:
    """A message in one line of characters that can be seen, cut where it is long, whatever a stranger put into it."""
    text = "".join(c if c.isprintable() and not UNSEEN.match(c) else ascii(c)[1:-1] for c in problem[:_SHOWN_LIMIT])
    return text if len(problem) <= _SHOWN_LIMIT else f"{text}…"


@contextmanager
def collect_problems(path: Path, problems: list[str]) -> Iterator[None]:
    """Whatever is raised inside is a problem of that file, and not the end of the check."""
    try:
        yield
    except XGlueError as error:
        problems.append(str(error))
    except Exception as error:  # hostile files find what no list of exceptions foresaw
        problems.append(f"{path}: malformed: {type(error).__name__}: {error}")


def problems_of(error: ValidationError, where: str = "") -> str:
    """What a schema holds against a file, key by key, in a line; at most ten.

    Args:
        error: of the schema.
        where: what stands before each key.
    """
    if (count := error.error_count()) > 1000:  # a list of them all may take more memory than the file
        return f"{where.rstrip('.') or 'file'}: {count:,} values are against the schema"
    return "; ".join(
        f"{where}{'.'.join(map(str, item['loc']))}".rstrip(".") + f": {item['msg'].removeprefix('Value error, ')}"
        if where or item["loc"]
        else f"file: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:10]
    )
