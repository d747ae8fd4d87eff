"""Estimates against textbook tests where those apply, against the bootstrap, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.interval_coverage import SETTINGS, simulate
from xglue_harness.leaderboard.ranking.bootstrap import bootstrap
from xglue_harness.leaderboard.ranking.significance import Comparison, compare_all, holm, ranks
from xglue_harness.leaderboard.ranking.statistics import Block, Estimate, TaskRuns, estimate, seed_interval
from xglue_harness.metrics import mean_stderr, ratio, ratio_stderr


def runs_of(values, backbones, denominators=None):
    """One language: ``values[rows, runs]``."""
    above = np.asarray(values, dtype=float)[:, :, None]
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, dtype=float)[:, :, None]
    scores = above.sum(axis=0) / below.sum(axis=0)
    return TaskRuns(np.asarray(backbones), scores, (Block((0,), above, below),))


def difference(task):
    return estimate([(task, np.array([[1.0], [-1.0]]))])


def test_one_training_each_is_the_paired_t_test():
    generator = np.random.default_rng(0)
    a, b = (generator.random((40, 2)) > [0.3, 0.5]).T.astype(float)
    result = difference(runs_of(np.stack([a, b], axis=1), [0, 1]))
    expected = stats.ttest_rel(a, b)
    assert result.seeds == "unknown"
    assert result.value == pytest.approx(a.mean() - b.mean())
    assert result.p == pytest.approx(expected.pvalue)
    assert result.df == pytest.approx(expected.df)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_a_single_score_has_the_standard_error_of_the_metrics():
    generator = np.random.default_rng(1)
    hits = (generator.random(50) > 0.4).astype(float)
    result = estimate([(runs_of(hits[:, None], [0]), np.ones((1, 1)))])
    assert result.stderr == pytest.approx(mean_stderr(list(hits)))
    pairs = [(float(generator.integers(0, n + 1)), float(n)) for n in generator.integers(0, 9, 50)]
    task = runs_of([[above] for above, _ in pairs], [0], [[below] for _, below in pairs])
    result = estimate([(task, np.ones((1, 1)))])
    assert result.value == pytest.approx(ratio(pairs))
    assert result.stderr == pytest.approx(ratio_stderr(pairs))


def test_trainings_that_differ_by_a_constant_give_welchs_test():
    """Rows then have no part: every row of a training has the same value."""
    levels = np.array([0.51, 0.55, 0.52, 0.40, 0.48])
    task = runs_of(np.tile(levels, (30, 1)), [0, 0, 0, 1, 1])
    expected = stats.ttest_ind(levels[:3], levels[3:], equal_var=False)
    result = difference(task)
    assert result.seeds == "own"
    assert (result.p, result.df) == pytest.approx((expected.pvalue, expected.df))
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert seed_interval(levels[:3]) == pytest.approx(
        stats.t.interval(0.95, 2, levels[:3].mean(), stats.sem(levels[:3]))
    )
    assert seed_interval([0.5]) is None


def test_seeds_and_rows_add_up_without_interplay():
    generator = np.random.default_rng(2)
    rows, luck = generator.normal(size=200), np.array([-0.3, 0.1, 0.2])
    result = estimate([(runs_of(rows[:, None] + luck, [0, 0, 0]), np.ones((1, 1)))])
    assert result.stderr**2 == pytest.approx(luck.var(ddof=1) / 3 + rows.var(ddof=1) / 200)


def test_parallel_rows_count_once():
    """Two languages with the same answers are no more data than one."""
    generator = np.random.default_rng(3)
    hits = (generator.random((80, 1, 1)) > 0.4).astype(float)
    both = np.concatenate([hits, hits], axis=2)
    weights = np.full((1, 2), 0.5)
    one = estimate([(runs_of(hits[:, :, 0], [0]), np.ones((1, 1)))])
    scores = both.mean(axis=0)
    parallel = TaskRuns(np.array([0]), scores, (Block((0, 1), both, np.ones_like(both)),))
    separate = TaskRuns(np.array([0]), scores, tuple(Block((i,), hits, np.ones_like(hits)) for i in (0, 1)))
    assert estimate([(parallel, weights)]).stderr == pytest.approx(one.stderr)
    assert estimate([(separate, weights)]).stderr == pytest.approx(one.stderr / np.sqrt(2))


def test_equal_predictions_are_a_tie_without_doubt():
    hits = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    result = difference(runs_of(hits, [0, 1]))
    assert (result.value, result.stderr, result.low, result.high, result.p) == (0, 0, 0, 0, 1)


def test_rounding_parts_nobody():
    """Three trainings of 1/60 have a mean that is not quite that of two."""
    hits = np.tile(np.array([[1.0]] + [[0.0]] * 59), (1, 5))
    result = difference(runs_of(hits, [0, 0, 0, 1, 1]))
    assert (result.value, result.p) == (0, 1)


def test_a_single_training_borrows_the_largest_variance_of_the_others():
    luck = np.array([0.0, 0.1, -0.1, 0.0, 0.4, -0.4])
    rows = np.random.default_rng(4).normal(size=(50, 1))
    task = runs_of(rows + luck, [0, 1, 1, 2, 2, 2])
    weights = np.zeros((3, 1))
    weights[0] = 1
    result = estimate([(task, weights)])
    assert result.seeds == "borrowed"
    assert result.stderr**2 == pytest.approx(np.var([0.0, 0.4, -0.4], ddof=1) + rows.var(ddof=1) / 50)


def test_trainings_that_happen_to_agree_are_not_taken_for_certain():
    """Two trainings with equal scores and different answers: their scores would differ on other rows."""
    a = np.array([1.0, 0.0] * 20)
    result = estimate([(runs_of(np.stack([a, 1 - a], axis=1), [0, 0]), np.ones((1, 1)))])
    interplay = ((a - 0.5) ** 2).sum() * 2 * 40 / 39 / 40**2
    assert result.value == 0.5
    assert result.stderr**2 == pytest.approx(interplay / 2)


def test_tasks_are_independent():
    generator = np.random.default_rng(5)
    tasks = [runs_of((generator.random((60, 2)) > 0.4).astype(float), [0, 1]) for _ in range(3)]
    signs = np.array([[1.0], [-1.0]]) / 3
    whole = estimate([(task, signs) for task in tasks])
    parts = [estimate([(task, signs)]) for task in tasks]
    assert whole.value == pytest.approx(sum(part.value for part in parts))
    assert whole.stderr**2 == pytest.approx(sum(part.stderr**2 for part in parts))


def test_the_bootstrap_agrees_without_interplay_where_trainings_are_many():
    generator = np.random.default_rng(6)
    values = generator.normal(size=(200, 1)) + generator.normal(0, 0.3, 60)
    values[:, :30] *= 0.5  # so that rows don't cancel in the difference
    task, weights = runs_of(values, [0] * 30 + [1] * 30), np.array([[1.0], [-1.0]])
    drawn, result = bootstrap([(task, weights)], replicates=3000), estimate([(task, weights)])
    assert drawn.mean() == pytest.approx(result.value, abs=3 * result.stderr / np.sqrt(3000))
    assert drawn.std(ddof=1) == pytest.approx(result.stderr, rel=0.06)


def test_the_bootstrap_counts_interplay_three_times():
    """Owen 2007: which is why ranks come from the other one."""
    noise = np.random.default_rng(8).normal(size=(100, 20))
    task, weights = runs_of(noise, [0] * 20), np.ones((1, 1))
    assert bootstrap([(task, weights)], replicates=3000).var() == pytest.approx(3 / 2000, rel=0.25)
    assert estimate([(task, weights)]).stderr ** 2 == pytest.approx(1 / 2000, rel=0.25)


def test_the_bootstrap_of_a_ratio_agrees_with_its_linearisation():
    generator = np.random.default_rng(7)
    below = generator.integers(1, 20, (300, 2)).astype(float)
    above = np.floor(below * generator.random((300, 2)))
    task = runs_of(above, [0, 1], below)
    weights = np.array([[1.0], [-1.0]])
    drawn, result = bootstrap([(task, weights)], replicates=3000), estimate([(task, weights)])
    assert drawn.std(ddof=1) == pytest.approx(result.stderr, rel=0.06)
    assert (bootstrap([(task, weights)], replicates=50) == bootstrap([(task, weights)], replicates=50)).all()


def test_no_weight_is_an_error():
    with pytest.raises(ValueError, match="at least one score"):
        estimate([(runs_of([[1.0]], [0]), np.zeros((1, 1)))])


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_is_between_p_and_bonferroni(values):
    adjusted = holm(values)
    for p, own in zip(values, adjusted, strict=True):
        assert p <= own <= min(1.0, p * len(values))
    order = np.argsort(values, kind="stable")
    assert [adjusted[i] for i in order] == sorted(adjusted)


def pair(first, second, value, p):
    return Comparison(first, second, Estimate(value, 0.1, 5, value - 1, value + 1, p, "own"), p)


def test_ranks_are_one_more_than_those_significantly_better():
    pairs = [pair(0, 1, 0.1, 0.2), pair(0, 2, 0.5, 0.01), pair(1, 2, 0.4, 0.06)]
    assert ranks(pairs, 3) == [(1, 2), (1, 3), (2, 3)]
    assert ranks([], 1) == [(1, 1)]
    assert [result.winner for result in pairs] == [None, 0, None]
    assert pair(0, 1, -0.4, 0.01).winner == 1


def test_all_pairs_are_compared_and_adjusted_together():
    p = {(0, 1): 0.02, (0, 2): 0.5, (1, 2): 0.01}
    result = compare_all(3, lambda i, j: Estimate(0.1, 0.1, 5, 0, 1, p[i, j], "own"))
    assert [(item.first, item.second) for item in result] == [*p]
    assert [item.p_holm for item in result] == pytest.approx([0.04, 0.5, 0.03])


@pytest.mark.parametrize("setting", SETTINGS[:2], ids=["separate", "parallel"])
def test_intervals_hold_the_truth_and_equal_backbones_are_tied(setting):
    """2,000 leaderboards of four backbones, three trainings each; the others are in `benchmarks.interval_coverage`."""
    result = simulate(setting, 2000)
    assert 0.93 <= result.score <= 0.97
    assert 0.93 <= result.difference <= 0.97
    assert result.false_positive <= 0.05
