"""One thread at a time: the random number generators of Python, numpy and torch are the process's, not a thread's.

A training seeds them and draws from them step by step. A second thread that seeds them meanwhile, as every run of
lm_eval does when it begins, would change the weights without a word, and the store would keep them for good.

Imports nothing heavy: it is imported with the tasks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_LOCK = threading.RLock()
_REMIND = 60.0
"""Seconds after which a thread says again that it waits."""


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
