"""Minibatches: against another implementation, and in expectation against all sentences."""

from __future__ import annotations

from itertools import combinations

import ckatorch.core
import pytest
import torch

from xglue_analysis.cka import cka_grid
from xglue_analysis.errors import AnalysisError
from xglue_analysis.streaming import MinibatchCKA


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(n: int, d: int, e: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = gaussian(n, d, seed=seed) + gaussian(1, d, seed=seed + 1)
    return x, x @ gaussian(d, e, seed=seed + 2) / d**0.5 + gaussian(n, e, seed=seed + 3) + 2


def hsic1(x: torch.Tensor, y: torch.Tensor) -> float:
    """Song et al. 2012, equation 5, on Gram matrices that are not centred."""
    n = len(x)
    k, m = (z @ z.T * (1 - torch.eye(n, dtype=z.dtype)) for z in (x, y))
    middle = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ m).sum()
    return float(((k * m).sum() + middle) / (n * (n - 3)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("batches", "n", "d", "e"), [(1, 4, 3, 5), (3, 5, 40, 7), (6, 12, 30, 20), (4, 64, 8, 8)])
def test_minibatches_are_ckatorchs(batches: int, n: int, d: int, e: int, dtype: torch.dtype, tolerance: float) -> None:
    xs = [related(batches * n, d, e, seed=10 * layer)[0].to(dtype) for layer in range(2)]
    ys = [related(batches * n, d, e, seed=10 * layer)[1].to(dtype) for layer in range(3)]
    streamed, alone = MinibatchCKA(), MinibatchCKA()
    for at in range(0, batches * n, n):
        streamed.update([x[at : at + n] for x in xs], [y[at : at + n] for y in ys])
        alone.update([y[at : at + n] for y in ys])
    assert (streamed.batches, streamed.sentences) == (batches, batches * n)
    for actual, left, right in ((streamed.value(), xs, ys), (alone.value(), ys, ys)):
        assert actual.dtype == torch.float64
        expected = [
            [float(ckatorch.core.cka_batch(x.reshape(batches, n, -1), y.reshape(batches, n, -1))) for y in right]
            for x in left
        ]
        torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=tolerance)


def test_one_minibatch_is_the_grid() -> None:
    xs, ys = list(related(30, 8, 12, seed=1)), [related(30, 8, 5, seed=1)[1]]
    for others in (ys, None):
        streamed = MinibatchCKA()
        streamed.update(xs, others)
        torch.testing.assert_close(streamed.value(), cka_grid(xs, others).debiased, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "size"), [(6, 4), (8, 5), (8, 4), (9, 7)])
def test_all_minibatches_together_are_all_sentences(n: int, size: int) -> None:
    """The mean of HSIC over all choices of so many sentences is the HSIC of all of them, exactly."""
    x, y = related(n, 4, 3, seed=2)
    streamed = MinibatchCKA()
    for kept in combinations(range(n), size):
        streamed.update([x[list(kept)]], [y[list(kept)]])
    assert float(streamed.value()) == pytest.approx(float(cka_grid([x], [y]).debiased), abs=1e-12)
    assert streamed._sums is not None
    means = [float(part.flatten()[0]) / streamed.batches for part in streamed._sums]
    assert means == pytest.approx([hsic1(x, y), hsic1(x, x), hsic1(y, y)], rel=1e-10)


def test_the_mean_over_random_partitions_is_near_all_sentences() -> None:
    n, size = 240, 24
    x, y = related(n, 10, 16, seed=3)
    full = float(cka_grid([x], [y]).debiased)
    generator = torch.Generator().manual_seed(1)
    values, biased, pooled = [], [], MinibatchCKA()
    for _ in range(60):
        streamed = MinibatchCKA()
        for kept in torch.randperm(n, generator=generator).split(size):
            streamed.update([x[kept]], [y[kept]])
            pooled.update([x[kept]], [y[kept]])
            biased.append(float(cka_grid([x[kept]], [y[kept]]).biased))
        values.append(float(streamed.value()))
    values_ = torch.tensor(values)
    assert float(values_.mean()) == pytest.approx(full, abs=4 * float(values_.std()) / 60**0.5 + 2e-3)
    assert float(pooled.value()) == pytest.approx(full, abs=0.01)  # more passes, less noise
    assert abs(float(pooled.value()) - full) < float(values_.std())
    assert sum(biased) / len(biased) - full > 0.1  # which no number of passes would bring down


def test_minibatches_of_other_sizes_count_once_each() -> None:
    x, y = related(20, 4, 3, seed=4)
    streamed = MinibatchCKA()
    for part in (slice(0, 5), slice(5, 20)):
        streamed.update([x[part]], [y[part]])
    parts = [(x[:5], y[:5]), (x[5:], y[5:])]
    sums = [sum(hsic1(one[i], one[j]) for one in parts) for i, j in ((0, 1), (0, 0), (1, 1))]
    assert float(streamed.value()) == pytest.approx(sums[0] / (sums[1] * sums[2]) ** 0.5, abs=1e-10)
    assert (streamed.batches, streamed.sentences) == (2, 20)


def test_a_layer_that_never_varies_is_nan_and_one_that_sometimes_does_is_not() -> None:
    x, y = (z.float() for z in related(20, 6, 6, seed=5))
    still = (gaussian(1, 6, seed=9) * (1 + 1e-7 * gaussian(20, 6, seed=8))).float()
    sometimes = still.clone()
    sometimes[10:] = x[10:]
    streamed = MinibatchCKA()
    for part in (slice(0, 10), slice(10, 20)):
        streamed.update([still[part], sometimes[part]], [y[part]])
    assert streamed.value().isnan().tolist() == [[True], [False]]


def test_errors() -> None:
    x, y = related(20, 4, 3, seed=6)
    streamed = MinibatchCKA()
    with pytest.raises(AnalysisError, match="no minibatch"):
        streamed.value()
    with pytest.raises(AnalysisError, match="3 sentences are too few"):
        streamed.update([x[:3]], [y[:3]])
    assert (streamed.batches, streamed.sentences) == (0, 0)
    streamed.update([x, x], [y])
    before = streamed.value()
    with pytest.raises(AnalysisError, match=r"\(2, 1\) layers before and \(1, 1\) now: give the same layers"):
        streamed.update([x], [y])
    with pytest.raises(AnalysisError, match=r"\(2, 1\) layers before and \(2, 2\) now"):
        streamed.update([x, x])
    assert (streamed.batches, streamed.sentences) == (1, 20)
    assert torch.equal(streamed.value(), before)
