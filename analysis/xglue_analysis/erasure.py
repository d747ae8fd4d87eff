"""Affine maps of hidden states that take language out of them, and controls that take out as much of something else.

If languages being separable is what hurts transfer (Ji et al. 2024, section 5), scores rise when a state no longer
tells its language; if any change of that size does the same, or none does, it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from xglue_analysis.errors import AnalysisError

RELATIVE = 1e-10
"""Variances below this share of the largest are rounding: directions that no state moves in."""


@dataclass(frozen=True)
class Moments:
    """Sums over the states of one language, from which means and covariances follow.

    Attributes:
        count: states.
        total: ``[d]`` float64, their sum.
        products: ``[d, d]`` float64, the sum of their outer products.
    """

    count: int
    total: torch.Tensor
    products: torch.Tensor

    @classmethod
    def of(cls, states: torch.Tensor) -> Moments:
        """Moments of ``[n, d]``."""
        x = states.detach().double().cpu()
        return cls(len(x), x.sum(0), x.T @ x)

    def __add__(self, other: Moments) -> Moments:
        """Moments of both together."""
        return Moments(self.count + other.count, self.total + other.total, self.products + other.products)

    @property
    def mean(self) -> torch.Tensor:
        """``[d]``."""
        return self.total / self.count


@dataclass(frozen=True)
class Affine:
    """``x -> x - removal (x - centre) + shift``.

    Attributes:
        shift: ``[d]``.
        removal: ``[d, d]``; ``None``: nothing is removed.
        centre: ``[d]``.
        rank: dimensions that are removed.
    """

    shift: torch.Tensor
    removal: torch.Tensor | None = None
    centre: torch.Tensor | None = None
    rank: int = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Change states ``[..., d]``, which keep their type."""
        offset = self.shift
        if self.removal is not None and self.centre is not None:
            offset = offset + self.removal @ self.centre
        changed = x.float() + offset.to(x.device, torch.float32)
        if self.removal is not None:
            changed = changed - x.float() @ self.removal.T.to(x.device, torch.float32)
        return changed.to(x.dtype)


def centering(moments: Mapping[str, Moments], source: str) -> dict[str, Affine]:
    """Move each language's mean state onto that of the source language (Libovický et al. 2020, section 3).

    Args:
        moments: by language.
        source: the language that stays where it is; it is left out.
    """
    target = _of(moments, source).mean
    return {name: Affine(target - one.mean) for name, one in moments.items() if name != source}


def random_shifts(shifts: Mapping[str, Affine], seed: int) -> dict[str, Affine]:
    """The control of `centering`: moves of the same length in a random direction.

    Args:
        shifts: from `centering`.
        seed: of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    moved = {}
    for name, one in shifts.items():
        direction = torch.randn(one.shift.shape, generator=generator, dtype=torch.float64)
        moved[name] = Affine(direction / direction.norm() * one.shift.norm())
    return moved


def erasure(moments: Mapping[str, Moments]) -> Affine:
    """Remove the subspace that tells languages apart (LEACE: Belrose et al. 2023, arXiv:2306.03819, theorem 4.3).

    ``x - W⁺ P W (x - μ)`` with ``W = (Σ^½)⁺`` whitening the states of all languages, each counting alike, and ``P`` the
    projection onto where ``W`` takes the differences of their means. Afterwards all languages have one mean, no linear
    probe tells them better than guessing, and of all such maps it changes states the least.

    Args:
        moments: by language, two at least.

    Raises:
        AnalysisError: for fewer.
    """
    whiten, dewhiten, centre = _whitening(moments)
    apart = torch.stack([one.mean - centre for one in moments.values()]) @ whiten.T
    return _removal(_basis(apart.T), whiten, dewhiten, centre)


def random_erasure(moments: Mapping[str, Moments], rank: int, seed: int) -> Affine:
    """The control of `erasure`: a random subspace of the same rank, drawn where states vary alike in all directions.

    Args:
        moments: as for `erasure`.
        rank: of the subspace.
        seed: of the draw.

    Raises:
        AnalysisError: as `erasure`.
    """
    whiten, dewhiten, centre = _whitening(moments)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(centre), rank, generator=generator, dtype=torch.float64)
    return _removal(_basis(whiten @ dewhiten @ drawn), whiten, dewhiten, centre)


def _whitening(moments: Mapping[str, Moments]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``W``, ``W⁺`` and the mean, each language counting alike."""
    if len(moments) < 2:
        raise AnalysisError(f"states of {', '.join(moments) or 'no language'}: what tells languages apart takes two")
    centre = torch.stack([one.mean for one in moments.values()]).mean(0)
    spread = torch.stack([one.products / one.count for one in moments.values()]).mean(0)
    values, vectors = torch.linalg.eigh(spread - torch.outer(centre, centre))
    kept = values > RELATIVE * values.max().clamp_min(torch.finfo(values.dtype).tiny)
    vectors, scales = vectors[:, kept], values[kept].sqrt()
    return vectors / scales @ vectors.T, vectors * scales @ vectors.T, centre


def _basis(columns: torch.Tensor) -> torch.Tensor:
    """An orthonormal basis of what columns span."""
    left, values, _ = torch.linalg.svd(columns, full_matrices=False)
    basis: torch.Tensor = left[:, values > 1e-8 * values.max().clamp_min(torch.finfo(values.dtype).tiny)]
    return basis


def _removal(basis: torch.Tensor, whiten: torch.Tensor, dewhiten: torch.Tensor, centre: torch.Tensor) -> Affine:
    removal = dewhiten @ basis @ basis.T @ whiten
    return Affine(torch.zeros_like(centre), removal, centre, basis.shape[1])


def _of(moments: Mapping[str, Moments], language: str) -> Moments:
    if language not in moments:
        raise AnalysisError(f"no states of {language}: there are {', '.join(moments) or 'none'}")
    return moments[language]
