"""Ctrl-C: one line that says how to go on, and exit status 130, where the process is a command and no notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xglue_harness.threads import is_lm_eval

STATUS = 130
"""The exit status of what was ended by Ctrl-C: 128 and the signal's number."""

LINE = (
    "xglue-harness: interrupted. The same command goes on: what was finished is kept, and a training goes on from its "
    "last checkpoint"
)


@contextmanager
def told_how_to_go_on() -> Iterator[None]:
    """End lm_eval's command line with `LINE` on Ctrl-C; where others called us, the interrupt is theirs.

    Raises:
        SystemExit: with `STATUS`.
        KeyboardInterrupt: where the process is not lm_eval's command line.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not is_lm_eval():
            raise
        print(f"\n{LINE}", file=sys.stderr)  # noqa: T201
        raise SystemExit(STATUS) from None
