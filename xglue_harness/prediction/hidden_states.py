"""Hidden states of some inputs, for diagnostics, out of the forward passes that predict them anyway."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from xglue_harness.encoders.pooling import pool

States = dict[int, torch.Tensor]
"""Mean over each input's subwords, ``[layers + 1, width]`` float32 on the CPU, by input. Layer 0 is what the embeddings
give, the last one the encoder's own output, as the head reads it."""


class HiddenStateRecorder:
    """Keeps the states of the inputs that are wanted, as batches go by."""

    def __init__(self, wanted: Sequence[Sequence[int]]) -> None:
        """Nothing is kept yet.

        Args:
            wanted: inputs of each data set, by their places in it.
        """
        self._wanted = wanted
        self._numbers: dict[int, tuple[int, int]] = {}
        self.states: list[States] = [{} for _ in wanted]

    def begin(self, sizes: Sequence[int]) -> None:
        """Number the inputs of all data sets one after another.

        Args:
            sizes: inputs of each data set.
        """
        first = 0
        for owner, (size, wanted) in enumerate(zip(sizes, self._wanted, strict=True)):
            self._numbers.update({first + index: (owner, index) for index in wanted})
            first += size

    def wants(self, numbers: Sequence[int]) -> bool:
        """Whether one of these inputs is wanted."""
        return any(number in self._numbers for number in numbers)

    def add(self, equals: Sequence[Sequence[int]], states: Sequence[torch.Tensor], mask: torch.Tensor) -> None:
        """Take what is wanted out of a batch.

        Args:
            equals: for each row of the batch the numbers of all inputs that are equal to it.
            states: hidden states of each layer, ``[batch, length, width]``.
            mask: ``[batch, length]``.
        """
        rows = [row for row, numbers in enumerate(equals) if self.wants(numbers)]
        if not rows:
            return
        real = mask[rows]
        vectors = torch.stack([pool(layer[rows].float(), real, "mean") for layer in states], dim=1).cpu()
        for row, vector in zip(rows, vectors, strict=True):
            for owner, index in (self._numbers[number] for number in equals[row] if number in self._numbers):
                self.states[owner][index] = vector
