"""Nulls against all permutations, the bootstrap against its definition and new samples, leaving out by doing it."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from xglue_analysis import resampling
from xglue_analysis.cka import cka, cka_grid, null_deviation
from xglue_analysis.errors import AnalysisError
from xglue_analysis.resampling import Pairwise, _Weights, jackknife_stderr


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(n: int, seed: int, d: int = 12, e: int = 9, shared: int = 4, noise: float = 1.0) -> list[torch.Tensor]:
    """Two representations of a few shared factors; the maps are the same whatever the seed."""
    factors = gaussian(n, shared, seed=10 * seed)
    x = factors @ gaussian(shared, d, seed=7_000_001) + noise * gaussian(n, d, seed=10 * seed + 1)
    y = factors @ gaussian(shared, e, seed=7_000_002) + noise * gaussian(n, e, seed=10 * seed + 2)
    return [x, y]


def hsic_weighted(k: np.ndarray, m: np.ndarray, w: np.ndarray) -> float:
    """``E[K_ij L_ij + K_ij L_qr - 2 K_ij L_iq]`` over tuples of four different indices with their weights."""
    i, j, q, r = np.array(list(permutations(range(len(w)), 4))).T
    values = k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]
    return float(np.average(values, weights=w[i] * w[j] * w[q] * w[r]))


def draws(n: int, replicates: int, seed: int) -> torch.Tensor:
    """``[replicates, n]``: how often each sentence is drawn."""
    drawn = torch.randint(n, (replicates, n), generator=torch.Generator().manual_seed(seed))
    return torch.stack([torch.bincount(row, minlength=n) for row in drawn]).double()


# Null


@pytest.mark.parametrize(("n", "d", "e"), [(4, 3, 2), (5, 2, 9), (6, 4, 30), (7, 3, 3)])
def test_mean_and_deviation_of_the_null_are_those_over_all_permutations(n: int, d: int, e: int) -> None:
    x, y = gaussian(n, d, seed=1).exp(), gaussian(n, e, seed=2) ** 3 + 5
    y[0] += 30  # an outlier: no assumption on the data
    moved = [y[list(order)] for order in permutations(range(n))]
    grid = cka_grid([x], moved)
    assert float(grid.debiased.mean()) == pytest.approx(0, abs=1e-12)
    assert float(grid.debiased.std(correction=0)) == pytest.approx(null_deviation(n), abs=1e-12)
    null = Pairwise([x], [y]).null(permutations=1)
    assert float(null.biased_mean) == pytest.approx(float(grid.biased.mean()), abs=1e-12)


def test_the_null_of_all_permutations_has_that_95th_percentile() -> None:
    x, y = gaussian(6, 4, seed=3), gaussian(6, 3, seed=4)
    grid = cka_grid([x], [y[list(order)] for order in permutations(range(6))])
    null = Pairwise([x], [y]).null(permutations=3000, seed=1)
    assert float(null.debiased_p95) == pytest.approx(float(grid.debiased.quantile(0.95)), abs=0.02)
    assert float(null.biased_p95) == pytest.approx(float(grid.biased.quantile(0.95)), abs=0.02)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_percentiles_are_those_of_cka_with_shuffled_sentences(dtype: torch.dtype, tolerance: float) -> None:
    xs = [layer.to(dtype) for layer in (related(15, 1)[0], gaussian(15, 40, seed=5))]
    ys = [layer.to(dtype) for layer in (related(15, 1)[1], gaussian(15, 3, seed=6) + 4, gaussian(15, 20, seed=7))]
    actual = Pairwise(xs, ys).null(permutations=40, seed=11)
    generator = torch.Generator().manual_seed(11)
    orders = [torch.randperm(15, generator=generator) for _ in range(40)]
    grids = [cka_grid(xs, [y[order] for y in ys]) for order in orders]
    debiased = torch.stack([grid.debiased for grid in grids]).quantile(0.95, dim=0)
    biased = torch.stack([grid.biased for grid in grids]).quantile(0.95, dim=0)
    torch.testing.assert_close(actual.debiased_p95, debiased, rtol=0, atol=tolerance)
    torch.testing.assert_close(actual.biased_p95, biased, rtol=0, atol=tolerance)
    assert actual.permutations == 40
    assert actual.debiased_p95.shape == (2, 3)


def test_the_null_has_the_deviation_that_is_said_at_any_size() -> None:
    x, y = related(60, 2)
    order = torch.Generator().manual_seed(1)
    values = cka_grid([x], [y[torch.randperm(60, generator=order)] for _ in range(800)]).debiased
    assert float(values.std()) == pytest.approx(null_deviation(60), rel=0.1)
    assert abs(float(values.mean())) < 4 * null_deviation(60) / math.sqrt(800)


def test_a_null_needs_permutations() -> None:
    with pytest.raises(AnalysisError, match="no permutations"):
        Pairwise(*[[z] for z in related(10, 1)]).null(permutations=0)


# Bootstrap


@pytest.mark.parametrize("n", [7, 8])
def test_weighted_hsic_is_the_mean_over_tuples_of_different_sentences(n: int) -> None:
    k, m = (z @ z.T for z in (gaussian(n, 5, seed=1) + 2, gaussian(n, 3, seed=2)))
    counts = torch.cat([draws(n, 12, seed=1), torch.ones(1, n, dtype=torch.float64)])
    counts = counts[(counts > 0).sum(1) >= 4]
    assert len(counts) > 8
    weights = _Weights(counts.T.contiguous())
    off = 1 - torch.eye(n, dtype=torch.float64)
    (sums_k,), (sums_l,) = weights.row_sums((k * off)[None]), weights.row_sums((m * off)[None])
    actual = weights.hsic(k * off, m * off, sums_k, sums_l)
    expected = [hsic_weighted(k.numpy(), m.numpy(), w.numpy()) for w in counts]
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_is_that_of_weighted_hsic(level: float, dtype: torch.dtype, tolerance: float) -> None:
    n, replicates = 11, 20
    layers = [z.to(dtype) for z in related(n, 4, noise=0.3)]
    actual = Pairwise(layers[:1], layers[1:]).bootstrap(replicates=replicates, seed=9, level=level)
    centred = [z.double() - z.double().mean(0) for z in layers]
    k, m = ((z @ z.T).numpy() for z in centred)
    values = []
    for w in draws(n, replicates, seed=9).numpy():
        cross, own_k, own_l = hsic_weighted(k, m, w), hsic_weighted(k, k, w), hsic_weighted(m, m, w)
        values.append(cross / math.sqrt(own_k * own_l))
    expected = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    assert float(actual.low) == pytest.approx(expected[0], abs=tolerance)
    assert float(actual.high) == pytest.approx(expected[1], abs=tolerance)
    assert float(actual.stderr) == pytest.approx(np.std(values, ddof=1), abs=tolerance)
    assert actual.replicates == replicates
    assert math.isnan(actual.mean_stderr)


def test_the_interval_covers_and_is_as_wide_as_new_samples_say() -> None:
    """100 sentences each time; the true value is that of very many."""
    population = cka(*related(40_000, 999_999))
    values, stderrs, jackknives, covered = [], [], [], []
    for seed in range(150):
        x, y = related(100, seed + 1)
        pairwise = Pairwise([x], [y])
        interval = pairwise.bootstrap(replicates=200, seed=seed)
        values.append(cka(x, y))
        stderrs.append(float(interval.stderr))
        jackknives.append(jackknife_stderr(pairwise.leave_one_out()[0, 0]))
        covered.append(float(interval.low) <= population <= float(interval.high))
        assert float(interval.low) < values[-1] < float(interval.high)
    real = np.std(values, ddof=1)
    assert np.mean(values) == pytest.approx(population, abs=0.02)
    assert np.mean(stderrs) == pytest.approx(real, rel=0.25)
    assert np.mean(jackknives) == pytest.approx(real, rel=0.25)
    assert np.mean(stderrs) == pytest.approx(np.mean(jackknives), rel=0.25)
    assert 0.88 <= np.mean(covered) < 1


def test_duplicates_do_not_inflate() -> None:
    """Independent data: naive resampling of rows counts a sentence with itself, and finds likeness."""
    x, y = gaussian(100, 300, seed=1), gaussian(100, 300, seed=2)
    full = cka(x, y)
    drawn = torch.randint(100, (60, 100), generator=torch.Generator().manual_seed(3))
    naive = np.mean([cka(x[rows], y[rows]) for rows in drawn])
    actual = Pairwise([x], [y]).bootstrap(replicates=400, seed=3, level=1e-9)
    middle = float(actual.low + actual.high) / 2
    assert naive > 0.4
    assert abs(full) < 0.05
    assert abs(middle - full) < 0.02  # the median of replicates


def replicates_of(x: torch.Tensor, y: torch.Tensor, replicates: int, seed: int) -> torch.Tensor:
    """Debiased CKA of each draw."""
    pairwise = Pairwise([x], [y])
    weights = _Weights(draws(len(x), replicates, seed).T.contiguous())
    (sums_a,), (sums_b,) = weights.row_sums(pairwise._a), weights.row_sums(pairwise._b)
    cross = weights.hsic(pairwise._a[0], pairwise._b[0], sums_a, sums_b)
    own_a = weights.hsic(pairwise._a[0], pairwise._a[0], sums_a, sums_a)
    own_b = weights.hsic(pairwise._b[0], pairwise._b[0], sums_b, sums_b)
    return cross / (own_a * own_b).sqrt()


def test_replicates_have_the_mean_of_the_full_value() -> None:
    x, y = gaussian(100, 300, seed=1), gaussian(100, 300, seed=2)
    replicates = replicates_of(x, y, 2000, seed=4)
    assert float(replicates.mean()) == pytest.approx(cka(x, y), abs=4 * float(replicates.std()) / math.sqrt(2000))


def test_weighted_hsic_has_the_mean_of_the_full_one() -> None:
    x = related(30, 5)[0]
    pairwise = Pairwise([x], [x])
    weights = _Weights(draws(30, 4000, seed=4).T.contiguous())
    (sums,) = weights.row_sums(pairwise._a)
    actual = weights.hsic(pairwise._a[0], pairwise._a[0], sums, sums)
    error = float(actual.std()) / math.sqrt(4000)
    x = (x - x.mean(0)) / (x - x.mean(0)).norm() * math.sqrt(30)  # the scale that Gram matrices are brought to
    assert float(actual.mean()) == pytest.approx(float(_full(x, x)), abs=4 * error)
    assert error < 0.01 * float(actual.mean())


def _full(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``HSIC₁`` by Song et al. 2012, equation 5, on Gram matrices that are not centred."""
    n = len(x)
    k, m = (z @ z.T * (1 - torch.eye(n, dtype=z.dtype)) for z in (x, y))
    middle = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ m).sum()
    return ((k * m).sum() + middle) / (n * (n - 3))


def test_only_the_pairs_wanted_are_worked_out_and_are_the_same() -> None:
    xs, ys = related(30, 1), [*related(30, 2), *related(30, 3)[:1]]
    everything = Pairwise(xs, ys).bootstrap(replicates=50, seed=2)
    some = Pairwise(xs, ys).bootstrap(replicates=50, seed=2, pairs=[(0, 2), (1, 1)])
    for name in ("low", "high", "stderr"):
        full, part = getattr(everything, name), getattr(some, name)
        assert full.shape == (2, 3)
        assert not full.isnan().any()
        assert part.isnan().tolist() == [[True, True, False], [True, False, True]]
        assert torch.equal(part[[0, 1], [2, 1]], full[[0, 1], [2, 1]])


def test_the_stderr_of_a_mean_knows_that_pairs_share_their_sentences() -> None:
    x, y = related(40, 1)
    pairwise = Pairwise([x, x.clone(), gaussian(40, 5, seed=8)], [y])
    twice = pairwise.bootstrap(replicates=300, seed=2, average=[(0, 0), (1, 0)])
    assert twice.mean_stderr == pytest.approx(float(twice.stderr[0, 0]), rel=1e-9)  # not 1 / sqrt(2) of it
    alone = pairwise.bootstrap(replicates=300, seed=2, average=[(2, 0)])
    assert alone.mean_stderr == pytest.approx(float(alone.stderr[2, 0]), rel=1e-9)
    both = pairwise.bootstrap(replicates=300, seed=2, average=[(0, 0), (2, 0)])
    means = (replicates_of(x, y, 300, seed=2) + replicates_of(gaussian(40, 5, seed=8), y, 300, seed=2)) / 2
    assert both.mean_stderr == pytest.approx(float(means.std()), rel=1e-9)
    assert both.mean_stderr < 0.99 * float(both.stderr[[0, 2], 0].mean())


def test_constant_layers_have_no_part_in_a_mean() -> None:
    x, y = related(40, 1)
    pairwise = Pairwise([x, torch.ones(40, 3, dtype=torch.float64)], [y])
    actual = pairwise.bootstrap(replicates=50, seed=2, average=[(0, 0), (1, 0)])
    assert actual.mean_stderr == pytest.approx(float(actual.stderr[0, 0]), rel=1e-9)


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    x, y = related(30, 1)
    runs = [Pairwise([x], [y]) for _ in range(2)]
    one, two = (run.bootstrap(replicates=40, seed=5, average=[(0, 0)]) for run in runs)
    other = runs[0].bootstrap(replicates=40, seed=6)
    assert (one.low, one.high, one.stderr, one.mean_stderr) == (two.low, two.high, two.stderr, two.mean_stderr)
    assert float(one.low) != float(other.low)
    first, second = (run.null(permutations=40, seed=5) for run in runs)
    assert float(first.debiased_p95) == float(second.debiased_p95)
    assert float(first.biased_p95) == float(second.biased_p95)
    assert float(first.debiased_p95) != float(runs[0].null(permutations=40, seed=6).debiased_p95)


def test_the_global_generator_is_left_alone() -> None:
    x, y = related(20, 1)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    pairwise = Pairwise([x], [y])
    pairwise.bootstrap(replicates=5)
    pairwise.null(permutations=5)
    assert torch.equal(torch.get_rng_state(), before)


# Where the bootstrap has little to draw from


@pytest.mark.parametrize("n", [7, 8])
def test_few_sentences_still_have_a_deviation(n: int) -> None:
    x, y = related(n, 1, noise=0.1)
    interval = Pairwise([x], [y]).bootstrap(replicates=500)
    assert math.isfinite(float(interval.low))
    assert math.isfinite(float(interval.high))
    assert math.isfinite(float(interval.stderr))


def test_no_interval_goes_beyond_what_cka_can_be() -> None:
    interval = Pairwise([gaussian(8, 300, seed=1)], [gaussian(8, 300, seed=2)]).bootstrap(replicates=500, level=0.999)
    assert -1 <= float(interval.low) < float(interval.high) <= 1


def test_a_bootstrap_needs_replicates() -> None:
    with pytest.raises(AnalysisError, match="replicates"):
        Pairwise(*[[z] for z in related(10, 1)]).bootstrap(replicates=0)


@pytest.mark.parametrize("scale", [1e-12, 1e10])
def test_the_scale_of_float32_does_not_matter(scale: float) -> None:
    x, y = (z.float() for z in related(20, 1))
    plain, scaled = Pairwise([x], [y]), Pairwise([scale * x], [scale * y])
    assert cka(scale * x, scale * y) == pytest.approx(cka(x, y), abs=1e-5)
    expected = float(plain.bootstrap(replicates=20).low)
    assert float(scaled.bootstrap(replicates=20).low) == pytest.approx(expected, abs=1e-4)
    torch.testing.assert_close(scaled.leave_one_out(), plain.leave_one_out(), rtol=0, atol=1e-4)


# Leaving one out


@pytest.mark.parametrize("n", [5, 6, 25])
def test_leaving_one_out_is_cka_without_that_row(n: int) -> None:
    xs, ys = [gaussian(n, 4, seed=1) + 3, gaussian(n, 30, seed=2)], [gaussian(n, 6, seed=3), xs0(n), gaussian(n, 1)]
    actual = Pairwise(xs, ys).leave_one_out()
    assert actual.shape == (2, 3, n)
    for row in range(n):
        kept = [place for place in range(n) if place != row]
        expected = cka_grid([x[kept] for x in xs], [y[kept] for y in ys]).debiased
        torch.testing.assert_close(actual[:, :, row], expected, rtol=0, atol=1e-12)


def xs0(n: int) -> torch.Tensor:
    """Related to the first layer above."""
    return (gaussian(n, 4, seed=1) + 3) @ gaussian(4, 4, seed=9) + 0.5 * gaussian(n, 4, seed=10)


def test_leaving_one_out_in_float32() -> None:
    x, y = (z.float() for z in related(25, 3))
    expected = Pairwise([x.double()], [y.double()]).leave_one_out()
    torch.testing.assert_close(Pairwise([x], [y]).leave_one_out(), expected, rtol=0, atol=1e-5)


def test_leaving_one_of_four_out() -> None:
    x, y = related(4, 1)
    with pytest.raises(AnalysisError, match=r"4 sentences are too few.*needs 5"):
        Pairwise([x], [y]).leave_one_out()


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = gaussian(50, seed=1)
    without = torch.stack([(values.sum() - value) / 49 for value in values])
    assert jackknife_stderr(without) == pytest.approx(float(values.std() / math.sqrt(50)), rel=1e-12)


# Constant layers, and errors


@pytest.mark.parametrize(("noise", "dtype"), [(0.0, torch.float32), (1e-7, torch.float32), (1e-15, torch.float64)])
def test_a_constant_layer_is_nan_everywhere(noise: float, dtype: torch.dtype) -> None:
    still = ((gaussian(1, 64, seed=1) + 3) * (1 + noise * gaussian(20, 64, seed=2))).to(dtype)
    moving = gaussian(20, 64, seed=3).to(dtype)
    assert bool((still == still[0]).all()) == (noise == 0)
    pairwise = Pairwise([still, moving], [moving])
    null, interval = pairwise.null(permutations=20), pairwise.bootstrap(replicates=20, average=[(0, 0)])
    for values in (null.debiased_p95, null.biased_mean, null.biased_p95, interval.low, interval.high, interval.stderr):
        assert values.isnan().tolist() == [[True], [False]]
    assert math.isnan(interval.mean_stderr)
    left_out = pairwise.leave_one_out()
    assert left_out[0].isnan().all()
    torch.testing.assert_close(left_out[1, 0], torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-5)


def test_more_sentences_than_gram_matrices_are_held_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "PAIRWISE_LIMIT", 12)
    Pairwise([gaussian(12, 3)], [gaussian(12, 3)])
    with pytest.raises(AnalysisError, match="13 sentences: give at most 12"):
        Pairwise([gaussian(13, 3)], [gaussian(13, 3)])


def test_wrong_inputs() -> None:
    x, y = related(10, 1)
    with pytest.raises(AnalysisError, match="10 sentences on one side and 9 on the other"):
        Pairwise([x], [y[1:]])
    with pytest.raises(AnalysisError, match="3 sentences are too few"):
        Pairwise([x[:3]], [y[:3]])
    with pytest.raises(AnalysisError, match="no layers"):
        Pairwise([x], [])
    with pytest.raises(AnalysisError, match="layer 0 has values that are not finite"):
        Pairwise([x], [y * math.nan])
