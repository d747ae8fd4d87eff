"""Scores of changed states: what is paired, what is recorded, what is refused."""

import math

import numpy as np
import pytest

from xglue_harness import metrics
from xglue_harness.errors import RecipeError
from xglue_harness.records.measures import measures


@pytest.mark.parametrize("ratios", [False, True])
def test_paired_standard_errors_are_the_bootstraps(ratios):
    random = np.random.default_rng(4)
    n = 400
    den = random.integers(1, 12, n).astype(float)
    before = np.minimum(den, random.binomial(12, 0.5, n))
    after = np.clip(before + random.integers(-1, 3, n), 0, den)
    if not ratios:
        before, after, den = before / den, after / den, np.ones(n)
    pairs = [
        [(float(a), float(d)) if ratios else float(a) for a, d in zip(side, den, strict=True)]
        for side in (before, after)
    ]
    drawn = random.integers(0, n, (4000, n))
    differences = (after[drawn].sum(1) - before[drawn].sum(1)) / den[drawn].sum(1)
    assert metrics.difference_stderr(*pairs) == pytest.approx(differences.std(), rel=0.06)


def test_equal_scores_have_a_difference_without_error():
    assert metrics.difference_stderr([0.5, 1.0, 0.0], [0.5, 1.0, 0.0]) == 0
    assert math.isnan(metrics.difference_stderr([1.0], [1.0]))
    assert math.isnan(metrics.difference_stderr([(0.0, 0.0), (0.0, 0.0)], [(1.0, 2.0), (0.0, 1.0)]))
    with pytest.raises(ValueError, match=r"lengths|differ|long"):
        metrics.difference_stderr([1.0, 0.0], [1.0])


def _evaluate(monkeypatch, tmp_path, tasks, **metadata):
    import lm_eval

    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    from xglue_harness.harness.demo import build_encoder

    folder = tmp_path / "encoder"
    if not folder.exists():
        build_encoder(folder)
    options = {"data": "sample", "epochs": 1, "train_limit": 24, "dev": "none", "max_length": 32, **metadata}
    arguments = f"pretrained={folder}"
    return lm_eval.simple_evaluate(model="hf-encoder", model_args=arguments, tasks=tasks, metadata=options, limit=20)


@pytest.mark.processes
def test_gains_stand_in_the_table_and_all_else_in_the_record(monkeypatch, tmp_path):
    tasks = ["xglue_pos_zs_en", "xglue_pos_zs_de", "xglue_pos_zs_fr"]
    found = _evaluate(monkeypatch, tmp_path, tasks, intervene=["center", "erase"], intervene_rows=16)
    plain = _evaluate(monkeypatch, tmp_path, tasks)
    for language in ("en", "de", "fr"):
        leaf = f"xglue_pos_zs_{language}"
        record = found["configs"][leaf]["metadata"]["xglue"]["interventions"]
        assert found["results"][leaf]["acc,none"] == plain["results"][leaf]["acc,none"]
        assert sorted(record["of"]) == (["erase"] if language == "en" else ["center", "erase"])
        for name, one in record["of"].items():
            shown = found["results"][leaf][f"{name}_gain,none"]
            assert (
                shown
                == one["change"]["gain"]
                == pytest.approx(one["change"]["score"] - found["results"][leaf]["acc,none"])
            )
            assert one["beyond_control"] == pytest.approx(one["change"]["gain"] - one["control"]["gain"])
            assert one["states"] == "words"
            assert one["documents"] == dict.fromkeys(("en", "de", "fr"), 16)
            assert one["change"]["length"] > 0
            if name == "center":
                assert one["control"]["length"] == pytest.approx(one["change"]["length"])
            else:
                assert one["rank"] == 2
        assert plain["configs"][leaf]["metadata"]["xglue"]["interventions"] is None
    erased = {name for name in found["results"]["xglue_pos_zs_de"] if "gain" in name}
    assert {"center_gain,none", "erase_control_gain,none", "center_gain_stderr,none"} <= erased


@pytest.mark.processes
def test_the_same_run_gives_the_same_bits(monkeypatch, tmp_path):
    records = []
    for _ in range(2):
        tasks = ["xglue_xnli_zs_en", "xglue_xnli_zs_de"]
        found = _evaluate(monkeypatch, tmp_path, tasks, intervene="erase", intervene_layer=1)
        records.append(found["configs"]["xglue_xnli_zs_de"]["metadata"]["xglue"]["interventions"]["of"])
    assert records[0] == records[1]
    assert records[0]["erase"]["layer"] == 1
    assert records[0]["erase"]["states"] == "subwords"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"intervene": "turn"}, "intervene"),
        ({"intervene": "center", "intervene_layer": 77}, "the encoder has layers 0 to"),
        ({"intervene": "center", "select": "oracle", "dev": "all"}, "select oracle scores each with another"),
    ],
)
def test_what_can_not_be_done_is_an_error_before_the_training(monkeypatch, tmp_path, metadata, message):
    with pytest.raises((RecipeError, SystemExit), match=message):
        _evaluate(monkeypatch, tmp_path, ["xglue_xnli_zs_de"], **metadata)
    assert not list((tmp_path / "cache").glob("store/entries/*"))


def test_measures_are_those_of_diagnostics_and_interventions():
    part = {"gain": 0.25, "gain_stderr": 0.1}
    record = {
        "diagnostics": {"metrics": {"cka_en": {"value": 0.5, "stderr": None}}},
        "interventions": {"of": {"erase": {"change": part, "control": {"gain": 0.0, "gain_stderr": None}}}},
    }
    expected = {"cka_en": (0.5, None), "erase_gain": (0.25, 0.1), "erase_control_gain": (0.0, None)}
    assert measures(record) == expected
    assert measures({}) == {}
