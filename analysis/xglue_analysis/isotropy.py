"""How evenly a cloud of sentence vectors uses its space."""

from __future__ import annotations

import math

import torch

from xglue_analysis.arrays import Array
from xglue_analysis.errors import AnalysisError
from xglue_analysis.neighbours import finite


def iso_score(x: Array) -> float:
    """IsoScore (Rudman et al. 2022, arXiv:2108.07344, section 3): 1 where all directions vary alike, 0 for a line.

    From the variances λ along the principal components, scaled to ``λ̂ = √d λ / ‖λ‖``: the isotropy defect is
    ``δ = ‖λ̂ - 1‖ / √(2(d - √d))``, the share of dimensions that are used ``φ = (d - δ²(d - √d))² / d²``, and the score
    ``(d φ - 1) / (d - 1)``. As many sentences as dimensions are needed to reach 1.

    Args:
        x: ``[n, d]``, at least 2 of each.

    Returns:
        NaN where all sentences are the same vector.

    Raises:
        AnalysisError: for other shapes, or values that are not finite.
    """
    x = _cloud(x).double()
    n, d = x.shape
    free = x - x.mean(0)
    spread = torch.linalg.svdvals(free).square()
    if not float(spread.max()) > n * d * torch.finfo(torch.float64).eps ** 2 * float(x.square().sum()):
        return math.nan
    variances = torch.zeros(d, dtype=torch.float64, device=x.device)
    variances[: len(spread)] = spread
    scaled = math.sqrt(d) * variances / variances.norm()
    defect = float((scaled - 1).norm()) / math.sqrt(2 * (d - math.sqrt(d)))
    used: float = (d - defect**2 * (d - math.sqrt(d))) ** 2 / d**2
    score: float = (d * used - 1) / (d - 1)
    return score


def mean_cosine(x: Array) -> float:
    """Mean cosine of two different sentences (Ethayarajh 2019, section 4.1): near 0 without a common direction.

    Args:
        x: ``[n, d]``, at least 2 of each.

    Raises:
        AnalysisError: as `iso_score`.
    """
    x = _cloud(x).double()
    unit = torch.nn.functional.normalize(x, dim=1, eps=1e-300)
    n = len(unit)
    return float((unit.sum(0).square().sum() - unit.square().sum()) / (n * (n - 1)))


def _cloud(x: Array) -> torch.Tensor:
    numbers = finite(x, "x")
    if min(numbers.shape) < 2:
        raise AnalysisError(f"shape {tuple(numbers.shape)}: give 2 sentences and 2 dimensions at least")
    return numbers
