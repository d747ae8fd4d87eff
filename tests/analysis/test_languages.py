"""All measures of languages in one table, and each beside its null."""

import pytest
import torch

from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.calibration import calibrate
from xglue_analysis.cka import cka
from xglue_analysis.isotropy import iso_score, mean_cosine
from xglue_analysis.languages import CALIBRATED, compare_languages, language_spaces
from xglue_analysis.neighbours import dali, mexa, mutual_knn
from xglue_analysis.pairs import WITHOUT_DIRECTION, Pair
from xglue_analysis.separability import separability


@pytest.fixture(scope="module")
def states():
    generator = torch.Generator().manual_seed(8)
    text = torch.randn(2, 24, 5, generator=generator, dtype=torch.float64)
    noise = {name: torch.randn(2, 24, 5, generator=generator, dtype=torch.float64) for name in ("en", "de", "sw")}
    return {name: text + weight * noise[name] for name, weight in (("en", 0), ("de", 0.4), ("sw", 4))}


def test_every_column_is_its_function(states):
    samples = [row // 3 for row in range(24)]
    rows = compare_languages(states, permutations=20, replicates=20, samples=samples)
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        x, y = (states[row[key]][row["layer"]] for key in ("language_a", "language_b"))
        apart = separability({row["language_a"]: x, row["language_b"]: y})
        assert row["cka"] == pytest.approx(cka(x, y))
        assert row["anc"] == pytest.approx(anc(x, y).absolute)
        assert row["p1_cosine"] == retrieval(x, y).forward
        assert row["p1_csls"] == retrieval(x, y, csls=10).forward
        assert row["mutual_knn"] == pytest.approx(mutual_knn(x, y))
        assert row["mutual_knn_null"] == 10 / 23
        assert row["mexa"] == mexa(x, y)
        assert row["dali"] == dali(x, y, samples)
        assert row["dali_strict"] == dali(x, y, samples, strict=True)
        assert row["separability"] == pytest.approx(
            apart.accuracy, abs=0.05
        )  # the folds are of the pair as it is listed
        assert not any(f"{name}_p" in row for name in CALIBRATED)


def test_calibrated_columns_are_those_of_any_measure_computed_again(states):
    rows = compare_languages(states, permutations=39, replicates=20, seed=5, calibrate=True)
    measures = {
        "cka": cka,
        "anc": lambda x, y: anc(x, y).absolute,
        "p1_cosine": lambda x, y: retrieval(x, y).forward,
        "p1_csls": lambda x, y: retrieval(x, y, csls=10).forward,
        "mutual_knn": mutual_knn,
        "mexa": mexa,
    }
    for row in rows:
        if (row["language_a"], row["language_b"]) not in (("en", "de"), ("en", "sw")):
            continue
        x, y = (states[row[key]][row["layer"]] for key in ("language_a", "language_b"))
        for name, measure in measures.items():
            expected = calibrate(x, y, measure, permutations=39, seed=5)
            assert row[f"{name}_p"] == pytest.approx(expected.p), name
            assert row[f"{name}_calibrated"] == pytest.approx(expected.score, abs=1e-6), name
        near = row["language_b"] == "de"
        assert (row["mexa_calibrated"] > 0.3) == near
        assert 0 < row["separability_p"] <= 1


def test_the_mean_null_of_mexa_is_that_of_all_permutations(states):
    row = compare_languages(states, permutations=20, replicates=20)[0]
    x, y = states["en"][0], states["de"][0]
    drawn = calibrate(x, y, mexa, permutations=2000)
    assert row["mexa_null"] == pytest.approx(drawn.mean, abs=0.01)


def test_spaces_of_single_languages(states):
    rows = language_spaces(states, permutations=19)
    assert [(row["layer"], row["language"]) for row in rows[:3]] == [(0, "en"), (0, "de"), (0, "sw")]
    for row in rows:
        x = states[row["language"]][row["layer"]]
        assert row["iso_score"] == pytest.approx(iso_score(x))
        assert row["mean_cosine"] == pytest.approx(mean_cosine(x))
        apart = separability({name: layers[row["layer"]] for name, layers in states.items()})
        assert row["told"] == apart.languages[row["language"]]
        assert row["separability"] == pytest.approx(apart.accuracy)
        assert row["chance"] == pytest.approx(1 / 3)
        assert 0 <= row["separability_calibrated"] < 1
    assert "separability_p" not in language_spaces(states)[0]


def test_nulls_without_a_direction_are_drawn_once_a_pair(states, monkeypatch):
    asked = []
    null = Pair.null
    monkeypatch.setattr(Pair, "null", lambda self, orders: asked.append(self) or null(self, orders))
    rows = compare_languages(states, permutations=19, replicates=20, calibrate=True)
    assert len(asked) == len(rows) / 2 == 2 * 3
    there, back = (
        [row for row in rows if (row["language_a"], row["language_b"]) == ab] for ab in (("en", "de"), ("de", "en"))
    )
    for name in ("cka", *WITHOUT_DIRECTION, "separability"):
        assert [row[f"{name}_calibrated"] for row in there] == [row[f"{name}_calibrated"] for row in back], name
    assert list(rows[0])[-2 * len(CALIBRATED) :: 2] == [f"{name}_p" for name in CALIBRATED]
