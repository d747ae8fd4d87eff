"""Diagnostics beside the scores: in lm_eval's table and record, from the evaluation's own pass, by anyone's plug-in."""

from __future__ import annotations

import copy
import logging
import math
import sys

import pytest
import torch

from tests.helpers.layout import write_task
from tests.helpers.training import backbone, pairs, recipe, sentences
from xglue_analysis import cka
from xglue_harness.benchmark import TASKS
from xglue_harness.diagnostics import run as diagnostics
from xglue_harness.diagnostics.context import LEAST, ContextBuilder, DocumentSample, first_inputs, sampled
from xglue_harness.diagnostics.epochs import EpochModels
from xglue_harness.errors import EncoderError, RecipeError
from xglue_harness.harness.groups import diagnosed
from xglue_harness.prediction.hidden_states import HiddenStateRecorder
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.records.parts import comparable
from xglue_harness.records.schema import RunRecord
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model

BOTH = {"diagnostics": ["cka", "spectra"]}
NO_EPOCHS = EpochModels((), lambda _: pytest.fail("no epoch is looked at"))


def _record(results, leaf):
    return results["configs"][leaf]["metadata"]["xglue"]


@pytest.fixture(scope="module")
def xnli(evaluate, tiny):
    return evaluate(["xglue_xnli_zs_de", "xglue_xnli_zs_en"], {**BOTH, "reference": str(tiny)})


def test_numbers_stand_in_the_table_and_in_the_record(xnli):
    names = {"cka_en", "cka_pretrained", "cka_reference", "sigma_norm", "sigma_distance"}
    for leaf, wanted in (("xglue_xnli_zs_de", names), ("xglue_xnli_zs_en", names - {"cka_en"})):
        record = RunRecord.model_validate(_record(xnli, leaf)).diagnostics
        assert set(record.metrics) == wanted
        for name, metric in record.metrics.items():
            assert xnli["results"][leaf][f"{name},none"] == metric.value
            shown = xnli["results"][leaf][f"{name}_stderr,none"]
            assert shown == ("N/A" if name.startswith("sigma") else metric.stderr)
        assert record.documents == 32
        assert record.parallel
    assert 0.3 < xnli["results"]["xglue_xnli_zs_de"]["cka_en,none"] < 0.95
    assert 0.01 < xnli["results"]["xglue_xnli_zs_de"]["cka_en_stderr,none"] < 0.1
    assert 0.99 < xnli["results"]["xglue_xnli_zs_de"]["cka_pretrained,none"] < 1 - 1e-7, "a short training moves little"
    # the reference is the pretrained encoder, loaded once more
    for leaf in ("xglue_xnli_zs_de", "xglue_xnli_zs_en"):
        found = xnli["results"][leaf]
        assert found["cka_reference,none"] == pytest.approx(found["cka_pretrained,none"], abs=1e-9)
        encoders = _record(xnli, leaf)["diagnostics"]["encoders"]
        assert encoders["reference"]["encoder_sha256"] == encoders["pretrained"]["encoder_sha256"]


def test_the_number_is_the_mean_over_layers_above_the_embeddings(xnli):
    details = _record(xnli, "xglue_xnli_zs_de")["diagnostics"]["details"]["cka"]["de"]["cka_en"]
    rows = [dict(zip(details["columns"], row, strict=True)) for row in details["rows"]]
    assert [(row["layer"], row["other_layer"]) for row in rows] == [(0, 0), (1, 1), (2, 2)]
    mean = sum(row["cka"] for row in rows[1:]) / 2
    assert xnli["results"]["xglue_xnli_zs_de"]["cka_en,none"] == pytest.approx(mean, abs=1e-12)
    assert all(row["low"] < row["cka"] < row["high"] for row in rows[1:])


def test_spectra_are_of_the_fine_tuned_and_the_pretrained_weights(xnli, tiny):
    from xglue_harness.encoders.loading import load_backbone

    encoder = load_backbone(str(tiny), torch.device("cpu")).encoder
    roles = ("query.weight", "key.weight", "value.weight", "dense.weight")
    matrices = [w for name, w in encoder.state_dict().items() if "layer." in name and name.endswith(roles)]
    assert len(matrices) == 12
    norm = math.sqrt(sum(float(w.double().square().sum()) for w in matrices))
    details = _record(xnli, "xglue_xnli_zs_de")["diagnostics"]["details"]["spectra"]["task"]
    rows = [dict(zip(details["columns"], row, strict=True)) for row in details["rows"]]
    base = [row for row in rows if row["model"] == "pretrained"]
    assert math.sqrt(sum(row["norm"] ** 2 for row in base)) == pytest.approx(norm, rel=1e-9)
    found = xnli["results"]["xglue_xnli_zs_de"]
    assert found["sigma_norm,none"] == pytest.approx(norm, rel=0.01)
    assert 0 < found["sigma_distance,none"] < 0.05 * norm


def test_scores_are_those_of_a_run_without_diagnostics(xnli, evaluate):
    """To the bit, so of the same languages: they share batches, which move a score's last digits on some processors."""
    leaves = ["xglue_xnli_zs_de", "xglue_xnli_zs_en"]
    plain = evaluate(leaves)
    for leaf in leaves:
        one, other = (comparable(_record(results, leaf)) for results in (xnli, plain))
        assert one["training"]["store_key"] == other["training"]["store_key"], "the training does not depend on them"
        assert one["predictions"]["sha256"] == other["predictions"]["sha256"]
        assert other["diagnostics"] is None
        assert {name for name in one if one[name] != other[name]} == {"diagnostics"}


def test_english_is_read_where_only_another_language_is_scored(xnli, evaluate):
    alone = evaluate(["xglue_xnli_zs_de"], BOTH)
    for name in ("cka_en", "cka_pretrained", "sigma_distance"):
        one, other = (results["results"]["xglue_xnli_zs_de"][f"{name},none"] for results in (alone, xnli))
        assert one == pytest.approx(other, abs=1e-6)


def test_languages_that_are_not_translations_are_not_compared(evaluate):
    found = evaluate(["xglue_pos_zs_th", "xglue_wpr_zs_de"], {**BOTH, "diagnostic_rows": 8})
    for leaf in ("xglue_pos_zs_th", "xglue_wpr_zs_de"):
        record = _record(found, leaf)["diagnostics"]
        assert not record["parallel"]
        assert record["documents"] == 8
        assert set(record["metrics"]) == {"cka_pretrained", "sigma_norm", "sigma_distance"}


def test_a_test_set_in_another_order_is_not_compared(evaluate, tmp_path, caplog):
    write_task(tmp_path, TASKS["xnli"], ["en", "de"], rows=31)
    path = tmp_path / TASKS["xnli"].path("test", "de")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[1:] + lines[:1]), encoding="utf-8")
    with caplog.at_level(logging.WARNING, logger="xglue_harness"):
        found = evaluate(["xglue_xnli_zs_de", "xglue_xnli_zs_en"], {"diagnostics": ["cka"], "data": str(tmp_path)})
    assert "cka_en,none" not in found["results"]["xglue_xnli_zs_de"]
    assert "XNLI in de has other labels than in English" in caplog.text


def test_a_group_has_the_mean_over_its_languages(evaluate):
    found = evaluate(["xglue_pawsx_zs"], {"diagnostics": ["cka"]})
    leaves = [found["results"][f"xglue_pawsx_zs_{language}"] for language in ("de", "es", "fr")]
    group = found["groups"]["xglue_pawsx_zs"]
    assert group["cka_en,none"] == pytest.approx(sum(leaf["cka_en,none"] for leaf in leaves) / 3)
    assert group["cka_en_stderr,none"] == "N/A"
    assert diagnosed([{}, {"diagnostics": None}]) == {}


# ---------------------------------------------------------------- plug-ins


PLUGIN = """
def spread(study):
    states = study.states("finetuned", "sw")
    value = float(states[-1].std())
    metrics = {"spread": (value, None), "nothing": (float("nan"), None)}
    return {"languages": {"sw": metrics}, "details": {"sw": list(states.shape)}}

def fails(study):
    raise ValueError("no luck")

def greedy(study):
    return {"task": {"acc": (1.0, None)}}

def chatty(study):
    return {"details": {"sw": study}}
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package of somebody else, installed."""
    (tmp_path / "spreading.py").write_text(PLUGIN)
    folder = tmp_path / "spreading-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: spreading\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[xglue_harness.diagnostics]\n"
        + "".join(f"{name} = spreading:{name}\n" for name in ("spread", "fails", "greedy", "chatty"))
        + "again = spreading:spread\nbroken = spreading_not:x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("spreading", None)


def test_somebody_elses_diagnostic_works_the_same(plugin, evaluate):
    found = evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["spread", "cka"]})
    metrics = found["results"]["xglue_xnli_zs_sw"]
    assert metrics["spread,none"] > 0
    assert metrics["spread_stderr,none"] == "N/A"
    assert "nothing,none" not in metrics
    assert "cka_en,none" in metrics
    record = _record(found, "xglue_xnli_zs_sw")["diagnostics"]
    assert record["details"]["spread"] == {"sw": [3, 32, 96]}


def test_a_diagnostic_that_fails_is_named(plugin, evaluate):
    with pytest.raises(RecipeError, match=r"the diagnostic 'fails' failed: ValueError\('no luck'\)"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["fails"]})


def test_no_diagnostic_can_take_the_place_of_a_score(plugin, evaluate):
    with pytest.raises(RecipeError, match=r"'greedy' calls a metric 'acc', which is another's name"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["greedy"]})
    with pytest.raises(RecipeError, match=r"'again' calls a metric 'spread'"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["spread", "again"]})
    with pytest.raises(RecipeError, match=r"'chatty' failed: TypeError.*not JSON serializable"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["chatty"]})


def test_a_broken_plug_in_is_named_where_it_is_asked_for_and_disturbs_no_one_else(plugin):
    assert set(diagnostics.find(["cka"])) == {"cka"}
    with pytest.raises(RecipeError, match=r"'broken' \(spreading_not:x\) can't be imported"):
        diagnostics.find(["broken"])


def test_an_unknown_diagnostic_is_refused_before_the_training(evaluate, own_store):
    with pytest.raises(RecipeError, match=r"no diagnostic 'ckq' is installed; there are: alignment, cka, spectra"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["ckq"]})
    assert not own_store.exists()


def test_a_reference_is_checked_before_the_training(evaluate, own_store, tmp_path):
    with pytest.raises(RecipeError, match="reference is what diagnostics compare with"):
        evaluate(["xglue_xnli_zs_sw"], {"reference": "x"})
    with pytest.raises(EncoderError, match=str(tmp_path / "none")):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["cka"], "reference": str(tmp_path / "none")})
    assert not own_store.exists()


def test_diagnostics_of_one_encoder_do_not_go_with_oracle(evaluate):
    with pytest.raises(RecipeError, match="select oracle scores each with another"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["cka"], "select": "oracle", "dev": "all"})


def test_too_few_documents_are_refused(evaluate):
    with pytest.raises(RecipeError, match="5 documents of sw are too few for diagnostics: raise --limit"):
        evaluate(["xglue_xnli_zs_sw"], {"diagnostics": ["cka"]}, limit=5)


# ---------------------------------------------------------------- states


def test_the_sample_is_the_same_in_every_language_and_spread_over_the_documents():
    assert sampled(range(2000), None) == sampled(list(range(2000)), None)
    assert len(sampled(range(2000), None)) == 100
    assert len(sampled(range(50), None)) == 32
    assert len(sampled(range(100_000), None)) == 512
    assert len(sampled(range(500), 20)) == 20
    chosen = sampled(range(2000), 200)
    assert 800 < sum(chosen) / len(chosen) < 1200
    own = {"en": {n: {} for n in range(40)}, "de": {n: {} for n in range(10, 50)}}
    rows = DocumentSample(World(), own, None, parallel=True).rows
    assert rows["en"] == rows["de"] == list(range(10, 40))
    with pytest.raises(RecipeError, match=f"raise --limit to {LEAST}"):
        DocumentSample(World(), {"en": {n: {} for n in range(7)}}, None, parallel=False)


LONG = {"words": ["catdog"] * 30 + ["the"] * 9, "pos": [3] * 39}


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_states_from_the_evaluation_are_those_of_a_pass_of_their_own(task):
    body, spec, chosen = backbone(), TASKS[task], recipe(task, max_length=16)
    rows = [*sentences(12), LONG, *sentences(9)] if task == "pos" else pairs(12) * 2
    documents = dict(enumerate(rows))
    model = build_model(body, spec, chosen).eval()
    parts = {language: prepare(body, spec, chosen, rows, language) for language in ("en", "de")}
    builder = ContextBuilder(spec, World(), {language: (documents, part) for language, part in parts.items()}, 10, list)
    predict(model, body, chosen, list(parts.values()), progress=False, recorder=builder.recorder)
    study = builder.build(chosen, model, {"pretrained": body}, NO_EPOCHS)
    taken = study.states("finetuned", "de")
    study._states.clear()
    again = study.states("finetuned", "de")
    assert taken.shape == again.shape == (3, 10, 16)
    torch.testing.assert_close(taken, again, atol=1e-5, rtol=1e-5)
    assert taken[1:].std() > 0.01
    # by hand: the mean over an input's subwords in each layer
    numbers = study.rows["de"]
    inputs = parts["de"].inputs
    place = first_inputs(parts["de"], numbers)[3]
    ids = inputs.subwords_of(place).long()[None]
    own = slice(inputs.starts[place], inputs.starts[place + 1])
    segments = inputs.segments[own].long()[None]
    output = model.encoder(ids, torch.ones_like(ids), token_type_ids=segments, output_hidden_states=True)
    by_hand = torch.stack([layer[0].mean(0) for layer in (*output.hidden_states[:-1], output.last_hidden_state)])
    torch.testing.assert_close(taken[:, 3], by_hand, atol=1e-5, rtol=1e-5)


def test_watching_changes_no_prediction_and_keeps_only_what_is_wanted():
    body, spec, chosen = backbone(), TASKS["xnli"], recipe("xnli")
    parts = [prepare(body, spec, chosen, pairs(12), language) for language in ("en", "de")]
    model = build_model(body, spec, chosen).eval()
    recorder = HiddenStateRecorder([[0, 5], [11]])
    recorded = predict(model, body, chosen, parts, progress=False, recorder=recorder)
    assert recorded == predict(model, body, chosen, parts, progress=False)
    assert [sorted(found) for found in recorder.states] == [[0, 5], [11]]


def test_the_pretrained_encoder_stays_as_it_was(evaluate, tiny):
    body = backbone()
    before = copy.deepcopy(body.encoder.state_dict())
    spec, chosen = TASKS["xnli"], recipe("xnli")
    rows = pairs(12)
    parts = {"en": (dict(enumerate(rows)), prepare(body, spec, chosen, rows, "en"))}
    builder = ContextBuilder(spec, World(), parts, None, list)
    model = build_model(body, spec, chosen)
    predict(model, body, chosen, [parts["en"][1]], progress=False, recorder=builder.recorder)
    study = builder.build(chosen, model, {"pretrained": body}, NO_EPOCHS)
    x, y = study.states("finetuned", "en")[2], study.states("pretrained", "en")[2]
    assert cka(x, y) == pytest.approx(1, abs=1e-6), "nothing was trained"
    assert all(torch.equal(before[name], weight) for name, weight in body.encoder.state_dict().items())
