"""CKA against other implementations and the definition of HSIC, and what holds for all data."""

from __future__ import annotations

import importlib
import math
from itertools import permutations, product

import ckatorch.core
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xglue_analysis.cka import Grid, Side, cheaper, cka, cka_grid, null_deviation, standardised, without_dominant
from xglue_analysis.errors import AnalysisError

module = importlib.import_module("xglue_analysis.cka")  # as an attribute that name is the function

SIDES: tuple[Side, ...] = ("gram", "feature")
SHAPES = [(4, 3, 5), (4, 60, 2), (5, 40, 7), (5, 1, 1), (7, 7, 7), (12, 30, 200), (40, 8, 8), (80, 20, 33), (9, 1, 2)]
"""Sentences and the two widths."""
SMALL = [shape for shape in SHAPES if shape[0] <= 9]
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}
MEANS = [0.0, 30.0]

checked = settings(deadline=None, max_examples=60, derandomize=True)


def gaussian(n: int, d: int, seed: int, mean: float = 0.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Features of different variance and, with ``mean``, of different means far from 0."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(d, generator=generator, dtype=torch.float64) + 0.5
    offset = mean * torch.randn(d, generator=generator, dtype=torch.float64)
    return (torch.randn(n, d, generator=generator, dtype=torch.float64) * scale + offset).to(dtype)


def related(
    n: int, d: int, e: int, seed: int, mean: float = 0.0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two representations that share a part."""
    x, y = gaussian(n, d, seed, mean), gaussian(n, e, seed + 1000, mean)
    return x.to(dtype), (y + x @ gaussian(d, e, seed + 2000) / d).to(dtype)


def orthogonal(d: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(gaussian(d, d, seed))[0]


def u_statistic(x: torch.Tensor, y: torch.Tensor) -> float:
    """HSIC by its definition (Gretton et al. 2005, lemma 1): a mean over all tuples of four different sentences."""
    k, m = ((z.double() @ z.double().T).numpy() for z in (x, y))
    i, j, q, r = np.array(list(permutations(range(len(k)), 4))).T
    return float(np.mean(k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]))


def debiased_by_definition(x: torch.Tensor, y: torch.Tensor) -> float:
    return u_statistic(x, y) / math.sqrt(u_statistic(x, x) * u_statistic(y, y))


def debiased_by_ckatorch(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(ckatorch.core.cka_base(x, y, unbiased=True, method="fro_norm"))


def everywhere(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


# Other implementations and the definition


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_forms_are_ckatorchs(shape: tuple[int, int, int], dtype: torch.dtype, mean: float) -> None:
    x, y = related(*shape, seed=1, mean=mean, dtype=dtype)
    for side in SIDES:
        grid = cka_grid([x], [y], side=side)
        assert grid.side == side
        assert float(grid.biased) == pytest.approx(float(ckatorch.core.cka_base(x, y)), abs=TOLERANCES[dtype])
        assert float(grid.debiased) == pytest.approx(debiased_by_ckatorch(x, y), abs=TOLERANCES[dtype])
    assert cka(x, y) == pytest.approx(debiased_by_ckatorch(x, y), abs=TOLERANCES[dtype])
    assert cka(x, y, debiased=False) == pytest.approx(float(ckatorch.core.cka_base(x, y)), abs=TOLERANCES[dtype])


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_biased_cka_is_repsims(shape: tuple[int, int, int], mean: float) -> None:
    repsim = pytest.importorskip("repsim", reason="repsim compiles C++ when it is installed, so it is not required")
    x, y = related(*shape, seed=2, mean=mean)
    expected = repsim.cka([x.numpy(), y.numpy()], "linear", "gretton")[0, 1]
    for side in SIDES:
        assert float(cka_grid([x], [y], side=side).biased) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("mean", [0.0, 3.0])  # the definition itself cancels badly where means are large
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_debiased_cka_is_the_u_statistic_over_tuples_of_four(
    shape: tuple[int, int, int], dtype: torch.dtype, mean: float
) -> None:
    x, y = related(*shape, seed=3, mean=mean, dtype=dtype)
    for side in SIDES:
        actual = float(cka_grid([x], [y], side=side).debiased)
        assert actual == pytest.approx(debiased_by_definition(x, y), abs=TOLERANCES[dtype])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("n", [4, 5, 30, 90])
def test_a_grid_is_the_values_of_all_pairs(n: int, dtype: torch.dtype, side: Side) -> None:
    xs = [gaussian(n, d, seed=d, mean=5.0, dtype=dtype) for d in (5, 12, 40)]
    ys = [related(n, d, e, seed=d, mean=5.0, dtype=dtype)[1] for d, e in ((5, 8), (12, 3))]
    for others in (ys, None):
        grid = cka_grid(xs, others, side=side)
        against = xs if others is None else others
        biased = [[float(ckatorch.core.cka_base(x, y)) for y in against] for x in xs]
        debiased = [[debiased_by_ckatorch(x, y) for y in against] for x in xs]
        everywhere(grid.biased, torch.tensor(biased, dtype=torch.float64), TOLERANCES[dtype])
        everywhere(grid.debiased, torch.tensor(debiased, dtype=torch.float64), TOLERANCES[dtype])
        assert (grid.n, grid.side, grid.cross.dtype) == (n, side, torch.float64)


@pytest.mark.parametrize("n", [16, 17, 50])
def test_gram_matrices_may_come_in_several_blocks(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    xs, ys = [gaussian(n, d, seed=d) for d in (4, 9)], [gaussian(n, 6, seed=7)]
    whole, alone = cka_grid(xs, ys, side="gram"), cka_grid(xs, side="gram")
    monkeypatch.setattr(module, "_BLOCK", 1)
    assert len(list(module._blocks(n, 3, False))) == math.ceil(n / 16)
    everywhere(cka_grid(xs, ys, side="gram").debiased, whole.debiased, 1e-12)
    everywhere(cka_grid(xs, side="gram").debiased, alone.debiased, 1e-12)
    expected = [[debiased_by_ckatorch(x, ys[0])] for x in xs]
    everywhere(whole.debiased, torch.tensor(expected, dtype=torch.float64), 1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_not_computed_in_half_precision(dtype: torch.dtype) -> None:
    x, y = related(30, 40, 20, seed=4, mean=2.0, dtype=dtype)
    for side in SIDES:
        assert float(cka_grid([x], [y], side=side).debiased) == pytest.approx(debiased_by_ckatorch(x, y), abs=1e-5)


def test_inputs_that_require_gradients_and_views_are_left_as_they_are() -> None:
    x = gaussian(10, 6, seed=1, mean=9.0).requires_grad_()
    before = x.detach().clone()
    actual = cka_grid([x], [x.detach().T.contiguous().T])
    assert not actual.cross.requires_grad
    assert torch.equal(x, before)


def test_a_bar_changes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    x, y = related(20, 5, 6, seed=1)
    for side in SIDES:
        quiet = cka_grid([x], [y], side=side).debiased
        assert "CKA" not in capfd.readouterr().err
        assert torch.equal(cka_grid([x], [y], side=side, progress=True).debiased, quiet)
        assert "CKA" in capfd.readouterr().err


# What holds for all data


@st.composite
def pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian or heavy-tailed data, related or not; sometimes with two equal sentences."""
    n, d, e = draw(st.integers(5, 14)), draw(st.integers(1, 20)), draw(st.integers(1, 20))
    x, y = related(n, d, e, seed=draw(st.integers(0, 2**20)))
    if draw(st.booleans()):
        y = gaussian(n, e, seed=draw(st.integers(0, 2**20)))
    if draw(st.booleans()):
        x, y = x**3, y**5
    if draw(st.booleans()):
        x[1], y[-1] = x[0], y[0]
    return x, y


@checked
@given(pairs(), st.integers(0, 1000), st.integers(-6, 6), st.sampled_from([0.0, -3.0, 50.0]), st.sampled_from(SIDES))
def test_rotation_scale_and_shift_change_nothing(
    pair: tuple[torch.Tensor, torch.Tensor], seed: int, power: int, shift: float, side: Side
) -> None:
    x, y = pair
    size = float(x.abs().max())
    moved = 10.0**power * (x @ orthogonal(x.shape[1], seed) + shift * size * gaussian(1, x.shape[1], seed + 1))
    before, after = cka_grid([x], [y], side=side), cka_grid([moved], [y], side=side)
    everywhere(after.biased, before.biased, 1e-8)
    everywhere(after.debiased, before.debiased, 1e-8)


def test_a_linear_map_that_is_no_rotation_changes_it() -> None:
    x, y = related(30, 10, 10, seed=5)
    stretched = x * torch.linspace(0.1, 5, 10, dtype=torch.float64)
    assert cka(stretched, x) < 0.95
    assert cka(stretched, x, debiased=False) < 0.95
    assert abs(cka(stretched, y) - cka(x, y)) > 1e-3


@checked
@given(pairs(), st.sampled_from(SIDES))
def test_symmetry_bounds_and_one_for_itself(pair: tuple[torch.Tensor, torch.Tensor], side: Side) -> None:
    x, y = pair
    there, back = cka_grid([x], [y], side=side), cka_grid([y], [x], side=side)
    everywhere(there.biased, back.biased, 1e-12)
    everywhere(there.debiased, back.debiased, 1e-12)
    assert -1e-9 <= float(there.biased) <= 1 + 1e-9
    assert -1 - 1e-9 <= float(there.debiased) <= 1 + 1e-9
    for alone in (cka_grid([x], side=side), cka_grid([x], [x.clone()], side=side)):
        assert float(alone.biased) == pytest.approx(1, abs=1e-9)
        assert float(alone.debiased) == pytest.approx(1, abs=1e-9)


@checked
@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_sentences_does_not_matter_but_who_belongs_to_whom_does(
    pair: tuple[torch.Tensor, torch.Tensor], random: object
) -> None:
    x, y = pair
    order = list(range(len(x)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert cka(x[order], y[order]) == pytest.approx(cka(x, y), abs=1e-9)


def test_sentences_in_another_order_are_other_sentences() -> None:
    x = gaussian(30, 10, seed=6)
    assert cka(x, x) == pytest.approx(1)
    assert abs(cka(x, x.flip(0))) < 0.3


def test_unrelated_sentences_in_the_papers_setting() -> None:
    """80 sentences of 1024 features: the biased form is 0.93 for noise, the debiased one 0."""
    draw = torch.Generator().manual_seed(1)
    sentences = [[torch.randn(80, 1024, generator=draw, dtype=torch.float64)] for _ in range(80)]
    grids = [cka_grid(x, y) for x, y in zip(sentences[::2], sentences[1::2], strict=True)]
    biased = torch.stack([grid.biased[0, 0] for grid in grids])
    debiased = torch.stack([grid.debiased[0, 0] for grid in grids])
    assert ((biased > 0.92) & (biased < 0.94)).all()
    assert debiased.abs().max() < 0.06
    assert abs(debiased.mean()) < 3 * null_deviation(80) / math.sqrt(len(grids))
    assert debiased.mean().abs() < 3 * debiased.std() / math.sqrt(len(grids))
    assert 0.7 < debiased.std() / null_deviation(80) < 1.3


# Dimensions that decide alone


def rogue(seed: int, n: int = 200, d: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Independent but for one shared dimension of a huge variance, in different places and of different size."""
    x, y, shared = gaussian(n, d, seed), gaussian(n, d, seed + 1), gaussian(n, 1, seed + 2)
    return torch.cat([x[:, :7], 1000 * shared, x[:, 7:]], 1), torch.cat([y, -700 * shared], 1)


def test_one_shared_dimension_decides_alone() -> None:
    x, y = rogue(1)
    assert cka(x, y) > 0.999
    assert abs(cka(standardised(x), standardised(y))) < 0.06
    assert abs(cka(without_dominant(x, 1), without_dominant(y, 1))) < 0.03


def test_standardised_are_z_scores() -> None:
    x = gaussian(30, 6, seed=1, mean=20.0)
    expected = (x.numpy() - x.numpy().mean(0)) / x.numpy().std(0)
    everywhere(standardised(x), torch.from_numpy(expected), 1e-12)
    assert standardised(x.float()).dtype == torch.float64


def test_features_that_do_not_vary_become_zero() -> None:
    x = gaussian(30, 6, seed=1, mean=20.0).float()
    x[:, 2] = 0
    x[:, 4] = 12.3456 * (1 + 1e-7 * torch.arange(30) % 3)
    actual = standardised(x)
    assert (actual[:, [2, 4]] == 0).all()
    assert (actual[:, [0, 1, 3, 5]].square().mean(0) - 1).abs().max() < 1e-9


def test_the_features_of_the_largest_variance_are_dropped_in_place() -> None:
    base = gaussian(40, 5, seed=2)
    base = (base - base.mean(0)) / base.std(0)
    x = base * torch.tensor([1.0, 9.0, 2.0, 8.0, 3.0]) + torch.tensor([500.0, 0, 0, 0, 0])
    assert torch.equal(without_dominant(x, 0), x)
    assert torch.equal(without_dominant(x, 2), x[:, [0, 2, 4]])
    assert torch.equal(without_dominant(x, 4), x[:, [0]])
    assert without_dominant(x.float(), 1).dtype == torch.float32


@pytest.mark.parametrize("k", [-1, 5, 6])
def test_no_layer_loses_all_features(k: int) -> None:
    with pytest.raises(AnalysisError, match=rf"{k} of 5 features can't be dropped"):
        without_dominant(gaussian(10, 5, seed=1), k)


# Layers that say nothing


def constant(n: int, d: int, noise: float, dtype: torch.dtype) -> torch.Tensor:
    """One vector for all sentences, up to rounding."""
    vector = gaussian(1, d, seed=77, mean=3.0)
    return (vector * (1 + noise * gaussian(n, d, seed=78))).to(dtype)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("noise", "dtype"), [(0.0, torch.float32), (1e-7, torch.float32), (1e-15, torch.float64)])
def test_a_constant_layer_is_nan_and_no_noise(noise: float, dtype: torch.dtype, side: Side) -> None:
    still, moving = constant(40, 64, noise, dtype), gaussian(40, 64, seed=1, dtype=dtype)
    assert bool((still == still[0]).all()) == (noise == 0)
    grid = cka_grid([still, moving], side=side)
    other = cka_grid([still, moving], [moving, still, still], side=side)
    for values in (grid.biased, grid.debiased):
        assert values.isnan().tolist() == [[True, True], [True, False]]
        assert float(values[1, 1]) == pytest.approx(1, abs=1e-5)
    for values in (other.biased, other.debiased):
        assert values.isnan().tolist() == [[True, True, True], [False, True, True]]
    assert math.isnan(cka(still, moving))
    assert math.isnan(cka(moving, torch.zeros_like(moving)))


def test_small_differences_on_a_large_mean_are_no_rounding() -> None:
    x, y = related(30, 20, 20, seed=8)
    actual = cka((1e3 + x).float(), (1e3 + y).float())
    assert actual == pytest.approx(cka(x, y), abs=1e-3)


def test_sentences_all_equally_far_apart_are_nan_and_no_noise() -> None:
    for n, dtype, side in product(range(5, 40), TOLERANCES, SIDES):
        simplex = torch.eye(n, dtype=dtype)
        grid = cka_grid([simplex], [gaussian(n, 5, seed=1, dtype=dtype)], side=side)
        assert 0 < float(grid.biased) < 1
        assert grid.debiased.isnan().all()
        assert cka_grid([simplex], side=side).debiased.isnan().all()


def test_what_is_constant_for_one_is_constant_for_the_other() -> None:
    still, moving = constant(40, 64, 3e-6, torch.float32), gaussian(40, 64, seed=1, dtype=torch.float32)
    assert math.isnan(cka(still, moving))
    assert math.isnan(cka(standardised(still), standardised(moving)))


# Errors


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_sentences(n: int) -> None:
    with pytest.raises(AnalysisError, match=rf"{n} sentences are too few.*needs 4"):
        cka(gaussian(n, 5, seed=1), gaussian(n, 5, seed=2))


def test_four_sentences_are_enough() -> None:
    x, y = related(4, 5, 6, seed=1)
    assert cka(x, y) == pytest.approx(debiased_by_definition(x, y), abs=1e-9)


def test_different_sentences() -> None:
    x, y = gaussian(10, 5, seed=1), gaussian(9, 5, seed=2)
    with pytest.raises(AnalysisError, match="10 sentences on one side and 9 on the other"):
        cka(x, y)
    with pytest.raises(AnalysisError, match=r"layer 1 has shape \(9, 5\).*same n"):
        cka_grid([x, y])
    with pytest.raises(AnalysisError, match=r"layer 0 has shape \(10,\).*\[n, d\]"):
        cka(x[:, 0], y)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(value: float) -> None:
    x, y = gaussian(10, 5, seed=1), gaussian(10, 5, seed=2)
    y[3, 2] = value
    with pytest.raises(AnalysisError, match="layer 1 has values that are not finite"):
        cka_grid([x], [x, y])
    with pytest.raises(AnalysisError, match="layer 0 has values that are not finite"):
        cka(y, x)


def test_no_layers() -> None:
    x = gaussian(10, 5, seed=1)
    for xs, ys in (([], [x]), ([x], []), ([], None)):
        with pytest.raises(AnalysisError, match="no layers"):
            cka_grid(xs, ys)


# The cheaper side


def multiplications(n: int, widths_a: list[int], widths_b: list[int], same: bool) -> dict[Side, int]:
    """Counted matrix by matrix: what each side multiplies, and with it each pair of layers it takes."""
    gram = sum(n * n * d for d in widths_a) + sum(1 for _ in product(widths_a, widths_b)) * n * n
    if same:
        feature = sum(d * n * e for i, d in enumerate(widths_a) for e in widths_a[i:])
        return {"gram": gram, "feature": feature}
    gram += sum(n * n * e for e in widths_b)
    feature = sum(d * n * e for d, e in product(widths_a, widths_b))
    feature += sum(d * n * d for d in widths_a) + sum(e * n * e for e in widths_b)
    return {"gram": gram, "feature": feature}


@checked
@given(
    st.integers(4, 60),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.booleans(),
)
def test_the_side_with_fewer_multiplications_is_taken(n: int, a: list[int], b: list[int], same: bool) -> None:
    other = a if same else b
    counts = multiplications(n, a, other, same)
    actual = cheaper(n, a, other, same=same)
    assert counts[actual] == min(counts.values())
    layers = [gaussian(n, d, seed=i) for i, d in enumerate(a)]
    others = None if same else [gaussian(n, d, seed=50 + i) for i, d in enumerate(b)]
    assert cka_grid(layers, others).side == actual


def test_few_wide_layers_go_by_gram_and_many_sentences_by_features() -> None:
    assert cheaper(80, [1024] * 13, [1024] * 13) == "gram"
    assert cheaper(5000, [256] * 3, [256] * 3) == "feature"
    assert cheaper(80, [1024] * 13, [1024] * 13, same=True) == "gram"
    assert cheaper(50_000, [256] * 3, [256] * 3, same=True) == "feature"


@checked
@given(pairs(), st.booleans())
def test_both_sides_hold_the_same_sums(pair: tuple[torch.Tensor, torch.Tensor], same: bool) -> None:
    xs, ys = [pair[0], pair[1]], None if same else [pair[1], pair[0], pair[0] ** 2]
    gram, feature = (cka_grid(xs, ys, side=side) for side in SIDES)
    for name in ("cross", "diagonals_a", "diagonals_b", "squares_a", "squares_b"):
        one, two = getattr(gram, name), getattr(feature, name)
        whole = gram.diagonals_a.square().sum() + gram.diagonals_b.square().sum() + gram.squares_a.sum()
        assert one.shape == two.shape
        everywhere(one, two, 1e-9 * float(whole + gram.squares_b.sum()))
    everywhere(gram.biased, feature.biased, 1e-9)
    everywhere(gram.debiased, feature.debiased, 1e-8)


def test_the_sums_are_what_they_are_said_to_be() -> None:
    x, y = related(9, 4, 5, seed=9, mean=3.0)
    for side in SIDES:
        grid = cka_grid([x], [y], side=side)
        assert isinstance(grid, Grid)
        k, m = (((z - z.mean(0)) @ (z - z.mean(0)).T) for z in (x, y))
        off = 1 - torch.eye(9, dtype=torch.float64)
        everywhere(grid.diagonals_a[0], k.diagonal(), 1e-9)
        everywhere(grid.diagonals_b[0], m.diagonal(), 1e-9)
        assert float(grid.cross) == pytest.approx(float((k * m * off).sum()), rel=1e-9)
        assert float(grid.squares_a) == pytest.approx(float((k * k * off).sum()), rel=1e-9)
        assert float(grid.squares_b) == pytest.approx(float((m * m * off).sum()), rel=1e-9)
