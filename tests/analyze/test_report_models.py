"""Measures and scores across languages: the mixed model, its interval and its p, against independent computations."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from scipy.stats import binom, permutation_test, t

from xglue_harness.analyze.report_models import adjusted, associate, jackknife_interval, permutation_p


def _table(x, y):
    return {
        f"b{b}": {f"l{place}": (float(x[b, place]), float(y[b, place])) for place in range(x.shape[1])}
        for b in range(len(x))
    }


def _design(backbones=4, languages=6, seed=0):
    generator = np.random.default_rng(seed)
    x = 10 * generator.normal(size=(backbones, 1)) + generator.normal(size=(backbones, languages))
    y = 60 + 3 * generator.normal(size=(backbones, 1)) + 2 * x + generator.normal(size=(backbones, languages))
    return x, y


def test_the_mixed_model_is_the_analysis_of_variance_of_a_balanced_design():
    """REML has a closed form there: Searle, Casella and McCulloch 1992, Variance Components, chapter 3."""
    x, y = _design()
    found = associate("xnli", "cka_en", _table(x, y))
    backbones, languages = x.shape
    inner = x - x.mean(1, keepdims=True)
    inner /= inner.std()
    beta = (inner * y).sum() / (inner**2).sum()
    left = y - y.mean(1, keepdims=True) - beta * inner
    within = (left**2).sum() / (backbones * (languages - 1) - 1)
    between = y.mean(1).var(ddof=1) - within / languages
    assert found.mixed is not None
    assert found.mixed.converged
    assert found.slope == pytest.approx(beta, rel=1e-12)
    assert found.mixed.slope == pytest.approx(beta, rel=1e-6)
    assert found.mixed.stderr == pytest.approx(math.sqrt(within / (inner**2).sum()), rel=1e-3)
    assert found.mixed.within == pytest.approx(math.sqrt(within), rel=1e-3)
    assert found.mixed.between == pytest.approx(math.sqrt(between), rel=1e-2)
    pooled = np.corrcoef(inner.ravel(), (y - y.mean(1, keepdims=True)).ravel())[0, 1]
    assert found.correlation == pytest.approx(pooled, rel=1e-12)
    assert (found.backbones, found.languages, found.note) == (4, tuple(f"l{i}" for i in range(6)), "")


def test_what_differs_between_backbones_only_is_no_slope():
    x, y = _design()
    moved = x + np.array([[100.0], [-50.0], [3.0], [0.0]])
    levels = y + np.array([[5.0], [-9.0], [0.0], [20.0]])
    one, other = associate("xnli", "m", _table(x, y)), associate("xnli", "m", _table(moved, levels))
    assert (other.slope, other.p) == (pytest.approx(one.slope), pytest.approx(one.p))


def test_the_interval_is_that_of_leaving_out_one_language_at_a_time():
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(1, 7)), generator.normal(size=(1, 7))
    slopes = [np.polyfit(np.delete(x[0], i), np.delete(y[0], i), 1)[0] for i in range(7)]
    stderr = math.sqrt(6 / 7 * sum((slope - np.mean(slopes)) ** 2 for slope in slopes))
    expected = np.polyfit(x[0], y[0], 1)[0] + np.array([-1, 1]) * t.ppf(0.975, 6) * stderr
    low, high = jackknife_interval(x - x.mean(), y - y.mean())
    assert (low, high) == pytest.approx(tuple(expected), rel=1e-9)


def test_few_languages_go_through_all_orders_the_same_in_all_backbones():
    x, y = (values - values.mean(1, keepdims=True) for values in _design(3, 5, seed=4))
    columns = np.arange(5)
    expected = permutation_test(
        (columns,),
        lambda order: (x * y[:, np.asarray(order)]).sum(),
        permutation_type="pairings",
        n_resamples=np.inf,
        vectorized=False,
    ).null_distribution
    p, count = permutation_p(x, y)
    assert count == len(expected) == 120
    assert p == pytest.approx(np.mean(np.abs(expected) >= abs((x * y).sum()) - 1e-9))


def test_p_is_small_in_one_of_twenty_null_worlds_although_backbones_share_languages():
    """A language is hard for all backbones, and has a measure of its own in all: the two do not go together."""
    generator = np.random.default_rng(0)
    worlds, found, alone = 1000, 0, 0
    for world in range(worlds):
        x, y = (generator.normal(size=6) + 0.4 * generator.normal(size=(4, 6)) for _ in range(2))
        x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
        found += permutation_p(x, y)[0] <= 0.05
        if world < 200:
            orders = generator.permuted(np.tile(np.arange(6), (200, 4, 1)), axis=2)
            drawn = np.abs((x * np.take_along_axis(y[None].repeat(200, 0), orders, 2)).sum((1, 2)))
            alone += (1 + (drawn >= abs((x * y).sum())).sum()) / 201 <= 0.05
    assert 0 < found <= binom.ppf(0.999, worlds, 0.05), "a rate of 5%, and chance"
    assert alone > 0.2 * 200, "each backbone shuffled by itself takes 6 languages for 24"


def test_p_finds_what_is_there_and_holds_for_its_seed():
    x, y = _design(4, 9, seed=5)
    found = associate("xnli", "m", _table(x, y))
    assert found.permutations == 10_000
    assert found.p == associate("xnli", "m", _table(x, y)).p < 0.001
    noise = np.random.default_rng(1).normal(size=(4, 9))
    assert associate("xnli", "m", _table(x, noise)).p != associate("xnli", "m", _table(x, noise), seed=1).p


def test_too_few_say_so():
    x, y = _design(4, 4)
    found = associate("xnli", "m", _table(x, y))
    assert (found.slope, found.p, found.mixed) == (None, None, None)
    assert found.note == "too few: 4 languages, expected 5 that all have"
    table = _table(*_design(2, 6))
    found = associate("xnli", "m", table)
    assert found.slope is not None
    assert found.mixed is None
    assert found.note == "no mixed model: 2 of the 3 backbones that one takes"
    del table["b1"]["l0"], table["b1"]["l1"]
    assert associate("xnli", "m", table).languages == ("l2", "l3", "l4", "l5")
    assert associate("xnli", "m", _table(np.ones((3, 6)), y[:3, [0, 1, 2, 3, 0, 1]])).note.endswith("all languages")


def test_without_statsmodels_there_is_a_slope_and_the_way_to_the_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.regression.mixed_linear_model", None)
    found = associate("xnli", "m", _table(*_design()))
    assert found.slope is not None
    assert found.mixed is None
    assert found.note == "no mixed model: pip install 'xglue-harness[report]'"


def test_p_is_adjusted_for_all_that_were_computed():
    several = [associate("xnli", f"m{i}", _table(*_design(seed=i))) for i in range(3)]
    several.append(associate("xnli", "none", _table(*_design(4, 3))))
    found = adjusted(several)
    ps = sorted(item.p for item in several[:3])
    assert min(item.p_holm for item in found[:3]) == pytest.approx(min(1, 3 * ps[0]))
    assert found[3].p_holm is None
