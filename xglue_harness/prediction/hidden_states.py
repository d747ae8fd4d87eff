"""Hidden states of some inputs, for diagnostics, out of the forward passes that predict them anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from xglue_harness.encoders.device_inputs import to_device
from xglue_harness.encoders.pooling import pool

States = dict[int, torch.Tensor]
"""Mean over each input's subwords, ``[layers + 1, width]`` float32 on the CPU, by input. Layer 0 is what the embeddings
give, the last one the encoder's own output, as the head reads it."""


class Recorder(Protocol):
    """Takes hidden states as batches go by; `xglue_harness.prediction.predict.predict` calls it in this order."""

    def begin(self, sizes: Sequence[int], firsts: np.ndarray) -> None:
        """Be told of all inputs, before any is computed."""

    def wants(self, batch: np.ndarray) -> bool:
        """Say whether the states of a batch are of use."""

    def add(self, batch: np.ndarray, states: Sequence[torch.Tensor], mask: torch.Tensor) -> None:
        """Take them."""

    def finish(self) -> None:
        """Be told that all batches are computed."""


class HiddenStateRecorder:
    """Keeps the states of the inputs that are wanted, as batches go by."""

    def __init__(self, wanted: Sequence[Sequence[int]]) -> None:
        """Nothing is kept yet.

        Args:
            wanted: inputs of each data set, by their places in it.
        """
        self._wanted = wanted
        self._asked: dict[int, list[tuple[int, int]]] = {}
        self._computed = np.zeros(0, dtype=bool)
        self._pieces: list[tuple[list[int], torch.Tensor]] = []
        self.states: list[States] = [{} for _ in wanted]

    def begin(self, sizes: Sequence[int], firsts: np.ndarray) -> None:
        """Number the inputs of all data sets one after another.

        Args:
            sizes: inputs of each data set.
            firsts: ``[inputs]``, for each the equal one that is computed for it.
        """
        self._computed = np.zeros(len(firsts), dtype=bool)
        start = 0
        for owner, (size, wanted) in enumerate(zip(sizes, self._wanted, strict=True)):
            for index in wanted:
                first = int(firsts[start + index])
                self._asked.setdefault(first, []).append((owner, index))
                self._computed[first] = True
            start += size

    def wants(self, batch: np.ndarray) -> bool:
        """Whether one of a batch's inputs is wanted, or one that is equal to it."""
        return bool(self._computed[batch].any())

    def add(self, batch: np.ndarray, states: Sequence[torch.Tensor], mask: torch.Tensor) -> None:
        """Take what is wanted out of a batch; it stays on the device.

        Args:
            batch: ``[batch]`` numbers of its inputs.
            states: hidden states of each layer, ``[batch, length, width]``.
            mask: ``[batch, length]``.
        """
        rows = np.flatnonzero(self._computed[batch])
        places = to_device(rows, mask.device)
        real = mask[places]
        vectors = torch.stack([pool(layer[places].float(), real, "mean") for layer in states], dim=1)
        self._pieces.append((batch[rows].tolist(), vectors))

    def finish(self) -> None:
        """Fill ``states``, once all batches are computed."""
        for numbers, vectors in self._pieces:
            for number, vector in zip(numbers, vectors.cpu(), strict=True):
                for owner, index in self._asked[number]:
                    self.states[owner][index] = vector
        self._pieces.clear()
