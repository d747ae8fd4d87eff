"""How well two languages meet in one space: neuron by neuron, and by search for the translation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.cka import centred_features
from xglue_analysis.errors import AnalysisError


@dataclass(frozen=True)
class Correlation:
    """Average neuron-wise correlation.

    Attributes:
        absolute: mean of ``|r|`` over neurons: ANC as its authors' code computes it.
        signed: mean of r over neurons.
        null: what ``absolute`` is for unrelated sentences, ``sqrt(2 / (π (n-1)))``: it is not 0.
        constant: neurons left out because they do not vary on one of the sides.
    """

    absolute: float
    signed: float
    null: float
    constant: int


@dataclass(frozen=True)
class Retrieval:
    """Share of sentences whose nearest neighbour in the other language is their translation (P@1).

    Attributes:
        forward: sentences of x search among those of y.
        backward: sentences of y search among those of x.
    """

    forward: float
    backward: float


def anc(x: Array, y: Array) -> Correlation:
    """Average neuron-wise correlation (Del and Fishel 2022, section 4): Pearson's r of each neuron across translations.

    Unlike CKA it is not invariant to rotations, since a classifier on top is not, either.

    Args:
        x: ``[n, d]``, one language.
        y: ``[n, d]``, the translations, from the same layer of the same model.

    Returns:
        NaN for both means where no neuron varies.

    Raises:
        AnalysisError: for different shapes, or fewer than 3 sentences.
    """
    x, y = _same_shape(x, y, least=3)
    n = x.shape[0]
    (a, varies_a), (b, varies_b) = scaled(x), scaled(y)
    kept = varies_a & varies_b
    r = (a * b).sum(0)[kept]
    constant = int((~kept).sum())
    mean = (float(r.abs().mean()), float(r.mean())) if len(r) else (math.nan, math.nan)
    return Correlation(*mean, math.sqrt(2 / (math.pi * (n - 1))), constant)


def retrieval(x: Array, y: Array, *, csls: int | None = None) -> Retrieval:
    """P@1 of finding each sentence's translation, in both directions.

    A tie between the translation and another sentence counts as a miss: else a constant space would score 1.

    Args:
        x: ``[n, d]``, one language.
        y: ``[n, d]``, the translations.
        csls: neighbours for cross-domain similarity local scaling (Conneau et al. 2018, section 2.3), which takes
            away the advantage of hubs; they used 10. ``None``: plain cosine.

    Raises:
        AnalysisError: for different shapes, or as few sentences as neighbours, or none of the latter.
    """
    if csls is not None and csls < 1:
        raise AnalysisError(f"csls={csls}: give the number of neighbours, 1 at least, or None for plain cosine")
    x, y = _same_shape(x, y, least=2 if csls is None else csls + 1)
    similarity = _unit(x) @ _unit(y).T
    if csls is not None:
        near_x = similarity.topk(csls, dim=1).values.mean(1)
        near_y = similarity.topk(csls, dim=0).values.mean(0)
        similarity = 2 * similarity - near_x[:, None] - near_y[None]
    aligned = similarity.diagonal().clone()
    similarity.fill_diagonal_(-torch.inf)
    slack = 1e-12
    forward = (aligned > similarity.amax(1) + slack).double().mean()
    backward = (aligned > similarity.amax(0) + slack).double().mean()
    return Retrieval(float(forward), float(backward))


def _same_shape(x: Array, y: Array, least: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = tensor(x, "x"), tensor(y, "y")
    if x.dim() != 2 or x.shape != y.shape:
        raise AnalysisError(f"shapes {tuple(x.shape)} and {tuple(y.shape)}: give [n, d] twice, translations row by row")
    if x.shape[0] < least:
        raise AnalysisError(f"{x.shape[0]} sentences are too few: {least} are needed")
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise AnalysisError("there are values that are not finite")
    return x, y


def scaled(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centred features of norm 1, and which of them vary beyond their rounding."""
    free, varies = centred_features(x)
    return free / torch.where(varies, free.norm(dim=0), 1.0), varies


def _unit(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(x.detach().double(), dim=1, eps=1e-300)
