"""Reproducible to the bit on one machine, and no trace left in the process."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from xglue_harness.encoders.device import undisturbed
from xglue_harness.exclusive import one_thread


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed all generators that work on ``device`` uses and ask torch for deterministic kernels; undone at the end.

    They are the process's, so one thread at a time is in here (`xglue_harness.exclusive`). Kernels that have no
    deterministic form warn instead of failing, so that a run on a GPU goes on.
    """
    with one_thread():
        yield from _seeded(seed, device)


def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    settings: Any = torch.utils.deterministic
    filling = settings.fill_uninitialized_memory
    repeatable_products()
    with undisturbed(device), deterministic(strict=False):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        settings.fill_uninitialized_memory = False  # a search aid that costs a pass over all memory
        try:
            yield
        finally:
            settings.fill_uninitialized_memory = filling


def repeatable_products() -> None:
    """Have cuBLAS compute a product the same way each time; called before the first one, since torch asks it once.

    torch 2.10 and later do without.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic(*, strict: bool) -> Iterator[None]:
    """Ask torch for deterministic kernels; ``strict``: what has none is an error, not a warning.

    Attention's backward pass takes its deterministic form only where that is strict.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def nondeterministic(attempt: Callable[[], object]) -> list[str]:
    """What torch says of each operation that has no deterministic form; empty where all have one.

    Args:
        attempt: does all of it; called a second time where the first one fails.
    """
    try:
        with deterministic(strict=True):
            attempt()
    except RuntimeError as error:
        if "determinis" not in str(error):
            raise
    else:
        return []
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # else torch says it once a process
    try:
        with warnings.catch_warnings(record=True) as caught, deterministic(strict=False):
            warnings.simplefilter("always")
            attempt()
    finally:
        torch.set_warn_always(always)
    said = (str(warning.message) for warning in caught)
    return sorted({text.split(". ")[0] for text in said if "determinis" in text})
