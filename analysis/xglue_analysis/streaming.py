"""CKA of more sentences than memory holds, a minibatch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from xglue_analysis.arrays import Array
from xglue_analysis.cka import cka_grid, ratio
from xglue_analysis.errors import AnalysisError


class MinibatchCKA:
    """Debiased CKA from the mean of ``HSIC₁`` over minibatches (Nguyen et al. 2021, equations 2 and 3).

    ``HSIC₁`` of a minibatch has the same expectation as that of all sentences, whatever its size, and so have the sums.
    Each minibatch counts once: draw them at random, of one size. More passes with other minibatches lower the noise.
    """

    def __init__(self) -> None:
        """Nothing is summed yet."""
        self.batches = 0
        """Minibatches so far."""
        self.sentences = 0
        """Sentences so far."""
        self._sums: list[torch.Tensor] | None = None

    def update(self, xs: Sequence[Array], ys: Sequence[Array] | None = None) -> None:
        """Add a minibatch.

        Args:
            xs: a layers ``[n, d]`` of some sentences, 4 at least.
            ys: b layers of the same sentences; ``None``: the same layers.

        Raises:
            AnalysisError: for another number of layers than before, and as `cka.cka_grid`.
        """
        grid = cka_grid(xs, ys)
        n = grid.n
        sums = [part / (n * (n - 3)) for part in grid.hsic()]
        if self._sums is not None:
            if self._sums[0].shape != sums[0].shape:
                shapes = tuple(self._sums[0].shape), tuple(sums[0].shape)
                raise AnalysisError(
                    f"minibatches of {shapes[0]} layers before and {shapes[1]} now: give the same layers"
                )
            sums = [old + new for old, new in zip(self._sums, sums, strict=True)]
        self._sums = sums
        self.batches += 1
        self.sentences += n

    def value(self) -> torch.Tensor:
        """``[a, b]`` float64; NaN where a layer never varies.

        Raises:
            AnalysisError: before the first minibatch.
        """
        if self._sums is None:
            raise AnalysisError("no minibatch was given")
        cross, own_a, own_b = self._sums
        return ratio(cross, own_a, own_b)
