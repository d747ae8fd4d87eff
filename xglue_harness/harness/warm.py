"""A model that is kept from one run to the next, in a process that makes many of them, one after another.

A run seeds all random number generators and makes its model then. So a model is kept only where making it drew nothing
from them: one that lacked weights, which were drawn, is made anew, as in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass
class _Slot:
    """The one place for a model."""

    is_open: bool = False
    key: str | None = None
    lm: object = None


_slot = _Slot()


def keep_models() -> None:
    """From now on, keep the last model of this process; a run leaves it as it was."""
    _slot.is_open = True


def kept_or_made(cls: object, arguments: Mapping[str, object], more: object, make: Callable[[], object]) -> object:
    """The model that was made last, where it was asked for by the same; else a new one.

    Args:
        cls: lm-eval's class of models.
        arguments: of the model.
        more: those of lm-eval's own: device, batch size.
        make: makes it.
    """
    if not _slot.is_open:
        return make()
    key = json.dumps([repr(cls), dict(arguments), more], sort_keys=True, default=repr)
    if _slot.key != key:
        _slot.key = _slot.lm = None  # its memory first
        before = _generators()
        lm = make()
        if before is None or before != _generators():
            return lm
        _slot.key, _slot.lm = key, lm
    return _slot.lm


def _generators() -> object:
    """State of all generators; ``None`` where a GPU has not been begun with, and so has none yet."""
    import torch

    from xglue_harness.training.checkpoint import generators

    state = generators(torch.device("cpu"))
    if not torch.cuda.is_available():
        return state
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    return {**state, "cuda": [found.tolist() for found in torch.cuda.get_rng_state_all()]}
