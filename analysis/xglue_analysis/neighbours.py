"""Whether two spaces agree on who is near whom, and whether a sentence finds its translation both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.errors import AnalysisError

NEAREST = 10
"""Neighbours of a sentence, as Huh et al. 2024 have them for 1,000 inputs."""

_SLACK = 1e-12


@dataclass(frozen=True)
class Nearest:
    """The nearest neighbours of each sentence.

    Attributes:
        indices: ``[n, k]``.
        certain: ``[n, k]``: false for one that is as near as another that is not among them.
    """

    indices: torch.Tensor
    certain: torch.Tensor

    @property
    def member(self) -> torch.Tensor:
        """``[n, n]``: whether a sentence of the column is a neighbour of that of the row."""
        n = len(self.indices)
        found = torch.zeros(n, n, dtype=torch.bool, device=self.indices.device)
        return found.scatter_(1, self.indices, self.certain)


def nearest(x: Array, k: int = NEAREST) -> Nearest:
    """The k nearest neighbours of each sentence by cosine, itself not counted.

    Where neighbours are tied with the first that is left out, none of them counts: else a space in which all sentences
    are the same vector would agree with any other such space.

    Args:
        x: ``[n, d]``.
        k: how many; below n - 1.

    Raises:
        AnalysisError: for too few sentences, or values that are not finite.
    """
    x = finite(x, "x")
    if not 1 <= k <= len(x) - 2:
        raise AnalysisError(f"{k} neighbours among {len(x)} sentences: give at least 1 and at most n - 2")
    cosines = similarities(x, x)
    cosines.fill_diagonal_(-torch.inf)
    values, indices = cosines.topk(k + 1, dim=1)
    return Nearest(indices[:, :k], values[:, :k] > values[:, k:] + _SLACK)


def mutual_knn(x: Array, y: Array, k: int = NEAREST) -> float:
    """Mutual k-nearest neighbours (Huh et al. 2024, arXiv:2405.07987, section 2): mean overlap of the neighbourhoods.

    ``1/n Σ_i |N_k(x_i) ∩ N_k(y_i)| / k``. For unrelated sentences it is ``k / (n - 1)``.

    Args:
        x: ``[n, d]``.
        y: ``[n, e]``, row by row the same sentences.
        k: neighbours.

    Raises:
        AnalysisError: as `nearest`, or for different numbers of sentences.
    """
    a, b = nearest(x, k), nearest(y, k)
    same_length(a.indices, b.indices)
    return float(overlaps(a.member, b).mean())


def overlaps(member: torch.Tensor, other: Nearest, order: torch.Tensor | None = None) -> torch.Tensor:
    """Share of each sentence's neighbours that are its neighbours on the other side, too, ``[n]`` float64.

    Args:
        member: of one side, `Nearest.member`.
        other: the other side.
        order: ``[n]``; the other side's sentences in this order; ``None``: as they are.
    """
    indices, certain = other.indices, other.certain
    if order is not None:
        places = torch.empty_like(order)
        places[order] = torch.arange(len(order), device=order.device)
        indices, certain = places[indices[order]], certain[order]
    return (member.gather(1, indices) & certain).double().sum(1) / indices.shape[1]


def found(x: Array, y: Array) -> torch.Tensor:
    """Which sentences of y are the nearest to one of x, and that one to them: ``[n, n]``, ties being misses.

    Its diagonal is what `mexa` is the mean of.

    Raises:
        AnalysisError: for fewer than 2 sentences, different shapes, or values that are not finite.
    """
    x, y = finite(x, "x"), finite(y, "y")
    same_length(x, y)
    if x.shape != y.shape or len(x) < 2:
        raise AnalysisError(
            f"shapes {tuple(x.shape)} and {tuple(y.shape)}: give [n, d] twice, and 2 sentences at least"
        )
    cosines = similarities(x, y)
    return strict_best(cosines, 1) & strict_best(cosines, 0)


def mexa(x: Array, y: Array) -> float:
    """MEXA (Kargaran et al. 2025, arXiv:2410.05873, equation 1): translations that are each other's nearest sentence.

    ``1/n Σ_i 1(c_ii > max_{j≠i} max(c_ij, c_ji))`` for cosines c of one layer. The authors take the mean or the largest
    value over layers.

    Args:
        x: ``[n, d]``, English.
        y: ``[n, d]``, the translations.

    Raises:
        AnalysisError: as `found`.
    """
    return float(found(x, y).diagonal().double().mean())


def dali(x: Array, y: Array, samples: Sequence[int], *, strict: bool = False) -> float:
    """DALI (Ravisankar et al. 2025, arXiv:2504.09378, section 3): samples whose options all meet their own translation.

    A sample has several options, each a text: in XNLI the hypotheses of one premise. It counts where every option is
    nearer to its own translation than to that of any other option; strictly (``DALI_S``), also nearer than options of
    one language are to each other.

    Args:
        x: ``[n, d]``, options of all samples.
        y: ``[n, d]``, the translations.
        samples: ``[n]``, the number of the sample that an option belongs to.
        strict: whether to ask for the latter.

    Returns:
        Share of the samples with more than one option; NaN where there is none.

    Raises:
        AnalysisError: for different numbers of rows, or values that are not finite.
    """
    x, y = finite(x, "x"), finite(y, "y")
    same_length(x, y, samples)
    groups: dict[int, list[int]] = {}
    for row, sample in enumerate(samples):
        groups.setdefault(int(sample), []).append(row)
    counted = [_meet(x[rows], y[rows], strict=strict) for rows in groups.values() if len(rows) > 1]
    return sum(counted) / len(counted) if counted else float("nan")


def _meet(x: torch.Tensor, y: torch.Tensor, *, strict: bool) -> bool:
    across = similarities(x, y)
    own = across.diagonal()[:, None]
    others = [across, similarities(x, x), similarities(y, y)] if strict else [across]
    apart = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    return all(bool((own > other + _SLACK)[apart].all()) for other in others)


def similarities(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cosines, ``[n, m]`` float64; 0 for a vector of zeros."""
    a, b = (torch.nn.functional.normalize(side.double(), dim=1, eps=1e-300) for side in (x, y))
    return a @ b.T


def strict_best(cosines: torch.Tensor, dim: int) -> torch.Tensor:
    """Whether a value exceeds all others of its row (``dim`` 1) or column (0), ``[n, m]``."""
    first, second = cosines.topk(2, dim=dim).values.tensor_split(2, dim=dim)
    best: torch.Tensor = (cosines >= first) & (first > second + _SLACK)
    return best


def finite(value: Array, name: str) -> torch.Tensor:
    """``[n, d]``.

    Raises:
        AnalysisError: for another shape, or values that are not finite.
    """
    numbers = tensor(value, name).detach()
    if numbers.dim() != 2 or not torch.isfinite(numbers).all():
        raise AnalysisError(f"{name}: shape {tuple(numbers.shape)}; expected [n, d], all values finite")
    return numbers


def same_length(*sides: torch.Tensor | Sequence[int]) -> None:
    """Refuse sides of different numbers of sentences."""
    if len({len(side) for side in sides}) > 1:
        raise AnalysisError(f"{' and '.join(str(len(side)) for side in sides)} sentences: they must be the same ones")
