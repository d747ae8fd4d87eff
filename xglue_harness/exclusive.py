"""One at a time: threads of this process, and processes of this machine.

The random number generators of Python, numpy and torch are the process's, not a thread's. A training seeds them and
draws from them step by step. A second thread that seeds them meanwhile, as every run of lm_eval does when it begins,
would change the weights without a word, and the store would keep them for good.

Imports nothing heavy: it is imported with the tasks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

_LOCK = threading.RLock()
_POLL = 0.5
"""Seconds between two tries for another process's lock."""
_REMIND = 60.0
"""Seconds after which whoever waits says so again."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold the process's one lock; a thread that has to wait for another says so, again every minute."""
    held = _LOCK.acquire(blocking=False)
    while not held:
        logger.warning(
            "another thread of this process loads a model, trains or predicts: this one waits for it, since both "
            "would draw from the same random number generators (separate processes run side by side)"
        )
        held = _LOCK.acquire(timeout=_REMIND)
    try:
        yield
    finally:
        _LOCK.release()


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock that one process at a time can have; a killed process's lock is free.

    Args:
        path: of the lock's file.
        waiting: what the log says, again every minute, while another process has it.

    Raises:
        OSError: where it can't be written.
    """
    from filelock import FileLock, Timeout  # not every command takes a lock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock, patience = FileLock(path), 0.0
    while True:
        try:
            lock.acquire(timeout=patience, poll_interval=_POLL)
            break
        except Timeout:
            logger.warning("%s", waiting)
            patience = _REMIND
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock of `locked` right now.

    Args:
        path: of the lock's file, there or not.

    Raises:
        OSError: where it can't be opened.
    """
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
