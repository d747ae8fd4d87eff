"""Linear centred kernel alignment (CKA) between representations, biased and debiased.

``X`` is ``[n, d]``: n sentences, d features, centred here. With ``K = X Xᵀ`` and ``L = Y Yᵀ``:

- biased: ``<K, L> / (‖K‖ ‖L‖)``, which for linear kernels is ``‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖)`` (Kornblith et al. 2019,
  equation 3; the form of Ji et al. 2024, section 3.2). Where n is not ≫ d it is near 1 whatever the data.
- debiased: the same ratio of the U-statistics ``HSIC₁`` (Song et al. 2012, equation 5, as used by Nguyen et al. 2021):
  ``HSIC₁(K, L) = [<K̃, L̃> + (1ᵀK̃1)(1ᵀL̃1) / ((n-1)(n-2)) - 2/(n-2) 1ᵀK̃L̃1] / (n(n-3))``, K̃ being K with a zero diagonal.
  It is zero in expectation for independent data, and may be negative.

As features are centred, ``K 1 = 0``; so with the diagonals k and l all that either form needs is ``<K̃, L̃>`` and
``k·l``: ``1ᵀK̃1 = -Σk`` and ``1ᵀK̃L̃1 = k·l``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from tqdm import tqdm

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.arrays import layers as layers_of
from xglue_analysis.errors import AnalysisError

Side = Literal["gram", "feature"]

_BLOCK = 1 << 22
"""Elements of all Gram blocks that are held at a time."""


@dataclass(frozen=True)
class Grid:
    """The sums from which every CKA of a layers with b layers follows.

    Attributes:
        n: sentences.
        cross: ``[a, b]`` float64, ``<K̃_i, L̃_j>``: without the diagonals.
        diagonals_a: ``[a, n]`` float64, squared norms of the centred sentences.
        diagonals_b: ``[b, n]``.
        squares_a: ``[a]`` float64, ``<K̃_i, K̃_i>``.
        squares_b: ``[b]``.
        side: which product was computed.
        precision: share of a sum that may be rounding.
    """

    n: int
    cross: torch.Tensor
    diagonals_a: torch.Tensor
    diagonals_b: torch.Tensor
    squares_a: torch.Tensor
    squares_b: torch.Tensor
    side: Side
    precision: float

    @property
    def biased(self) -> torch.Tensor:
        """``[a, b]`` float64; NaN where a layer is the same vector for all sentences."""
        a, b = self.diagonals_a, self.diagonals_b
        own_a, own_b = self.squares_a + a.square().sum(1), self.squares_b + b.square().sum(1)
        return ratio(self.cross + a @ b.T, own_a, own_b)

    @property
    def debiased(self) -> torch.Tensor:
        """``[a, b]`` float64; NaN where a layer is the same vector for all sentences."""
        return ratio(*self.hsic())

    def hsic(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``n(n-3) HSIC₁`` of all pairs ``[a, b]`` and of each layer with itself, ``[a]`` and ``[b]``.

        A layer's own is 0 where it is no more than rounding: all sentences are equally far from each other.
        """
        a, b, n = self.diagonals_a, self.diagonals_b, self.n
        own_a = own_hsic(self.squares_a, a, self.precision, self.side)
        own_b = own_hsic(self.squares_b, b, self.precision, self.side)
        return hsic1(self.cross, a.sum(1)[:, None], b.sum(1)[None], a @ b.T, n), own_a, own_b


def hsic1(
    cross: torch.Tensor, trace_a: torch.Tensor, trace_b: torch.Tensor, diagonals: torch.Tensor, n: int
) -> torch.Tensor:
    """``n(n-3) HSIC₁`` of centred linear kernels (Song et al. 2012, equation 5).

    Args:
        cross: ``<K̃, L̃>``, without the diagonals.
        trace_a: trace of K.
        trace_b: trace of L.
        diagonals: inner product of the two diagonals.
        n: sentences.
    """
    return cross + trace_a * trace_b / ((n - 1) * (n - 2)) - 2 / (n - 2) * diagonals


def own_hsic(squares: torch.Tensor, diagonals: torch.Tensor, precision: float, side: Side) -> torch.Tensor:
    """``n(n-3) HSIC₁`` of layers with themselves; 0 where it is rounding.

    Args:
        squares: ``[a]``, ``<K̃, K̃>``.
        diagonals: ``[a, n]``.
        precision: share of what was summed that may be rounding.
        side: what was summed: by features the diagonals are, too.
    """
    traces, squared_diagonals = diagonals.sum(1), diagonals.square().sum(1)
    values = hsic1(squares, traces, traces, squared_diagonals, diagonals.shape[1])
    summed = squares if side == "gram" else squares + squared_diagonals
    return torch.where(values > precision * summed, values, 0.0)


def cka(x: Array, y: Array, *, debiased: bool = True) -> float:
    """Linear CKA of two representations of the same sentences.

    Args:
        x: ``[n, d]``.
        y: ``[n, e]``, row by row the same sentences.
        debiased: the form that is zero in expectation for independent data; else Kornblith's.

    Raises:
        AnalysisError: for fewer than 4 sentences, other shapes, or values that are not finite.
    """
    grid = cka_grid([tensor(x, "x")], [tensor(y, "y")])
    return float((grid.debiased if debiased else grid.biased)[0, 0])


def cka_grid(
    xs: Sequence[Array],
    ys: Sequence[Array] | None = None,
    *,
    side: Side | None = None,
    progress: bool = False,
) -> Grid:
    """CKA of every layer of one model with every layer of another, or of one model with itself.

    Products are computed in the inputs' precision (at least float32) and summed in float64.

    Args:
        xs: a layers ``[n, d]``; widths may differ.
        ys: b layers ``[n, e]`` on the same sentences; ``None``: the same layers.
        side: compute Gram matrices (``[n, n]``) or products of features (``[d, e]``); by default the cheaper one.
        progress: show a bar.

    Raises:
        AnalysisError: for fewer than 4 sentences, different numbers of them, or values that are not finite.
    """
    left, right = both_centred(xs, ys)
    n = left[0].shape[0]
    chosen = side or cheaper(n, [x.shape[1] for x in left], [y.shape[1] for y in right], same=ys is None)
    sums = _gram_sums if chosen == "gram" else _feature_sums
    diagonals_a = torch.stack([_squared_norms(x) for x in left])
    diagonals_b = diagonals_a if ys is None else torch.stack([_squared_norms(y) for y in right])
    cross, squares_a, squares_b = sums(left, right, progress)
    if chosen == "feature":
        cross = cross - diagonals_a @ diagonals_b.T
        squares_a = squares_a - diagonals_a.square().sum(1)
        squares_b = squares_b - diagonals_b.square().sum(1)
    precision = precision_of(left[0]) if ys is None else max(precision_of(left[0]), precision_of(right[0]))
    return Grid(n, cross, diagonals_a, diagonals_b, squares_a, squares_b, chosen, precision)


def cheaper(n: int, widths_a: Sequence[int], widths_b: Sequence[int], *, same: bool = False) -> Side:
    """The side with fewer multiplications.

    A grid costs ``2 n² (Σd + Σe) + 2 a b n²`` by Gram matrices and ``2 n (ΣΣ d e + Σd² + Σe²)`` by features.

    Args:
        n: sentences.
        widths_a: d of each layer.
        widths_b: e of each layer.
        same: whether both are the same layers.
    """
    inner = sum(d * e for d in widths_a for e in widths_b)
    squares = sum(d * d for d in widths_a)
    if same:
        gram = n * n * (sum(widths_a) + len(widths_a) ** 2)
        return "gram" if gram <= n * (inner + squares) // 2 else "feature"
    gram = n * n * (sum(widths_a) + sum(widths_b) + len(widths_a) * len(widths_b))
    return "gram" if gram <= n * (inner + squares + sum(e * e for e in widths_b)) else "feature"


def both_centred(xs: Sequence[Array], ys: Sequence[Array] | None) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """`centred` layers of the same sentences; the very same list twice where ``ys`` is ``None``.

    Raises:
        AnalysisError: as `cka_grid`.
    """
    left = centred(layers_of(xs, "xs"))
    right = left if ys is None else centred(layers_of(ys, "ys"))
    if left[0].shape[0] != right[0].shape[0]:
        counts = left[0].shape[0], right[0].shape[0]
        raise AnalysisError(f"{counts[0]} sentences on one side and {counts[1]} on the other: give the same ones")
    return left, right


def centred(layers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Layers with the mean of each feature taken off; one that does not vary beyond its rounding becomes zero.

    Args:
        layers: each ``[n, d]``.

    Returns:
        Tensors of at least float32.

    Raises:
        AnalysisError: as `cka_grid`.
    """
    if not len(layers):
        raise AnalysisError("no layers are given")
    centred_layers = []
    for place, layer in enumerate(layers):
        if layer.dim() != 2 or layer.shape[0] != layers[0].shape[0]:
            raise AnalysisError(f"layer {place} has shape {tuple(layer.shape)}: give [n, d] with the same n for all")
        if layer.shape[0] < 4:
            raise AnalysisError(f"{layer.shape[0]} sentences are too few: debiased CKA needs 4 at least")
        precise = layer.detach().double()
        if not torch.isfinite(precise).all():
            raise AnalysisError(f"layer {place} has values that are not finite")
        kept = torch.float64 if layer.dtype == torch.float64 else torch.float32
        free = precise - precise.mean(0)
        if free.norm() <= rounding(layer) * precise.norm():
            free = torch.zeros_like(free)
        centred_layers.append(free.to(kept))
    return centred_layers


def standardised(layer: Array) -> torch.Tensor:
    """Features of variance 1 (z-scores); those that do not vary become zero.

    Dimensions with a far larger variance than the others decide CKA alone; so each counts the same (Timkey and van
    Schijndel 2021, section 4).

    Args:
        layer: ``[n, d]``.

    Returns:
        ``[n, d]`` float64.
    """
    free, varies = centred_features(tensor(layer, "layer"))
    return torch.where(varies, free / free.square().mean(0).sqrt().clamp_min(1e-300), 0.0)


def centred_features(layer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features less their means, ``[n, d]`` float64, and which of them vary beyond their rounding, ``[d]`` bool."""
    precise = layer.detach().double()
    free = precise - precise.mean(0)
    return free, free.norm(dim=0) > rounding(layer) * precise.norm(dim=0)


def rounding(layer: torch.Tensor) -> float:
    """Share of a layer's norm up to which its variation is taken for rounding: that of the arithmetic that made it."""
    return 1e-12 if layer.dtype == torch.float64 else 1e-5


def precision_of(layer: torch.Tensor) -> float:
    """Share of a sum of products that may be rounding."""
    return 1e-12 if layer.dtype == torch.float64 else 1e-6


def without_dominant(layer: Array, k: int) -> torch.Tensor:
    """A layer without its k features of the largest variance (Timkey and van Schijndel 2021: rogue dimensions).

    Args:
        layer: ``[n, d]``.
        k: features to drop, fewer than d.

    Returns:
        ``[n, d - k]``.

    Raises:
        AnalysisError: where nothing would be left.
    """
    layer = tensor(layer, "layer")
    if layer.dim() != 2:
        raise AnalysisError(f"a layer of shape {tuple(layer.shape)}: give [n, d]")
    if not 0 <= k < layer.shape[1]:
        raise AnalysisError(f"{k} of {layer.shape[1]} features can't be dropped")
    variances = layer.detach().double().var(0, correction=0)
    keep = torch.argsort(variances, descending=True, stable=True)[k:].sort().values
    kept: torch.Tensor = layer[:, keep]
    return kept


def null_deviation(n: int) -> float:
    """Standard deviation of debiased CKA over all permutations of one side's sentences; its mean is 0.

    Both are exact and hold for any data: U-centred matrices have zero row sums and a zero diagonal, so that the second
    moment of ``Σ K°_ij L°_π(i)π(j)`` is ``2 ‖K°‖² ‖L°‖² / (n(n-3))``. (The bias-corrected distance correlation has the
    same moments: Székely and Rizzo 2013.)

    Args:
        n: sentences, 4 at least.

    Raises:
        AnalysisError: for fewer.
    """
    if n < 4:
        raise AnalysisError(f"{n} sentences are too few: debiased CKA needs 4 at least")
    return math.sqrt(2 / (n * (n - 3)))


def ratio(cross: torch.Tensor, own_a: torch.Tensor, own_b: torch.Tensor) -> torch.Tensor:
    """``cross / sqrt(own_a own_b)`` for all pairs; NaN where one of those is not above 0."""
    scale = (own_a.clamp_min(0)[:, None] * own_b.clamp_min(0)[None]).sqrt()
    return torch.where(scale > 0, cross / scale, torch.nan)


def _squared_norms(x: torch.Tensor) -> torch.Tensor:
    return x.double().square().sum(1)


Sums = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _gram_sums(left: list[torch.Tensor], right: list[torch.Tensor], progress: bool) -> Sums:
    """Inner products of Gram matrices without diagonals, a block of rows at a time; the lower half is the upper."""
    same = left is right
    layers = left if same else left + right
    n, a = left[0].shape[0], len(left)
    total = torch.zeros(len(layers), len(layers), dtype=torch.float64, device=left[0].device)
    for rows in _blocks(n, len(layers), progress):
        blocks = [_upper_rows(x, rows) for x in layers]
        held = torch.stack([block.flatten() for block in blocks]).double()
        if same:
            total += held @ held.T
        else:
            total[:a, a:] += held[:a] @ held[a:].T
            total.diagonal().add_(held.square().sum(1))
    total *= 2
    squares = total.diagonal()
    return (total, squares, squares) if same else (total[:a, a:], squares[:a], squares[a:])


def _blocks(n: int, layers: int, progress: bool) -> Iterator[slice]:
    height = max(16, min(n, _BLOCK // (n * layers)))
    for start in tqdm(range(0, n, height), desc="CKA", unit="block", disable=not progress, leave=False):
        yield slice(start, min(start + height, n))


def _upper_rows(x: torch.Tensor, rows: slice) -> torch.Tensor:
    """Some rows of a Gram matrix, right of its diagonal: the first columns are those rows' own, zeros up to there."""
    block = x[rows] @ x[rows.start :].T
    block[:, : rows.stop - rows.start].triu_(1)
    return block


def _feature_sums(left: list[torch.Tensor], right: list[torch.Tensor], progress: bool) -> Sums:
    """``‖Xᵀ Y‖²`` of all pairs: the inner products of the whole Gram matrices."""
    same = left is right
    cross = torch.zeros(len(left), len(right), dtype=torch.float64, device=left[0].device)
    total = len(left) * (len(left) + 1) // 2 if same else len(left) * len(right)
    with tqdm(total=total, desc="CKA", unit="pair", disable=not progress, leave=False) as bar:
        for i, x in enumerate(left):
            for j in range(i if same else 0, len(right)):
                cross[i, j] = _squared_sum(x.T @ right[j])
                if same:
                    cross[j, i] = cross[i, j]
                bar.update()
    if same:
        return cross, cross.diagonal(), cross.diagonal()
    return (
        cross,
        torch.stack([_squared_sum(x.T @ x) for x in left]),
        torch.stack([_squared_sum(y.T @ y) for y in right]),
    )


def _squared_sum(matrix: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(matrix, dtype=torch.float64)
    return norm.square()
