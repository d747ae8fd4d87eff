"""Tables of two encoders and of languages, against the functions that they stand on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from xglue_analysis import comparison, languages, resampling
from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.cka import cka, null_deviation, standardised, without_dominant
from xglue_analysis.comparison import VALUES, compare, known, matched
from xglue_analysis.errors import AnalysisError
from xglue_analysis.languages import compare_languages
from xglue_analysis.resampling import Pairwise, jackknife_stderr

PAIRWISE = ("low", "high", "stderr", "stderr_jackknife", "null_p95", "null_mean_biased", "null_p95_biased", "influence")


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def encoders(n: int = 25) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """An encoder of three layers and one of two, of other widths, that share two factors."""
    factors = gaussian(n, 2, seed=1)
    xs = [factors @ gaussian(2, d, seed=d) + 0.5 * gaussian(n, d, seed=20 + d) + 3 for d in (6, 9, 14)]
    ys = [factors @ gaussian(2, d, seed=d) + 0.8 * gaussian(n, d, seed=40 + d) for d in (5, 11)]
    return xs, ys


# Two encoders


def test_rows_are_the_values_of_the_functions() -> None:
    xs, ys = encoders()
    rows = compare(xs, ys, permutations=30, replicates=40, dropped=2, seed=3)
    pairwise = Pairwise(xs, ys)
    null, interval = pairwise.null(permutations=30, seed=3), pairwise.bootstrap(replicates=40, seed=3)
    left_out = pairwise.leave_one_out()
    assert [(row["layer_a"], row["layer_b"]) for row in rows] == [(i, j) for i in range(3) for j in range(2)]
    for row in rows:
        i, j = row["layer_a"], row["layer_b"]
        x, y = xs[i], ys[j]
        change = (left_out[i, j] - cka(x, y)).abs()
        expected = {
            "n": 25,
            "d_a": x.shape[1],
            "d_b": y.shape[1],
            "cka": cka(x, y),
            "cka_biased": cka(x, y, debiased=False),
            "cka_standardised": cka(standardised(x), standardised(y)),
            "cka_without_dominant": cka(without_dominant(x, 2), without_dominant(y, 2)),
            "null_mean": 0,
            "null_sd": null_deviation(25),
            "null_p95": float(null.debiased_p95[i, j]),
            "null_mean_biased": float(null.biased_mean[i, j]),
            "null_p95_biased": float(null.biased_p95[i, j]),
            "low": float(interval.low[i, j]),
            "high": float(interval.high[i, j]),
            "stderr": float(interval.stderr[i, j]),
            "stderr_jackknife": jackknife_stderr(left_out[i, j]),
            "influence": float(change.max()),
            "influential": int(change.argmax()),
            "dropped": 2,
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-7), name
        assert set(row) == {"layer_a", "layer_b", *expected}
        assert row["low"] < row["cka"] < row["high"]
    assert set(VALUES) < set(rows[0])


def test_the_seed_and_the_numbers_asked_for_matter() -> None:
    xs, ys = encoders()
    one, two = (compare(xs, ys, permutations=30, replicates=40, seed=3) for _ in range(2))
    other = compare(xs, ys, permutations=30, replicates=40, seed=4)
    assert one == two
    assert one[0]["low"] != other[0]["low"]
    assert one[0]["null_p95"] != other[0]["null_p95"]
    assert compare(xs, ys, permutations=31, replicates=40, seed=3)[0]["null_p95"] != one[0]["null_p95"]
    assert compare(xs, ys, permutations=30, replicates=41, seed=3)[0]["low"] != one[0]["low"]


def test_a_rogue_dimension_shows() -> None:
    shared = 1000 * gaussian(100, 1, seed=3)
    x, y = torch.cat([shared, gaussian(100, 40, seed=1)], 1), torch.cat([gaussian(100, 40, seed=2), shared], 1)
    (row,) = compare([x], [y], permutations=20, replicates=20, dropped=1)
    assert row["cka"] == pytest.approx(1, abs=1e-3)
    assert row["cka_biased"] == pytest.approx(1, abs=1e-3)
    assert abs(row["cka_standardised"]) < 0.1
    assert abs(row["cka_without_dominant"]) < 0.06
    (kept,) = compare([x], [y], permutations=20, replicates=20, dropped=0)
    assert kept["cka_without_dominant"] == kept["cka"]


def test_an_influential_sentence_shows() -> None:
    x, y = gaussian(40, 8, seed=1), gaussian(40, 8, seed=2)
    x[17] += 25
    y[17] -= 30
    (row,) = compare([x], [y], permutations=20, replicates=20)
    assert row["influential"] == 17
    kept = [place for place in range(40) if place != 17]
    assert row["influence"] == pytest.approx(abs(cka(x[kept], y[kept]) - cka(x, y)), abs=1e-9)
    assert row["influence"] > 0.05


def test_a_narrow_layer_keeps_one_feature() -> None:
    x, y = gaussian(20, 2, seed=1), gaussian(20, 9, seed=2)
    (row,) = compare([x], [y], permutations=10, replicates=10, dropped=3)
    assert row["cka_without_dominant"] == pytest.approx(cka(without_dominant(x, 1), without_dominant(y, 3)), abs=1e-9)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_constant_layer_has_no_values(noise: float) -> None:
    still = ((gaussian(1, 64, seed=1) + 3) * (1 + noise * gaussian(20, 64, seed=2))).float()
    moving = gaussian(20, 64, seed=3).float()
    assert bool((still == still[0]).all()) == (noise == 0)
    nothing, something = compare([still, moving], [moving], permutations=20, replicates=20)
    measured = set(VALUES) - {"null_mean", "null_sd"}
    assert {name for name in measured if nothing[name] is not None} == set()
    assert nothing["influential"] is None
    assert all(something[name] is not None for name in VALUES)
    assert something["cka"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("n", "limit"), [(4, 4096), (13, 12)])
def test_without_gram_matrices_the_rest_is_there(n: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (comparison, resampling):
        monkeypatch.setattr(module, "PAIRWISE_LIMIT", limit)
    x, y = gaussian(n, 6, seed=1), gaussian(n, 9, seed=2)
    (row,) = compare([x], [y])
    assert {name for name in VALUES if row[name] is None} == set(PAIRWISE)
    assert row["influential"] is None
    assert row["cka"] == pytest.approx(cka(x, y), abs=1e-12)
    assert row["null_sd"] == pytest.approx(null_deviation(n), abs=1e-7)


def test_as_many_sentences_as_the_limit_are_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "PAIRWISE_LIMIT", 30)
    (row,) = compare([gaussian(30, 6, seed=1)], [gaussian(30, 9, seed=2)], permutations=5, replicates=10)
    assert all(row[name] is not None for name in VALUES)


def test_errors_are_those_of_the_grid() -> None:
    xs, ys = encoders()
    with pytest.raises(AnalysisError, match="25 sentences on one side and 24"):
        compare(xs, [y[1:] for y in ys])
    with pytest.raises(AnalysisError, match="3 sentences are too few"):
        compare([x[:3] for x in xs], [y[:3] for y in ys])
    with pytest.raises(AnalysisError, match="no layers"):
        compare(xs, [])
    with pytest.raises(AnalysisError, match="layer 1 has values that are not finite"):
        compare(xs, [ys[0], ys[1] / 0])


def test_layers_match_by_relative_depth() -> None:
    assert matched(3, 3) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert matched(6, 12) == [(0, 0), (1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12)]
    assert matched(12, 6)[::2] == [(2 * layer, layer) for layer in range(7)]
    for layers, others in ((24, 12), (12, 24), (5, 7), (7, 5), (1, 9)):
        pairs = matched(layers, others)
        assert pairs[0] == (0, 0)
        assert pairs[-1] == (layers, others)
        assert [layer for layer, _ in pairs] == list(range(layers + 1))
        assert all(abs(other / others - layer / layers) <= 0.5 / others + 1e-12 for layer, other in pairs)


def test_what_is_not_finite_is_not_known() -> None:
    assert known(torch.tensor(0.25)) == 0.25
    assert [known(torch.tensor(value)) for value in (math.nan, math.inf, -math.inf)] == [None] * 3


# Languages


def states(n: int = 20, layers: int = 3, d: int = 8) -> dict[str, torch.Tensor]:
    """Three languages that drift apart by different amounts."""
    base = gaussian(layers, n, d, seed=1)
    return {
        name: base + size * gaussian(layers, n, d, seed=seed) + gaussian(1, 1, d, seed=seed + 9)
        for seed, (name, size) in enumerate((("en", 0.4), ("de", 0.8), ("th", 1.6)), start=2)
    }


def by_key(rows: list[dict[str, Any]]) -> dict[tuple[int, str, str], dict[str, Any]]:
    return {(row["layer"], row["language_a"], row["language_b"]): row for row in rows}


@pytest.mark.parametrize(("n", "neighbours"), [(20, 10), (6, 5)])
def test_rows_of_languages_are_the_values_of_the_functions(n: int, neighbours: int) -> None:
    given = states(n)
    rows = compare_languages(given, permutations=20, replicates=30, seed=4)
    actual = by_key(rows)
    ordered = {(layer, a, b) for layer in range(3) for a in given for b in given if a != b}
    assert set(actual) == ordered
    assert len(rows) == len(ordered) == 18
    for (layer, a, b), row in actual.items():
        x, y = given[a][layer], given[b][layer]
        correlation = anc(x, y)
        expected = {
            "n": n,
            "d": 8,
            "cka": cka(x, y),
            "cka_biased": cka(x, y, debiased=False),
            "null_sd": null_deviation(n),
            "null_mean_biased": float(Pairwise([x], [y]).null(permutations=1).biased_mean),
            "anc": correlation.absolute,
            "anc_signed": correlation.signed,
            "anc_null": correlation.null,
            "constant": 0,
            "p1_cosine": retrieval(x, y).forward,
            "p1_csls": retrieval(x, y, csls=neighbours).forward,
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-7), name
        back = actual[layer, b, a]
        shared = set(row) - {"language_a", "language_b", "p1_cosine", "p1_csls"}
        assert {name: row[name] for name in shared} == {name: back[name] for name in shared}
    assert any(actual[layer, a, b]["p1_cosine"] != actual[layer, b, a]["p1_cosine"] for layer, a, b in ordered)
    assert any(actual[layer, a, b]["p1_csls"] != actual[layer, b, a]["p1_csls"] for layer, a, b in ordered)


def test_intervals_and_percentiles_of_languages() -> None:
    given = states()
    actual = by_key(compare_languages(given, permutations=20, replicates=30, seed=4))
    for layer in range(3):
        at = [given[name][layer] for name in given]
        pairwise = Pairwise(at, at)
        interval, null = pairwise.bootstrap(replicates=30, seed=4), pairwise.null(permutations=20, seed=4)
        for i, j, a, b in ((0, 1, "en", "de"), (0, 2, "en", "th"), (1, 2, "de", "th")):
            for row in (actual[layer, a, b], actual[layer, b, a]):
                assert row["low"] == pytest.approx(float(interval.low[i, j]), abs=1e-9)
                assert row["high"] == pytest.approx(float(interval.high[i, j]), abs=1e-9)
                assert row["null_p95"] == pytest.approx(float(null.debiased_p95[i, j]), abs=1e-9)
                assert row["low"] < row["cka"] < row["high"]


def test_languages_that_are_alike_score_higher() -> None:
    actual = by_key(compare_languages(states(60), permutations=5, replicates=5))
    for layer in range(3):
        near, far = actual[layer, "en", "de"], actual[layer, "en", "th"]
        assert all(near[name] > far[name] for name in ("cka", "anc", "anc_signed", "p1_csls"))


def test_constant_neurons_and_layers_of_languages() -> None:
    given = states()
    given["de"][1, :, 2] = 5
    given["th"][2] = given["th"][2][0].clone()
    actual = by_key(compare_languages(given, permutations=5, replicates=5))
    assert {key: row["constant"] for key, row in actual.items() if row["constant"]} == {
        **dict.fromkeys([(1, "en", "de"), (1, "de", "en"), (1, "de", "th"), (1, "th", "de")], 1),
        **dict.fromkeys([(2, "en", "th"), (2, "th", "en"), (2, "de", "th"), (2, "th", "de")], 8),
    }
    for name in ("cka", "cka_biased", "low", "high", "null_p95", "null_mean_biased", "anc", "anc_signed"):
        assert {key for key, row in actual.items() if row[name] is None} == {
            (2, a, b) for a, b in (("en", "th"), ("th", "en"), ("de", "th"), ("th", "de"))
        }, name
    assert actual[2, "en", "th"]["p1_cosine"] == 0  # ties


def test_more_sentences_of_languages_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (languages, resampling):
        monkeypatch.setattr(module, "PAIRWISE_LIMIT", 19)
    given = states()
    row = by_key(compare_languages(given))[0, "en", "de"]
    missing = {"low", "high", "null_p95", "null_mean_biased"}
    assert {name for name, value in row.items() if value is None} == missing
    assert row["cka"] == pytest.approx(cka(given["en"][0], given["de"][0]), abs=1e-12)


def test_wrong_languages() -> None:
    given = states()
    with pytest.raises(AnalysisError, match=r"two languages at least.*'en': \(3, 20, 8\)"):
        compare_languages({"en": given["en"]})
    with pytest.raises(AnalysisError, match="two languages at least"):
        compare_languages({})
    for other in (given["de"][:, 1:], given["de"][1:], given["de"][..., 1:]):
        with pytest.raises(AnalysisError, match="same sentences and layers"):
            compare_languages({"en": given["en"], "de": other})
    with pytest.raises(AnalysisError, match="3 sentences are too few"):
        compare_languages({name: layers[:, :3] for name, layers in given.items()})
    with pytest.raises(AnalysisError, match="layer 1 has values that are not finite"):
        compare_languages({**given, "de": given["de"] / 0})
