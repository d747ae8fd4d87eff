"""CKA of more sentences than memory holds, a minibatch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from xglue_analysis.cka import cka_grid, hsic1
from xglue_analysis.errors import AnalysisError


class MinibatchCKA:
    """Debiased CKA from the mean of ``HSIC₁`` over minibatches (Nguyen et al. 2021, equations 2 and 3).

    ``HSIC₁`` of a minibatch has the expectation of that of all sentences, whatever its size, so the sums do, too. Each
    minibatch counts once: draw them at random, of one size. More than one pass with other minibatches lowers the noise.
    """

    def __init__(self) -> None:
        """Nothing is summed yet."""
        self.batches = 0
        """Minibatches so far."""
        self.sentences = 0
        """Sentences so far."""
        self._sums: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def update(self, xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor] | None = None) -> None:
        """Add a minibatch.

        Args:
            xs: a layers ``[n, d]`` of some sentences, 4 at least.
            ys: b layers of the same sentences; ``None``: the same layers.

        Raises:
            AnalysisError: for another number of layers than before, and as `cka.cka_grid`.
        """
        grid = cka_grid(xs, ys)
        a, b, n = grid.diagonals_a, grid.diagonals_b, grid.n
        found = (
            hsic1(grid.cross, a.sum(1)[:, None], b.sum(1)[None], a @ b.T, n),
            hsic1(grid.squares_a, a.sum(1), a.sum(1), a.square().sum(1), n),
            hsic1(grid.squares_b, b.sum(1), b.sum(1), b.square().sum(1), n),
        )
        found = tuple(part / (n * (n - 3)) for part in found)  # type: ignore[assignment]
        if self._sums is not None:
            if self._sums[0].shape != found[0].shape:
                shapes = tuple(self._sums[0].shape), tuple(found[0].shape)
                raise AnalysisError(
                    f"minibatches of {shapes[0]} layers before and {shapes[1]} now: give the same layers"
                )
            found = tuple(old + new for old, new in zip(self._sums, found, strict=True))  # type: ignore[assignment]
        self._sums = found
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
        scale = (own_a.clamp_min(0)[:, None] * own_b.clamp_min(0)[None]).sqrt()
        return torch.where(scale > 0, cross / scale, torch.nan)
