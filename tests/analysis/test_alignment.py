"""Neuron-wise correlation against scipy, search for the translation against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.errors import AnalysisError

checked = settings(deadline=None, max_examples=60, derandomize=True)


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def translations(n: int, d: int, noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors with a few hubs, and the same with noise."""
    x = gaussian(n, d, seed=seed) + 0.7 * gaussian(1, d, seed=seed + 1)
    return x, x + noise * gaussian(n, d, seed=seed + 2)


# Neuron-wise correlation


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize(("n", "d"), [(3, 1), (4, 30), (50, 7)])
def test_anc_is_pearsons_r_of_each_neuron(n: int, d: int, dtype: torch.dtype, tolerance: float) -> None:
    x, y = translations(n, d, 1.5, seed=1)
    y[:, ::2] *= -40
    x, y = (x + 10).to(dtype), y.to(dtype)
    r = [scipy.stats.pearsonr(x[:, at].double().numpy(), y[:, at].double().numpy()).statistic for at in range(d)]
    actual = anc(x, y)
    assert actual.absolute == pytest.approx(np.mean(np.abs(r)), abs=tolerance)
    assert actual.signed == pytest.approx(np.mean(r), abs=tolerance)
    assert actual.constant == 0


@pytest.mark.parametrize("n", [40, 120])
def test_the_null_is_what_unrelated_sentences_give(n: int) -> None:
    actual = anc(gaussian(n, 20_000, seed=1), gaussian(n, 20_000, seed=2))
    assert actual.absolute == pytest.approx(actual.null, rel=0.02)
    assert abs(actual.signed) < 4 / math.sqrt(20_000 * (n - 1))


@pytest.mark.parametrize("n", [3, 10, 80])
def test_the_null_is_the_mean_of_a_half_normal_of_that_deviation(n: int) -> None:
    """r of independent data has the deviation ``1 / sqrt(n-1)``, exactly."""
    expected = scipy.stats.halfnorm(scale=1 / math.sqrt(n - 1)).mean()
    assert anc(gaussian(n, 5, seed=1), gaussian(n, 5, seed=2)).null == pytest.approx(expected, rel=1e-12)


def test_constant_neurons_are_left_out_and_counted() -> None:
    x, y = (z.float() for z in translations(30, 8, 1.0, seed=3))
    x[:, 1], y[:, 4], x[:, 6], y[:, 6] = 0, 7.5, 1, 2
    y[:, 7] = 3.3 * (1 + 1e-7 * gaussian(30, seed=5))  # rounding
    assert y[:, 7].unique().numel() > 1
    kept = [0, 2, 3, 5]
    actual, expected = anc(x, y), anc(x[:, kept], y[:, kept])
    assert actual.constant == 4
    assert (actual.absolute, actual.signed) == pytest.approx((expected.absolute, expected.signed), abs=1e-12)


def test_where_no_neuron_varies_there_is_no_mean() -> None:
    x = gaussian(1, 6, seed=1).expand(10, 6)
    actual = anc(x, gaussian(10, 6, seed=2))
    assert math.isnan(actual.absolute)
    assert math.isnan(actual.signed)
    assert actual.constant == 6


def test_anc_forgives_scale_and_shift_of_a_neuron_but_no_rotation() -> None:
    x = gaussian(60, 12, seed=1)
    moved = x * torch.linspace(0.1, 90, 12, dtype=torch.float64) + gaussian(1, 12, seed=2)
    rotation = torch.linalg.qr(gaussian(12, 12, seed=3))[0]
    assert anc(x, moved).absolute == pytest.approx(1, abs=1e-12)
    assert anc(x, -x).signed == pytest.approx(-1, abs=1e-12)
    assert anc(x, -x).absolute == pytest.approx(1, abs=1e-12)
    assert anc(x, x @ rotation).absolute < 0.5


# Search for the translation


def nearest(x: torch.Tensor, y: torch.Tensor, csls: int | None) -> tuple[float, float]:
    """P@1 both ways, by hand; CSLS(x, y) = 2 cos(x, y) - r(x) - r(y), r being the mean cosine of the k nearest."""
    a, b = x.double().tolist(), y.double().tolist()
    n = len(a)

    def cosine(one: list[float], other: list[float]) -> float:
        inner = math.fsum(p * q for p, q in zip(one, other, strict=True))
        return inner / math.sqrt(math.fsum(p * p for p in one) * math.fsum(q * q for q in other))

    score = [[cosine(a[i], b[j]) for j in range(n)] for i in range(n)]
    if csls is not None:
        near_a = [sum(sorted(score[i], reverse=True)[:csls]) / csls for i in range(n)]
        near_b = [sum(sorted((score[i][j] for i in range(n)), reverse=True)[:csls]) / csls for j in range(n)]
        score = [[2 * score[i][j] - near_a[i] - near_b[j] for j in range(n)] for i in range(n)]
    forward = sum(all(score[i][i] > score[i][j] for j in range(n) if j != i) for i in range(n))
    backward = sum(all(score[j][j] > score[i][j] for i in range(n) if i != j) for j in range(n))
    return forward / n, backward / n


@checked
@given(
    st.integers(3, 25),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    st.sampled_from([None, 1, 2, 10]),
    st.integers(0, 2**20),
)
def test_retrieval_is_that_of_plain_loops(n: int, d: int, noise: float, csls: int | None, seed: int) -> None:
    x, y = translations(n, d + 1, noise, seed)
    neighbours = None if csls is None else min(csls, n - 1)
    actual = retrieval(x, y, csls=neighbours)
    assert (actual.forward, actual.backward) == nearest(x, y, neighbours)


def test_the_two_directions_and_the_two_scores_differ() -> None:
    x, y = translations(60, 6, 0.6, seed=4)
    cosine, csls = retrieval(x, y), retrieval(x, y, csls=10)
    assert (cosine.forward, cosine.backward) == nearest(x, y, None)
    assert (csls.forward, csls.backward) == nearest(x, y, 10)
    assert len({cosine.forward, cosine.backward, csls.forward, csls.backward}) >= 3
    back = retrieval(y, x)
    assert (back.forward, back.backward) == (cosine.backward, cosine.forward)


def test_csls_takes_hubs_their_advantage() -> None:
    """One sentence of y near all of x."""
    x = gaussian(40, 20, seed=5) + 1.5
    y = x + 1.2 * gaussian(40, 20, seed=6)
    y[0] = x.mean(0)
    assert retrieval(x, y, csls=10).forward > retrieval(x, y).forward + 0.1


@pytest.mark.parametrize("csls", [None, 1, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_spaces_are_found_whatever_the_length_of_vectors(dtype: torch.dtype, csls: int | None) -> None:
    x = gaussian(50, 16, seed=6).to(dtype)
    lengths = torch.linspace(0.01, 100, 50, dtype=dtype)[:, None]
    actual = retrieval(x, x * lengths, csls=csls)
    assert (actual.forward, actual.backward) == (1, 1)


def test_unrelated_spaces_are_found_by_chance() -> None:
    actual = retrieval(gaussian(500, 16, seed=1), gaussian(500, 16, seed=2))
    assert actual.forward < 0.02
    assert actual.backward < 0.02


@pytest.mark.parametrize("csls", [None, 3])
def test_ties_are_misses(csls: int | None) -> None:
    same = gaussian(1, 8, seed=1).expand(12, 8)
    assert retrieval(same, same, csls=csls).forward == 0
    assert retrieval(same, same, csls=csls).backward == 0
    twice = gaussian(12, 8, seed=2)
    twice[3] = 2.5 * twice[9]
    actual = retrieval(twice, twice)
    assert actual.forward == actual.backward == pytest.approx(10 / 12)
    one_side = gaussian(12, 8, seed=3)
    doubled = one_side.clone()
    doubled[5] = one_side[2]
    actual = retrieval(one_side, doubled)
    assert actual.forward == pytest.approx(10 / 12)  # 2 finds two that are alike, 5 finds another
    assert actual.backward == pytest.approx(11 / 12)  # both find 2


def test_a_vector_of_zeros_is_nobodys_neighbour() -> None:
    x = gaussian(10, 5, seed=1)
    y = x.clone()
    y[4] = 0
    assert retrieval(x, y).forward == pytest.approx(9 / 10)
    assert retrieval(x, y).backward == pytest.approx(9 / 10)


# Errors


def test_wrong_inputs() -> None:
    x = gaussian(10, 5, seed=1)
    for measure in (anc, retrieval):
        with pytest.raises(AnalysisError, match=r"shapes \(10, 5\) and \(9, 5\).*translations row by row"):
            measure(x, x[1:])
        with pytest.raises(AnalysisError, match=r"shapes \(10, 5\) and \(10, 4\)"):
            measure(x, x[:, 1:])
        with pytest.raises(AnalysisError, match=r"shapes \(10,\) and \(10,\)"):
            measure(x[:, 0], x[:, 0])
        with pytest.raises(AnalysisError, match="1 sentences are too few"):
            measure(x[:1], x[:1])
        for place in range(2):
            pair = [x.clone(), x.clone()]
            pair[place][3, 3] = math.nan
            with pytest.raises(AnalysisError, match="not finite"):
                measure(*pair)


def test_too_few_sentences() -> None:
    x = gaussian(10, 5, seed=1)
    with pytest.raises(AnalysisError, match="2 sentences are too few: 3 are needed"):
        anc(x[:2], x[:2])
    anc(x[:3], x[:3])
    with pytest.raises(AnalysisError, match="10 sentences are too few: 11 are needed"):
        retrieval(x, x, csls=10)
    retrieval(x, x, csls=9)


def test_csls_needs_neighbours() -> None:
    x = gaussian(10, 5, seed=1)
    with pytest.raises(AnalysisError, match="neighbour"):
        retrieval(x, x, csls=0)
