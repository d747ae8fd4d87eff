"""A command ends with one line: the message of an error of ours (exit status 2), or on Ctrl-C how to go on (130).

That is for commands; in a notebook, or in another program, errors and interrupts are raised as they are.
"""

from __future__ import annotations

import logging
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
    """End lm_eval's command line with `LINE` on Ctrl-C; any other caller gets the interrupt.

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


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """End lm_eval's command line with the message of an error of ours, without a traceback, and exit status 2.

    The traceback is logged for ``--verbosity DEBUG``.

    Raises:
        SystemExit: with 2.
        Exception: anything else, and errors of ours where the process is not lm_eval's command line.
    """
    try:
        yield
    except Exception as error:
        from xglue_harness.errors import XGlueError  # a run without our tasks does not import it

        if not (isinstance(error, XGlueError) and is_lm_eval()):
            raise
        logging.getLogger("lm_eval.xglue_harness").debug("here it was raised", exc_info=True)
        print(f"xglue-harness: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
