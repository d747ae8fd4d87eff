"""How many subwords an evaluation batch holds.

A GPU's answers depend on it by the rounding of floats; so it follows from what stays the same on one machine: the
memory that the card has, not what is free, and what a forward pass needs, counted by torch's operations and not by its
allocator, whose figures depend on what ran before.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TOKENS_A_BATCH = {"cpu": 1024}
"""Padded subwords of a batch, by type of device: on a CPU what its caches hold is fastest."""
_TOKENS_A_BATCH = 8192
"""The same on a device whose memory is not known."""

_MOST = 32768
"""More does not pay: at 0.17 GFLOP a subword (XLM-R base) it is 5.6 TFLOP, some 10 ms of an H100, in which the host can
launch the 300 kernels of the next batch several times over, and each matrix product fills the card many times."""
_SHARE = 4
"""A batch may take one part in this many of the card's memory: weights, a training and other processes need theirs."""


def tokens_for(memory: int, bytes_a_token: float) -> int:
    """Padded subwords of a batch: a power of two, so that little differences of what was counted change nothing.

    Args:
        memory: bytes that the device has.
        bytes_a_token: that a forward pass holds at most, for each subword of its batch.
    """
    fit = int(memory / _SHARE / bytes_a_token)
    return min(1 << max(fit.bit_length() - 1, 0), _MOST)


def known_budget(device: torch.device) -> int:
    """Padded subwords of a batch on a device whose memory does not count."""
    return TOKENS_A_BATCH.get(device.type, _TOKENS_A_BATCH)


def device_memory(device: torch.device) -> int | None:
    """Bytes that a GPU has; ``None`` for another device."""
    return int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else None


def bytes_a_token(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], **options: Any) -> float:
    """What a forward pass holds at most, hidden states of all layers among it, for each subword of its batch.

    Args:
        model: in evaluation mode.
        tensors: an input without padding, ``[1, length]``, as the model takes it.
        options: further arguments of the model.
    """
    peaks: list[int] = []
    for rows in (1, 1, 2):  # at first copies of weights may be made, which stay for the others
        batch = {name: tensor.repeat(rows, *[1] * (tensor.dim() - 1)) for name, tensor in tensors.items()}
        with _LiveBytes() as live:
            model(**batch, **options, output_hidden_states=True)
        peaks.append(live.peak)
    return max(peaks[2] - peaks[1], 1) / tensors["input_ids"].shape[1]


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that operations make, for as long as they are there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._known.update(storage._cdata for storage in _storages((args, kwargs)))  # weights, which were there before
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage._cdata not in self._known:
                self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        self._known.add(storage._cdata)
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [one.untyped_storage() for one in tree_leaves(values) if isinstance(one, torch.Tensor)]
