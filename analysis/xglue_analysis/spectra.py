"""Spectra of the weights: how strong the matrices of an encoder are, and how far fine-tuning has moved them.

For each of K, Q, V, Out, FC up and FC down of every encoder layer, with σ the vector of its singular values in
descending order, Ji et al. 2024 (arXiv:2403.16777, sections 3.3 and B.2) give ``‖σ‖`` (Table 2) and the Euclidean
distance ``d = ‖σ - σ'‖`` between a model and its base (Table 5). ``‖σ‖`` is the Frobenius norm: it grows with the size
of the matrix, and a random matrix has one, too. So each row here also has numbers without a scale, and those of a
Gaussian initialisation of the same shape. Layers count from 0 as in Table 5; the 12th layer of Table 2 is
layer 11.

All numbers are float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict

import torch
from tqdm import tqdm

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.decomposition import singular_values
from xglue_analysis.errors import AnalysisError
from xglue_analysis.roles import locate
from xglue_analysis.weights import MemoryWeights, Weights


class Row(TypedDict):
    """One matrix of one model; ``distance`` is ``None`` for the base."""

    model: str
    layer: int
    role: str
    rows: int
    columns: int
    norm: float
    distance: float | None
    spectral: float
    nuclear: float
    stable_rank: float
    effective_rank: float
    random_norm: float
    random_stable_rank: float
    random_effective_rank: float


class Total(TypedDict):
    """All matrices of one model: norm and distance of their stacked singular values."""

    model: str
    sigma_norm: float
    sigma_distance: float | None


@dataclass(frozen=True)
class Spectrum:
    """The singular values of one matrix.

    Attributes:
        layer: from 0.
        role: one of :data:`~xglue_analysis.roles.ROLES`.
        shape: of the matrix, ``(rows, columns)``.
        sigma: float64, descending, ``[min(rows, columns)]``.
    """

    layer: int
    role: str
    shape: tuple[int, int]
    sigma: torch.Tensor

    @property
    def norm(self) -> float:
        """``‖σ‖``, which is the Frobenius norm of the matrix."""
        return norm(self.sigma)

    @property
    def spectral(self) -> float:
        """``σ₁``: the spectral norm."""
        return float(self.sigma[0])

    @property
    def nuclear(self) -> float:
        """``Σ σᵢ``: the nuclear norm."""
        return float(self.sigma.sum())

    @property
    def stable_rank(self) -> float:
        """See :func:`stable_rank`."""
        return stable_rank(self.sigma)

    @property
    def effective_rank(self) -> float:
        """See :func:`effective_rank`."""
        return effective_rank(self.sigma)


def norm(sigma: Array) -> float:
    """``‖σ‖`` of singular values ``[k]``.

    Source:
        Ji et al. 2024, Table 2.
    """
    return float(torch.linalg.vector_norm(tensor(sigma, "sigma")))


def frobenius(matrix: Array) -> float:
    """The Frobenius norm of a matrix ``[m, n]`` in float64: ``‖σ‖`` without its singular values."""
    return float(torch.linalg.vector_norm(tensor(matrix, "matrix").detach(), dtype=torch.float64))


def stable_rank(sigma: Array) -> float:
    """``‖σ‖² / σ₁²`` of singular values ``[k]``, descending: from 1 to k; 0 for a matrix of zeros.

    Source:
        Rudelson and Vershynin 2007, section 1.
    """
    sigma = tensor(sigma, "sigma")
    return norm(sigma / sigma[0]) ** 2 if sigma[0] > 0 else 0.0


def effective_rank(sigma: Array) -> float:
    """``exp(-Σ pᵢ ln pᵢ)``, ``pᵢ = σᵢ / Σ σ``, of singular values ``[k]``: from 1 to k; 0 for a matrix of zeros.

    Source:
        Roy and Vetterli 2007, section 2.
    """
    sigma = tensor(sigma, "sigma")
    if sigma[0] == 0:
        return 0.0
    return math.exp(float(torch.special.entr(sigma / sigma.sum()).sum()))


def distance(a: Spectrum, b: Spectrum) -> float:
    """``‖σ - σ'‖`` of two spectra of one shape.

    It is at most the norm of the difference of the two matrices (Mirsky 1960), and blind to rotations.

    Raises:
        AnalysisError: the shapes differ.

    Source:
        Ji et al. 2024, section B.2, Table 5.
    """
    if a.shape != b.shape:
        raise AnalysisError(
            f"{a.role} of layer {a.layer} is {list(a.shape)} in one model and {list(b.shape)} in the other: a model "
            "can only be compared with a base of the same architecture"
        )
    return float(torch.linalg.vector_norm(a.sigma - b.sigma))


def spectra(weights: Weights | Mapping[str, Array], *, progress: bool = False) -> list[Spectrum]:
    """The spectra of the matrices of all encoder layers, by layer and role; one matrix is held at a time.

    Args:
        weights: of a model, or of its encoder alone; also as ``model.state_dict()`` gives them.
        progress: show a bar.

    Raises:
        AnalysisError: as for :func:`~xglue_analysis.roles.locate` and :func:`singular_values`, naming the matrix.
    """
    weights = MemoryWeights(weights) if isinstance(weights, Mapping) else weights
    if not hasattr(weights, "shapes"):
        raise AnalysisError(f"weights of type {type(weights).__name__}: give open_weights(...) or model.state_dict()")
    measured = []
    for place in tqdm(locate(weights.shapes()), desc="spectra", unit="matrix", disable=not progress):
        matrix = weights.read(place)
        shape = (matrix.shape[0], matrix.shape[1])
        try:
            measured.append(Spectrum(place.layer, place.role, shape, singular_values(matrix)))
        except AnalysisError as error:
            raise AnalysisError(f"{place.name}: {error}") from error
        del matrix  # else it would be there while the next is read
    return measured


@lru_cache(maxsize=64)
def random_spectrum(shape: tuple[int, int], std: float = 0.02, seed: int = 0) -> torch.Tensor:
    """The singular values of a Gaussian initialisation: what a matrix has before it has learnt anything.

    Args:
        shape: ``(rows, columns)``.
        std: of the elements; 0.02 is common to BERT and BART.
        seed: of the generator.

    Returns:
        Float64, descending, ``[min(rows, columns)]``. It is kept for the next call: don't write into it.

    Source:
        Devlin et al. 2019, BERT's ``initializer_range``.
    """
    generator = torch.Generator().manual_seed(seed)
    return singular_values(torch.randn(shape, dtype=torch.float64, generator=generator) * std)


def table(
    base: Weights | Mapping[str, Array],
    models: Mapping[str, Weights | Mapping[str, Array]],
    *,
    base_name: str = "base",
    progress: bool = False,
) -> list[Row]:
    """Norm, distance from the base, and ranks of every matrix, in one tidy table.

    Of each model only the singular values are kept, and of the models only those of the base and of the one at hand.

    Args:
        base: the weights before fine-tuning.
        models: other weights of the same architecture, by the name that they get in the table.
        base_name: the name of the base in the table.
        progress: show a bar a model.

    Returns:
        Rows of the base, then of each model, by layer and role.

    Raises:
        AnalysisError: a model has the name of the base, other layers or other shapes, or can't be read.

    Source:
        Ji et al. 2024, Tables 2 and 5.
    """
    if base_name in models:
        raise AnalysisError(f"the base and a model are both named {base_name!r}: give another base_name")
    origin = spectra(base, progress=progress)
    rows = [_row(base_name, each, None) for each in origin]
    for name, weights in models.items():
        its = spectra(weights, progress=progress)
        if len(its) != len(origin):
            raise AnalysisError(
                f"{name} has {len(its) // 6} encoder layers and {base_name} has {len(origin) // 6}: a model can only "
                "be compared with a base of the same architecture"
            )
        rows += [_row(name, each, distance(each, there)) for each, there in zip(its, origin, strict=True)]
    return rows


def _row(model: str, spectrum: Spectrum, far: float | None) -> Row:
    random = random_spectrum(spectrum.shape)
    return {
        "model": model,
        "layer": spectrum.layer,
        "role": spectrum.role,
        "rows": spectrum.shape[0],
        "columns": spectrum.shape[1],
        "norm": spectrum.norm,
        "distance": far,
        "spectral": spectrum.spectral,
        "nuclear": spectrum.nuclear,
        "stable_rank": spectrum.stable_rank,
        "effective_rank": spectrum.effective_rank,
        "random_norm": norm(random),
        "random_stable_rank": stable_rank(random),
        "random_effective_rank": effective_rank(random),
    }


def totals(rows: Sequence[Row]) -> list[Total]:
    """Norm and distance over all matrices of each model: those of all singular values in one vector.

    Args:
        rows: of :func:`table`.

    Returns:
        One entry a model, in the order of the rows: ``sqrt(Σ norm²)`` and ``sqrt(Σ distance²)``; the latter is ``None``
        for the base.
    """
    sums: list[Total] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        its = [row for row in rows if row["model"] == model]
        far = [row["distance"] for row in its if row["distance"] is not None]
        sums.append(
            {
                "model": model,
                "sigma_norm": math.hypot(*(row["norm"] for row in its)),
                "sigma_distance": math.hypot(*far) if far else None,
            }
        )
    return sums
