"""CKA by epoch beside the scores: of the very weights that the store has, and without a trace in anything else."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch

from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source
from xglue_harness.diagnostics.context import sampled
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import prepare
from xglue_harness.recipe import Recipe
from xglue_harness.records.parts import comparable
from xglue_harness.store.trainings import Store, read_entry
from xglue_harness.training.model import build_model
from xglue_harness.training.weights import load_trained

LEAVES = ["xglue_xnli_zs_de", "xglue_xnli_zs_en"]
OPTIONS = {"epochs": 3, "learning_rate": 1e-2, "dev": "none", "dropout": 0}
ALL = {**OPTIONS, "diagnostics": ["trajectory"], "keep_epochs": "all"}


def _record(results, leaf):
    return results["configs"][leaf]["metadata"]["xglue"]


def _detail(results, leaf):
    return _record(results, leaf)["diagnostics"]["details"]["trajectory"][leaf[-2:]]


def _entry(record):
    return read_entry(Store().entry_folder(record["training"]["store_key"]))


@pytest.fixture(scope="module")
def found(evaluate, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_STORE", str(tmp_path_factory.mktemp("store")))
        results = evaluate(LEAVES, ALL)
        yield results, _entry(_record(results, LEAVES[0]))


def _by_hand(x, y):
    """Debiased CKA from its definition: Song et al. 2012, equation 5."""
    n = len(x)

    def centred(z):
        gram = z.astype(np.float64) @ z.astype(np.float64).T
        np.fill_diagonal(gram, 0)
        rows = gram.sum(1)
        gram = gram - rows[:, None] / (n - 2) - rows[None] / (n - 2) + gram.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(gram, 0)
        return gram

    k, l = centred(x), centred(y)  # noqa: E741
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


def _states(model, backbone, recipe, language):
    """Mean state of each sampled document in each layer, one document at a time."""
    spec = TASKS["xnli"]
    rows = list(kind_of(spec).documents(open_source("sample").load(spec, "test", language).dataset))
    inputs = prepare(backbone, spec, recipe, rows, language).inputs
    vectors = []
    for number in sampled(range(len(rows)), None):
        ids = inputs.subwords_of(number).long()[None]
        own = slice(inputs.starts[number], inputs.starts[number + 1])
        segments = inputs.segments[own].long()[None]
        with torch.no_grad():
            states = model.encoder(ids, torch.ones_like(ids), token_type_ids=segments, output_hidden_states=True)
        vectors.append(torch.stack([layer[0].mean(0) for layer in states.hidden_states]))
    return torch.stack(vectors, 1).numpy()


def test_every_epoch_is_compared_as_by_hand_from_the_stored_weights(found, tiny):
    results, entry = found
    assert entry.weights.keys() == {1.0, 2.0, 3.0}
    recipe = Recipe.model_validate(entry.identity["recipe"])
    backbone = load_backbone(str(tiny), torch.device("cpu"))
    states = {}
    for epoch in (0.0, 1.0, 2.0, 3.0):
        model = build_model(backbone, TASKS["xnli"], recipe).eval()
        if epoch:
            load_trained(model, entry.read(epoch))
        states[epoch] = {language: _states(model, backbone, recipe, language) for language in ("de", "en")}
    expected = {
        ("de", "cka_pretrained"): {e: (states[e]["de"], states[0.0]["de"]) for e in (1.0, 2.0, 3.0)},
        ("en", "cka_pretrained"): {e: (states[e]["en"], states[0.0]["en"]) for e in (1.0, 2.0, 3.0)},
        ("de", "cka_en"): {e: (states[e]["de"], states[e]["en"]) for e in states},
    }
    seen = {}
    for leaf in LEAVES:
        for point in _detail(results, leaf)["points"]:
            seen.setdefault((leaf[-2:], point["measure"]), {})[point["epoch"]] = point
    assert seen.keys() == expected.keys()
    for key, line in expected.items():
        assert list(seen[key]) == list(line)
        for epoch, (x, y) in line.items():
            layers = [_by_hand(a, b) for a, b in zip(x, y, strict=True)]
            point = seen[key][epoch]
            assert [row[2] for row in point["by_layer"]["rows"]] == pytest.approx(layers, abs=1e-6)
            assert point["cka"] == pytest.approx(np.mean(layers[1:]), abs=1e-6)
            assert point["low"] < point["cka"] < point["high"]
            assert 0 < point["null_p95"] < 0.3
    moved = [point["cka"] for point in seen["de", "cka_pretrained"].values()]
    assert max(moved) < 0.999, "epochs that are all like the pretrained encoder show nothing"
    assert len({round(value, 5) for value in moved}) == 3


def test_the_table_has_differences_between_epochs(found):
    results, _ = found
    for leaf in LEAVES:
        points = _detail(results, leaf)["points"]
        for measure in {point["measure"] for point in points}:
            line = [point["cka"] for point in points if point["measure"] == measure]
            shown = results["results"][leaf]
            assert shown[f"{measure}_change,none"] == pytest.approx(line[-1] - line[0], abs=1e-12)
            assert 0 < shown[f"{measure}_change_stderr,none"] < 0.2
    assert "cka_en_change,none" not in results["results"]["xglue_xnli_zs_en"]


def test_nothing_else_changes(found, evaluate):
    results, _ = found
    again, plain = evaluate(LEAVES, ALL), evaluate(LEAVES, OPTIONS)
    for leaf in LEAVES:
        one, two, other = (comparable(_record(run, leaf)) for run in (results, again, plain))
        assert {name for name in one if one[name] != other[name]} == {"diagnostics"}
        assert one == two, "nor does it matter that the training is found in the store"
        assert _record(again, leaf)["session"]["from_store"]


def test_the_scored_epoch_has_the_numbers_of_cka(evaluate, found):
    results = evaluate(LEAVES, {**ALL, "diagnostics": ["cka", "trajectory"]})
    for leaf, measure in ((LEAVES[0], "cka_en"), (LEAVES[0], "cka_pretrained"), (LEAVES[1], "cka_pretrained")):
        last = [point["cka"] for point in _detail(results, leaf)["points"] if point["measure"] == measure][-1]
        assert last == results["results"][leaf][f"{measure},none"]


def test_epochs_that_were_not_kept_have_a_reason(evaluate, own_store, caplog):
    with caplog.at_level(logging.WARNING, logger="xglue_harness"):
        results = evaluate(LEAVES[:1], {**OPTIONS, "diagnostics": ["trajectory"]})
    assert "trajectory will see the epochs that rules of select lead to" in caplog.text
    detail = _detail(results, LEAVES[0])
    assert [epoch["epoch"] for epoch in detail["epochs"]] == [1.0, 2.0, 3.0]
    assert [epoch["missing"] is None for epoch in detail["epochs"]] == [False, False, True]
    assert '"keep_epochs": "all"' in detail["epochs"][0]["missing"]
    assert {(point["measure"], point["epoch"]) for point in detail["points"]} == {
        ("cka_en", 0.0),
        ("cka_pretrained", 3.0),
        ("cka_en", 3.0),
    }
    assert "cka_pretrained_change,none" not in results["results"][LEAVES[0]]
    assert detail["epochs"][2]["test"] == results["results"][LEAVES[0]]["acc,none"]


def test_keep_epochs_trains_again_what_the_store_lacks_to_the_same_weights(evaluate, own_store, found):
    evaluate(LEAVES[:1], OPTIONS)
    results = evaluate(LEAVES[:1], {**OPTIONS, "keep_epochs": "all"})
    record, kept = _record(results, LEAVES[0]), found[1]
    entry = _entry(record)
    assert not record["session"]["from_store"]
    assert (entry.key, entry.weights) == (kept.key, kept.weights), "names and sha256 of all epochs"


def test_a_mean_is_no_epoch_and_languages_that_are_no_translations_are_not_compared(evaluate, own_store):
    options = {**ALL, "epochs": 2, "select": "average", "dev": "en", "diagnostic_rows": 8}
    results = evaluate(["xglue_pos_zs_th"], options)
    detail = _detail(results, "xglue_pos_zs_th")
    assert [(point["measure"], point["epoch"]) for point in detail["points"]] == [
        ("cka_pretrained", 1.0),
        ("cka_pretrained", 2.0),
    ]
    assert all(point["cka"] is not None for point in detail["points"])
    assert detail["epochs"][1]["test"] is not None, "the last epoch's score, by another rule"
    assert detail["epochs"][0]["dev"] is None, "there is no dev score of Thai"


PLUGIN = """
def wander(study):
    first = study.weights(study.epochs[0].name)
    last = study.weights(study.epochs[-1].name)
    moved = sum(float((first[name] - last[name]).abs().sum()) for name in first)
    states = [study.states(epoch.name, "de") for epoch in study.epochs if epoch.missing is None]
    again = study.states(study.epochs[0].name, "de")
    return {"task": {"moved": (moved, None), "apart": (float((states[0] - states[1]).abs().max()), None),
                     "same": (float((states[0] - again).abs().max()), None)}}

def absent(study):
    return study.states("epoch 1", "de")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "wandering.py").write_text(PLUGIN)
    folder = tmp_path / "wandering-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: wandering\nVersion: 1.0\n")
    points = "[xglue_harness.diagnostics]\nwander = wandering:wander\nabsent = wandering:absent\n"
    (folder / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("wandering", None)


def test_a_plug_in_sees_epochs_in_states_and_weights_of_their_own(plugin, evaluate, own_store):
    """In a store of its own, so that it is tried before the training, too."""
    numbers = evaluate(LEAVES, {**ALL, "diagnostics": ["wander"]})["results"][LEAVES[0]]
    assert numbers["moved,none"] > 1, "the weights of one epoch are not written over by those of another"
    assert numbers["apart,none"] > 1e-3
    assert numbers["same,none"] == 0


def test_the_states_of_an_epoch_that_was_not_kept_are_refused(plugin, evaluate, own_store):
    evaluate(LEAVES[:1], OPTIONS)
    with pytest.raises(Exception, match="epoch 1: its weights were not kept"):
        evaluate(LEAVES[:1], {**OPTIONS, "diagnostics": ["absent"]})
