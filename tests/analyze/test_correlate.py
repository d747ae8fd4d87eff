"""Rank correlation of diagnostics with scores: against scipy, and what stands behind it."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from xglue_harness.analyze.correlate import correlate, labels, points, rank_correlation, read_results
from xglue_harness.errors import DataError


@pytest.mark.parametrize("n", [4, 5, 6])
def test_few_points_go_through_all_orders_as_scipys_permutation_test(n):
    generator = np.random.default_rng(n)
    x, y = generator.normal(size=n), generator.normal(size=n)
    y[1] = y[0]  # a tie
    rho, p, drawn = rank_correlation([(x, y)])
    expected = permutation_test(
        (y,), lambda y: spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert p == pytest.approx(np.mean(np.abs(expected.null_distribution) >= abs(rho) - 1e-9), abs=1e-12)
    assert drawn == len(expected.null_distribution)


def test_many_points_are_drawn_and_come_near_the_usual_test():
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    y = x + 2 * generator.normal(size=40)
    rho, p, drawn = rank_correlation([(x, y)])
    expected = spearmanr(x, y)
    assert rho == pytest.approx(expected.statistic, abs=1e-12)
    assert p == pytest.approx(expected.pvalue, abs=0.01)
    assert drawn == 10_000
    assert rank_correlation([(x, y)]) == (rho, p, drawn), "the same seed gives the same p"
    assert rank_correlation([(x, y)], seed=1)[1] != p


def test_groups_are_shuffled_within_and_averaged():
    x = np.arange(6.0)
    rho, p, _ = rank_correlation([(x, x), (x, -x)])
    assert rho == pytest.approx(0, abs=1e-12)
    assert p == 1
    # the models differ in level, not in order: over all points there would be a strong correlation
    generator = np.random.default_rng(2)
    groups = [(level + generator.normal(size=8), level + generator.normal(size=8)) for level in (0, 100, 200)]
    pooled = spearmanr(*(np.concatenate(side) for side in zip(*groups, strict=True))).statistic
    rho, p, _ = rank_correlation(groups)
    assert pooled > 0.8
    assert rho == pytest.approx(np.mean([spearmanr(*group).statistic for group in groups]), abs=1e-12)
    assert p > 0.05


def test_the_p_value_is_uniform_where_nothing_goes_together():
    generator = np.random.default_rng(1)
    ps = [rank_correlation([generator.normal(size=(2, 5))])[1] for _ in range(400)]
    for level in (0.1, 0.3, 0.6):
        assert abs(np.mean(np.array(ps) <= level) - level) < 0.09
    assert min(ps) > 0, "no p is zero"


def test_values_that_do_not_differ_have_no_correlation():
    assert rank_correlation([([1, 1, 1, 1], [1, 2, 3, 4])]) == (None, None, 0)
    assert rank_correlation([]) == (None, None, 0)


def _record(model, language, score, value, **changes):
    metrics = {"cka_en": {"value": value, "stderr": None}, "sigma_norm": {"value": 3.0, "stderr": None}}
    record = {
        "backbone": {"name": model},
        "recipe": {"seed": 1},
        "task": "xnli",
        "target_language": language,
        "source_language": "en",
        "SAMPLE": False,
        "selection": {"rule": "last", "scores": {"last": {"score": score}}},
        "diagnostics": {"metrics": metrics},
    }
    return {**record, **changes}


def _file(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    configs = {f"leaf{number}": {"metadata": {"xglue": record}} for number, record in enumerate(records)}
    path.write_text(json.dumps({"configs": {**configs, "other": {"metadata": {"version": 1.0}}}}))
    return path


def test_a_point_is_a_model_over_the_languages_that_all_have(tmp_path):
    a = _file(
        tmp_path / "a" / "results_1.json",
        [
            _record("a", "en", 0.9, 1.0),
            _record("a", "de", 0.5, 0.2),
            _record("a", "fr", 0.7, 0.4),
            _record("a", "sw", 0.1, 0),
        ],
    )
    _file(tmp_path / "a" / "results_2.json", [_record("a", "de", 0.7, 0.4, recipe={"seed": 2})])
    b = _file(tmp_path / "b" / "results.json", [_record("b", "de", 0.3, 0.1), _record("b", "fr", 0.5, 0.3)])
    rows = read_results([tmp_path])
    assert len(rows) == 7
    found = points(rows, "cka_en", "models")
    assert [(row["model"], row["languages"], row["seeds"]) for row in found] == [("a", 2, 2), ("b", 2, 1)]
    assert found[0]["score"] == pytest.approx((0.5 + 0.7 + 0.7) / 3)
    assert found[0]["cka_en"] == pytest.approx((0.2 + 0.4 + 0.4) / 3)
    by_language = points(rows, "cka_en", "languages")
    assert [(row["model"], row["language"]) for row in by_language] == [
        ("a", "de"),
        ("a", "fr"),
        ("a", "sw"),
        ("b", "de"),
        ("b", "fr"),
    ]
    assert len(read_results([a, b])) == 6


def changed(model, language, score, value, seed=1, rule="last", **changes):
    """A record whose recipe, weights, data or rule are others."""
    record = _record(model, language, score, value, recipe={"seed": seed, "epochs": changes.pop("epochs", 3)})
    record["selection"] = {"rule": rule, "scores": {rule: {"score": score}}}
    record["backbone"]["encoder_sha256"] = changes.pop("weights", "a" * 64)
    record["diagnostics"]["encoders"] = {"reference": changes.pop("reference", None)}
    files = {"XNLI/multinli.train.en.tsv": changes.pop("train", "1" * 64), f"XNLI/{language}.test": "2" * 64}
    record["data"] = {"files": files}
    return {**record, **changes}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"epochs": 5}, ("epochs 3", "epochs 5")),
        ({"rule": "en_dev"}, ("select last", "select en_dev")),
        ({"weights": "b" * 64}, ("weights aaaaaaaa", "weights bbbbbbbb")),
        ({"predictions": {"rows": 5, "total": 60}}, ("limited False", "limited True")),
        ({"train": "3" * 64}, ("training data 11111111", "training data 33333333")),
        (
            {"reference": {"name": "x", "encoder_sha256": "c" * 64, "revision": None}},
            ("reference None", "reference x cccccccc"),
        ),
    ],
)
def test_recipes_of_one_model_are_points_of_their_own(other, words, tmp_path):
    _file(tmp_path / "a" / "results.json", [changed("m", "de", 0.2, 1.0), changed("m", "fr", 0.4, 2.0)])
    _file(
        tmp_path / "b" / "results.json", [changed("m", "de", 0.8, 5.0, **other), changed("m", "fr", 0.6, 7.0, **other)]
    )
    _file(tmp_path / "c" / "results.json", [changed("m", "de", 0.4, 3.0, seed=2), changed("m", "fr", 0.4, 2.0, seed=2)])
    rows = read_results([tmp_path])
    assert {row["recipe"] for row in rows} == {*words}
    found = {row["recipe"]: row for row in points(rows, "cka_en", "models")}
    assert [found[word]["seeds"] for word in words] == [2, 1]
    assert [found[word]["cka_en"] for word in words] == [2.0, 6.0]
    assert labels([*found.values()]) == [f"m {word}" for word in found]
    by_language = points(rows, "cka_en", "languages")
    assert len(by_language) == 4
    assert correlate(by_language, "cka_en")[0]["models"] == 2


def test_one_recipe_needs_no_word_and_other_test_sets_do_not_mix(tmp_path):
    _file(tmp_path / "a" / "results.json", [changed("x/m", "de", 0.2, 1.0)])
    _file(tmp_path / "b" / "results.json", [changed("y/m", "de", 0.4, 1.0, epochs=9)])
    rows = read_results([tmp_path])
    assert {row["recipe"] for row in rows} == {""}
    assert labels(points(rows, "cka_en", "models")) == ["x/m", "y/m"], "their last parts are the same"
    other = changed("z/m", "de", 0.4, 1.0)
    other["data"]["files"]["XNLI/de.test"] = "9" * 64
    _file(tmp_path / "c" / "results.json", [other])
    with pytest.raises(DataError, match="another test set of xnli de than in"):
        read_results([tmp_path])


def test_only_what_a_correlation_rests_on_is_counted():
    rows = [
        {"task": "xnli", "model": model, "recipe": "", "language": language, "score": number / 10, "cka_en": number}
        for model, count in (("a", 6), ("b", 2))
        for number, language in enumerate("uvwxyz"[:count])
    ]
    found = correlate(rows, "cka_en")[0]
    assert (found["rho"], found["models"], found["points"]) == (pytest.approx(1), 1, 6)


def test_how_many_models_it_rests_on_is_said_and_few_have_no_p():
    rows = [
        {"task": "xnli", "model": name, "recipe": "", "language": None, "score": score, "cka_en": value}
        for name, score, value in (("a", 0.1, 1), ("b", 0.2, 2), ("c", 0.3, 3), ("d", 0.4, 4))
    ]
    full, few = correlate(rows, "cka_en")[0], correlate(rows[:3], "cka_en")[0]
    assert (full["rho"], full["models"], full["points"], full["permutations"]) == (pytest.approx(1), 4, 4, 24)
    assert full["p"] == pytest.approx(2 / 24)
    assert (few["rho"], few["p"], few["models"]) == (None, None, 3)


def test_bad_results_are_named(tmp_path):
    good = _file(tmp_path / "results.json", [_record("a", "de", 0.5, 0.2)])
    with pytest.raises(DataError, match="a 1 xnli de stands in two results files"):
        read_results([good, _file(tmp_path / "x" / "results.json", [_record("a", "de", 0.5, 0.2)])])
    with pytest.raises(DataError, match="SAMPLE and on real data"):
        read_results([good, _file(tmp_path / "y" / "results.json", [_record("b", "de", 0.5, 0.2, SAMPLE=True)])])
    with pytest.raises(DataError, match="no diagnostics in"):
        read_results([_file(tmp_path / "z" / "results.json", [_record("a", "de", 0.5, 0.2, diagnostics=None)])])
    (tmp_path / "bad.json").write_text("[1, 2]")
    with pytest.raises(DataError, match=r"bad\.json is no results file of lm_eval"):
        read_results([tmp_path / "bad.json"])
    with pytest.raises(DataError, match=r"none\.json is no results file"):
        read_results([tmp_path / "none.json"])
    unscored = copy.deepcopy(_record("c", "de", None, 0.2))
    assert [row["model"] for row in read_results([good, _file(tmp_path / "u" / "r.json", [unscored])])] == ["a"]
