"""Spectra, against independent decompositions and by what holds for every matrix."""

from __future__ import annotations

import functools
import gc
import math
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from xglue_analysis.decomposition import singular_values
from xglue_analysis.errors import AnalysisError
from xglue_analysis.roles import ROLES, Place
from xglue_analysis.spectra import (
    Row,
    Spectrum,
    distance,
    effective_rank,
    frobenius,
    random_spectrum,
    spectra,
    stable_rank,
    table,
    totals,
)
from xglue_analysis.weights import MemoryWeights

Array = NDArray[np.float64]
NAMES = (
    *("attention.self.key", "attention.self.query", "attention.self.value"),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices are small here: threads would wait for each other most of the time."""
    with threadpool_limits(1):
        yield


@functools.cache
def orthonormal(rows: int, columns: int, seed: int) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((rows, columns)))[0]


def with_values(sigma: Array, rows: int, seed: int = 0) -> Array:
    """A matrix ``[rows, len(sigma)]`` of these singular values, up to rounding."""
    return (orthonormal(rows, len(sigma), seed) * sigma) @ orthonormal(len(sigma), len(sigma), seed + 1).T


def gaussian(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape) * 0.02


def few_small(columns: int, kappa: float) -> Array:
    """Most of one size, and six down to ``1 / kappa``: what trained matrices look like."""
    return np.r_[np.linspace(1, 0.1, columns - 6), np.geomspace(2e-3, 1 / kappa, 6)]


def agrees(matrix: Array, scale: float = 1.0) -> Array:
    """Compare with LAPACK's decomposition as scipy calls it, to the promised accuracy."""
    actual = singular_values(torch.from_numpy(np.ascontiguousarray(matrix)) * scale)
    expected = scipy.linalg.svdvals(matrix) * scale
    assert actual.dtype == torch.float64
    assert actual.shape == (min(matrix.shape),)
    assert bool((actual[:-1] >= actual[1:]).all())
    assert bool((actual >= 0).all())
    allowed = np.maximum(1e-8 * expected, 1e-13 * expected[0])
    assert (np.abs(actual.numpy() - expected) <= allowed).all()
    return actual.numpy()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 7), (7, 1), (2, 2), (24, 24), (300, 300), (96, 24), (24, 96), (800, 200)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_gaussian_matrices(shape: tuple[int, int], seed: int) -> None:
    agrees(gaussian(*shape, seed=seed))


@pytest.mark.parametrize("kappa", [1e3, 1e5, 1e6, 1e12])
@pytest.mark.parametrize("rows", [300, 900])
@pytest.mark.parametrize("wide", [False, True])
def test_ill_conditioned_matrices(kappa: float, rows: int, wide: bool) -> None:
    sigmas = [
        few_small(300, kappa),
        np.geomspace(1, 1 / kappa, 300),
        np.r_[np.ones(294), np.full(6, 1 / kappa)],  # a value six times
        np.r_[1, np.full(299, 1 / kappa)],  # all but one
    ]
    for sigma in sigmas:
        matrix = with_values(sigma, rows)
        actual = agrees(matrix.T if wide else matrix)
        assert (np.abs(actual - sigma) <= np.maximum(1e-8 * sigma, 1e-13)).all()


@pytest.mark.parametrize("kappa", [3e3, 1e5])
def test_small_values_are_refined_without_a_decomposition(kappa: float, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = with_values(few_small(300, kappa), 300)
    plain = np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix))[::-1]
    expected = scipy.linalg.svdvals(matrix)
    assert kappa < 1e5 or abs(plain[-1] / expected[-1] - 1) > 1e-8  # the Gram matrix alone would not do

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decomposed")

    monkeypatch.setattr(np.linalg, "svd", refuse)
    agrees(matrix)


@pytest.mark.parametrize("rank", [1, 10, 295, 299])
@pytest.mark.parametrize("shape", [(300, 300), (600, 300), (300, 600)])
def test_rank_deficient_matrices(rank: int, shape: tuple[int, int]) -> None:
    actual = agrees(gaussian(shape[0], rank) @ gaussian(rank, shape[1], seed=1))
    assert (actual[rank:] <= 1e-13 * actual[0]).all()
    assert actual[rank - 1] > 1e-6 * actual[0]


def test_special_matrices() -> None:
    assert torch.equal(singular_values(torch.zeros(4, 9)), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(singular_values(torch.eye(300)), torch.ones(300, dtype=torch.float64))
    torch.testing.assert_close(singular_values(torch.tensor([[-3.0]])), torch.tensor([3.0], dtype=torch.float64))
    sigma = torch.arange(300, 0, -1, dtype=torch.float64)
    torch.testing.assert_close(singular_values(torch.diag(sigma).flip(1)), sigma, rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_neither_overflow_nor_vanish(scale: float) -> None:
    agrees(gaussian(40, 30), scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_stored_types_are_read_in_float64(dtype: torch.dtype) -> None:
    matrix = torch.from_numpy(gaussian(60, 40)).to(dtype)
    expected = scipy.linalg.svdvals(matrix.double().numpy())
    np.testing.assert_allclose(singular_values(matrix).numpy(), expected, rtol=1e-10)


def test_a_matrix_is_left_as_it_was() -> None:
    matrix = torch.nn.Parameter(torch.from_numpy(gaussian(30, 30)))
    before = matrix.detach().clone()
    assert not singular_values(matrix).requires_grad
    assert torch.equal(matrix.detach(), before)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    matrix = torch.ones(5, 4)
    matrix[2, 3] = bad
    with pytest.raises(AnalysisError, match="infinities or NaN"):
        singular_values(matrix)


@pytest.mark.parametrize(
    "wrong", [torch.ones(4), torch.ones(0, 4), torch.ones(2, 2, 2), torch.ones(3, 3).to(torch.int8)]
)
def test_what_is_no_matrix(wrong: torch.Tensor) -> None:
    with pytest.raises(AnalysisError, match="matrix of floating numbers"):
        singular_values(wrong)


def spectrum(matrix: Array) -> Spectrum:
    return Spectrum(3, "Q", (matrix.shape[0], matrix.shape[1]), singular_values(torch.from_numpy(matrix)))


@pytest.mark.parametrize("shape", [(40, 40), (120, 30), (30, 120)])
def test_norms_are_those_of_numpy(shape: tuple[int, int]) -> None:
    matrix = gaussian(*shape)
    actual = spectrum(matrix)
    assert actual.norm == pytest.approx(np.linalg.norm(matrix, "fro"), rel=1e-12)
    assert actual.norm == pytest.approx(frobenius(torch.from_numpy(matrix)), rel=1e-12)
    assert actual.spectral == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-12)
    assert actual.nuclear == pytest.approx(np.linalg.norm(matrix, "nuc"), rel=1e-12)
    assert actual.stable_rank == pytest.approx(np.linalg.norm(matrix, "fro") ** 2 / np.linalg.norm(matrix, 2) ** 2)
    sigma = scipy.linalg.svdvals(matrix)
    assert actual.effective_rank == pytest.approx(math.exp(scipy.stats.entropy(sigma / sigma.sum())))


def test_frobenius_adds_in_float64() -> None:
    assert frobenius(torch.full((100, 100), 0.1, dtype=torch.bfloat16)) == pytest.approx(100 * 0.10009765625, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 5, 30])
def test_ranks_of_equal_values(rank: int) -> None:
    sigma = torch.zeros(30, dtype=torch.float64)
    sigma[:rank] = 0.3
    assert stable_rank(sigma) == pytest.approx(rank)
    assert effective_rank(sigma) == pytest.approx(rank)


def test_ranks_of_zeros_are_zero() -> None:
    sigma = torch.zeros(4, dtype=torch.float64)
    assert (stable_rank(sigma), effective_rank(sigma)) == (0, 0)


def test_distance() -> None:
    a, b = gaussian(40, 20), gaussian(40, 20, seed=1)
    actual = distance(spectrum(a), spectrum(b))
    assert actual == pytest.approx(float(np.linalg.norm(scipy.linalg.svdvals(a) - scipy.linalg.svdvals(b))), rel=1e-10)
    assert actual == distance(spectrum(b), spectrum(a))
    assert actual <= np.linalg.norm(a - b)  # Mirsky
    assert distance(spectrum(a), spectrum(2 * a)) == pytest.approx(np.linalg.norm(a), rel=1e-12)
    assert distance(spectrum(a), spectrum(orthonormal(40, 40, 5) @ a)) <= 1e-12


def test_distance_of_other_shapes() -> None:
    with pytest.raises(AnalysisError, match=r"Q of layer 3 is \[40, 20\] in one model and \[20, 40\] in the other"):
        distance(spectrum(gaussian(40, 20)), spectrum(gaussian(20, 40)))


def encoder(layers: int = 2, width: int = 12, seed: int = 0) -> dict[str, torch.Tensor]:
    shapes = [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]
    generator = torch.Generator().manual_seed(seed)
    return {
        f"encoder.layer.{layer}.{name}.weight": torch.randn(shape, generator=generator) * 0.05
        for layer in range(layers)
        for name, shape in zip(NAMES, shapes, strict=True)
    }


def moved(tensors: dict[str, torch.Tensor], by: float) -> dict[str, torch.Tensor]:
    return {name: tensor * (1 + by) for name, tensor in tensors.items()}


def test_spectra_are_those_of_every_matrix_in_order() -> None:
    tensors = encoder()
    actual = spectra(MemoryWeights(tensors))
    assert [(each.layer, each.role) for each in actual] == [(layer, role) for layer in (0, 1) for role in ROLES]
    for each, tensor in zip(actual, tensors.values(), strict=True):
        assert each.shape == tuple(tensor.shape)
        np.testing.assert_allclose(each.sigma, scipy.linalg.svdvals(tensor.double().numpy()), rtol=1e-8)


def test_the_matrix_at_fault_is_named() -> None:
    tensors = encoder()
    tensors["encoder.layer.1.output.dense.weight"][0, 0] = math.nan
    with pytest.raises(AnalysisError, match=r"encoder\.layer\.1\.output\.dense\.weight: the matrix holds infinities"):
        spectra(MemoryWeights(tensors))


def test_progress_is_shown_on_demand_only(capsys: pytest.CaptureFixture[str]) -> None:
    spectra(MemoryWeights(encoder()))
    assert capsys.readouterr().err == ""
    spectra(MemoryWeights(encoder()), progress=True)
    assert "12/12" in capsys.readouterr().err


class Counted:
    """Weights that count how many of the matrices that they gave are still held."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = MemoryWeights(tensors)
        self.alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
        self.most = self.reads = 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._tensors.shapes()

    def read(self, place: Place) -> torch.Tensor:
        matrix = self._tensors.read(place).clone()
        self.alive.add(matrix)
        self.most, self.reads = max(self.most, len(self.alive)), self.reads + 1
        return matrix


def test_one_matrix_is_held_at_a_time() -> None:
    gc.collect()
    base, model = Counted(encoder()), Counted(encoder(seed=1))
    table(base, {"model": model})
    for weights in (base, model):
        assert (weights.reads, weights.most, len(weights.alive)) == (12, 1, 0)


def test_random_spectrum() -> None:
    actual = random_spectrum((200, 50))
    assert actual.shape == (50,)
    expected = 0.02 * math.sqrt(200 * 50)
    assert float(actual.norm()) == pytest.approx(expected, rel=0.03)
    # the largest of a Gaussian matrix is near std (sqrt(m) + sqrt(n))
    assert float(actual[0]) == pytest.approx(0.02 * (math.sqrt(200) + math.sqrt(50)), rel=0.05)
    assert random_spectrum((200, 50)) is actual
    torch.testing.assert_close(random_spectrum((200, 50), std=0.2), 10 * actual)
    assert not torch.equal(random_spectrum((200, 50), seed=1), actual)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    base = encoder()
    models = {"grown": MemoryWeights(moved(base, 0.5)), "other": MemoryWeights(encoder(seed=1))}
    return table(MemoryWeights(base), models, base_name="pretrained")


def test_table(rows: list[Row]) -> None:
    base = encoder()
    assert [row["model"] for row in rows[::12]] == ["pretrained", "grown", "other"]
    for row, tensor in zip(rows[:12], base.values(), strict=True):
        assert row["distance"] is None
        assert (row["rows"], row["columns"]) == tuple(tensor.shape)
        assert row["norm"] == pytest.approx(float(tensor.double().norm()), rel=1e-12)
        random = random_spectrum((row["rows"], row["columns"]))
        assert row["random_norm"] == float(random.norm())
        assert row["random_stable_rank"] == stable_rank(random)
        assert row["random_effective_rank"] == effective_rank(random)
        assert 1 <= row["stable_rank"] <= row["effective_rank"] <= min(tensor.shape)
    for row, before in zip(rows[12:24], rows[:12], strict=True):
        assert (row["layer"], row["role"]) == (before["layer"], before["role"])
        assert row["norm"] == pytest.approx(1.5 * before["norm"], rel=1e-6)
        assert row["distance"] == pytest.approx(0.5 * before["norm"], rel=1e-5)
        assert row["stable_rank"] == pytest.approx(before["stable_rank"], rel=1e-6)
    assert set(Row.__annotations__) == set(rows[0])


def test_the_base_is_at_no_distance_from_itself() -> None:
    weights = MemoryWeights(encoder())
    assert {row["distance"] for row in table(weights, {"same": weights})[12:]} == {0.0}


def test_totals(rows: list[Row]) -> None:
    base, grown, other = totals(rows)
    whole = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in encoder().values()))
    assert base["model"] == "pretrained"
    assert base["sigma_norm"] == pytest.approx(whole, rel=1e-12)
    assert base["sigma_distance"] is None
    assert grown["sigma_norm"] == pytest.approx(1.5 * whole, rel=1e-6)
    assert grown["sigma_distance"] == pytest.approx(0.5 * whole, rel=1e-5)
    a, b = (np.concatenate([each.sigma for each in spectra(MemoryWeights(encoder(seed=seed)))]) for seed in (0, 1))
    assert other["sigma_distance"] == pytest.approx(float(np.linalg.norm(a - b)), rel=1e-12)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: encoder(layers=3), "odd has 3 encoder layers and base has 2"),
        (lambda: encoder(width=16), r"K of layer 0 is \[16, 16\] in one model and \[12, 12\]"),
    ],
)
def test_models_of_another_architecture(model: Callable[[], dict[str, torch.Tensor]], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        table(MemoryWeights(encoder()), {"odd": MemoryWeights(model())})


def test_a_model_named_as_the_base() -> None:
    with pytest.raises(AnalysisError, match="both named 'base'"):
        table(MemoryWeights(encoder()), {"base": MemoryWeights(encoder())})
