"""A command ends with one line: the message of an error of ours (exit status 2), or on Ctrl-C how to go on (130).

That is for commands; in a notebook, or in another program, errors and interrupts are raised as they are.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xglue_harness.threads import is_lm_eval

STATUS = 130
"""The exit status of what was ended by Ctrl-C: 128 and the signal's number."""

LINE = (
    "xglue-harness: interrupted. The same command goes on: what was finished is kept, and a training goes on from its "
    "last checkpoint"
)


@dataclass
class _Stop:
    """A request to stop, and how many trainings are in their steps, where they write checkpoints."""

    is_requested: bool = False
    trainings: int = 0


_stop = _Stop()


def request_stop(*_: object) -> None:
    """Stop as by Ctrl-C, but let a training write a checkpoint first. For a signal's handler, in the main thread.

    Raises:
        KeyboardInterrupt: at once, where nothing is in the steps of a training.
    """
    _stop.is_requested = True
    if not _stop.trainings:
        raise KeyboardInterrupt


def is_stop_requested() -> bool:
    """Whether a training is to write a checkpoint and stop; nobody asks but for `request_stop`."""
    return _stop.is_requested


@contextmanager
def stopping_after_checkpoints() -> Iterator[None]:
    """The steps of a training, which asks `is_stop_requested` and has written a checkpoint when it leaves.

    Raises:
        KeyboardInterrupt: at the end, where a stop is requested.
    """
    _stop.trainings += 1
    try:
        yield
    finally:
        _stop.trainings -= 1
    if _stop.is_requested:
        raise KeyboardInterrupt


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
        from xglue_harness.errors import PREFIX, XGlueError  # a run without our tasks does not import it

        if not (isinstance(error, XGlueError) and is_lm_eval()):
            raise
        logging.getLogger("lm_eval.xglue_harness").debug("here it was raised", exc_info=True)
        print(f"{PREFIX}{error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
