"""Calibrated similarities: the algorithm of their paper, and how often unrelated representations pass."""

import math

import numpy as np
import pytest
import torch

from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.calibration import calibrate, calibrated, shuffled
from xglue_analysis.cka import cka
from xglue_analysis.errors import AnalysisError
from xglue_analysis.neighbours import found, mexa, mutual_knn, nearest, overlaps


def test_it_is_the_papers_algorithm():
    random = np.random.default_rng(1)
    for _ in range(50):
        null, value = random.uniform(size=39), random.uniform()
        got = calibrated(value, null)
        together = sorted([*null, value])
        threshold = together[math.ceil(0.95 * 40) - 1]
        assert got.threshold == threshold
        assert got.score == pytest.approx(max(0, (value - threshold) / (1 - threshold)))
        assert got.p == (1 + sum(null >= value)) / 40
        assert (got.score > 0) == (got.p <= 0.05 and value > threshold)


def test_a_value_of_its_own_null_is_worth_nothing_and_the_most_is_one():
    assert calibrated(0.5, [0.5] * 19).score == 0
    assert calibrated(0.5, [0.5] * 19).p == 1
    assert calibrated(1.0, [0.3] * 99).score == 1
    assert math.isnan(calibrated(math.nan, [0.3]).p)
    with pytest.raises(AnalysisError, match="0 null values"):
        calibrated(0.5, [])


MEASURES = {
    "cka": cka,
    "cka_biased": lambda x, y: cka(x, y, debiased=False),
    "anc": lambda x, y: anc(x, y).absolute,
    "p1": lambda x, y: retrieval(x, y).forward,
    "mutual_knn": lambda x, y: mutual_knn(x, y, 4),
    "mexa": mexa,
}


@pytest.mark.parametrize("name", MEASURES)
def test_of_unrelated_pairs_no_more_than_one_in_twenty_passes(name):
    """The exact rate is at most 0.05, and chance adds 2.6 deviations; `benchmarks.null_rates` has 1,000 simulations."""
    simulations = 150
    generator = torch.Generator().manual_seed(11)
    passed = above = 0
    for number in range(simulations):
        x, y = torch.randn(2, 16, 5, generator=generator, dtype=torch.float64)
        got = calibrate(x, y, MEASURES[name], permutations=19, seed=number)
        passed += got.p <= 0.05
        above += got.score > 0
    limit = simulations * 0.05 + 2.6 * (simulations * 0.05 * 0.95) ** 0.5
    assert above <= passed <= limit


@pytest.mark.parametrize("name", MEASURES)
def test_what_belongs_together_passes(name):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    y = x + 0.1 * torch.randn(60, 5, generator=generator, dtype=torch.float64)
    got = calibrate(x, y, MEASURES[name], permutations=39)
    assert got.p == 1 / 40
    assert got.score > 0.5


def test_short_cuts_give_the_same_null():
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    y = x + torch.randn(30, 6, generator=generator, dtype=torch.float64)
    orders = shuffled(30, 25, seed=3)
    meet = found(x, y)
    rows = torch.arange(30)
    assert [float(meet[rows, order].double().mean()) for order in orders] == [mexa(x, y[order]) for order in orders]
    member, other = nearest(x, 5).member, nearest(y, 5)
    quick = [float(overlaps(member, other, order).mean()) for order in orders]
    assert quick == pytest.approx([mutual_knn(x, y[order], 5) for order in orders], abs=1e-12)
