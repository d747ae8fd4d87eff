"""A task from its rows to its numbers, on tiny encoders of all sorts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import families
from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import EncoderError
from xglue_harness.kinds import kind_of
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.recipe import probe_recipe
from xglue_harness.probing.run import prepare_probe, probe_task
from xglue_harness.probing.scores import features
from xglue_harness.scoring import score_predictions

WAYS = {"pooling": "mean", "max_length": 48, "seed": 0, "progress": False}
LANGUAGES = ("en", "de")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("mbert"), "mbert")


def backbone(folder, family):
    families.FAMILIES[family](folder)
    return load_backbone(str(folder), torch.device("cpu"))


def task_data(name, languages=LANGUAGES, train=60, test=16):
    spec, source = TASKS[name], open_source("sample")
    english = source.load(spec, "train", "en").dataset.select(range(train))
    tests = {}
    for language in languages:
        rows = source.load(spec, "test", language).dataset
        tests[language] = kind_of(spec).documents(rows.select(range(test)))
    return spec, english, tests


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_scored_in_every_layer_and_language(bert, name):
    spec, train, documents = task_data(name)
    found = probe_task(bert, spec, train, documents, layers=[2, 0], **WAYS)
    assert [(one.layer, one.language) for one in found] == [(0, "en"), (0, "de"), (2, "en"), (2, "de")]
    for one in found:
        gold = documents[one.language][spec.label_column][:]
        kind = kind_of(spec)
        items = [kind.document_score(g, p) for g, p in zip(gold, one.values, strict=True) if kind.is_scored(g)]
        assert one.score == kind.score(items)
        shapes = [np.shape(scores) for scores in one.scores]
        classes = len(spec.labels)
        if kind.per_word or kind.several_rows:
            shapes_expected = [(len(g),) if kind.per_word else (len(g), classes) for g in gold]
        else:
            shapes_expected = [(classes,)] * len(gold)
        assert shapes == shapes_expected
        assert (one.scored.similarity is not None) == (name in ("pawsx", "qam", "qadsm", "wpr"))
        assert (one.ranking is not None) == (name == "wpr")
    assert found[2:] == probe_task(bert, spec, train, documents, layers=None, **WAYS)


def test_classification_is_scikit_learns_on_the_same_states(bert):
    spec, train, documents = task_data("nc")
    probe = prepare_probe(
        FrozenEncoder(bert, pooling="mean", max_length=48),
        spec,
        probe_recipe(spec, pooling="mean", max_length=48, seed=0),
        train,
        documents,
    )
    probe.encoder.compute(probe.encoder.missing(probe.parts, [1]))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 16, tol=1e-4, max_iter=1000))
    model.fit(probe.train.part.states(1), train["news_category"][:])
    for one in probe.score(1):
        predicted = model.predict(probe.tests[one.language].part.states(1))
        assert one.values == predicted.tolist()
        assert abs(one.score - accuracy_score(documents[one.language]["news_category"][:], predicted)) < 1e-12


def test_a_pairs_texts_are_read_one_by_one(bert):
    spec, train, documents = task_data("xnli")
    encoder = FrozenEncoder(bert, pooling="mean", max_length=48)
    recipe = probe_recipe(spec, pooling="mean", max_length=48, seed=0)
    probe = prepare_probe(encoder, spec, recipe, train, documents)
    encoder.compute(encoder.missing(probe.parts, [2]))
    part = encoder.texts([*documents["de"]["premise"], *documents["de"]["hypothesis"]], "de")
    states = part.states(2)
    found = probe.tests["de"].part.states(2)
    assert (found == states).all()
    u, v = states[:16], states[16:]
    assert (features(recipe, found, pairs=16) == np.hstack([u, v, abs(u - v), u * v])).all()


def test_a_second_run_is_the_same_to_the_bit_and_computes_nothing(bert, monkeypatch):
    spec, train, documents = task_data("pos")
    first = probe_task(bert, spec, train, documents, layers=[1, 2], **WAYS)
    monkeypatch.setattr(FrozenEncoder, "_batches", lambda *_: pytest.fail("computed again"))
    assert probe_task(bert, spec, train, documents, layers=[1, 2], **WAYS) == first


@pytest.mark.parametrize(("family", "codes"), [("mbart50", ("en_XX", "de_DE")), ("nllb", ("eng_Latn", "deu_Latn"))])
@pytest.mark.parametrize("name", ["nc", "xnli", "ner"])
def test_every_rows_own_language_code_reaches_the_encoder(tmp_path, monkeypatch, family, codes, name):
    """English training rows among them: no language of a test set may be put before them."""
    body = backbone(tmp_path, family)
    spec, train, documents = task_data(name)
    heard = []

    def hear(self, part, device_inputs, batch, layers):
        ids = [part.inputs.subwords_of(index).tolist() for index in batch.tolist()]
        heard.append((part.title, {code for one in ids for code in one if code in known}))
        return vectors(self, part, device_inputs, batch, layers)

    known = {*body.tokenizer.convert_tokens_to_ids([*codes])}
    vectors = FrozenEncoder._vectors
    monkeypatch.setattr(FrozenEncoder, "_vectors", hear)
    probe_task(body, spec, train, documents, layers=None, **WAYS)
    english, german = (body.tokenizer.convert_tokens_to_ids(code) for code in codes)
    expected = {f"{spec.title} en train": {english}, f"{spec.title} en": {english}, f"{spec.title} de": {german}}
    found = {}
    for title, one in heard:
        found.setdefault(title, set()).update(one)
    assert found == expected


def test_an_encoder_that_can_not_read_so_much_is_refused(bert):
    spec, train, documents = task_data("nc")
    with pytest.raises(EncoderError, match="max_length 500"):
        probe_task(bert, spec, train, documents, layers=None, **{**WAYS, "max_length": 500})


def test_scores_are_those_of_the_one_place_that_scores(bert):
    spec, train, documents = task_data("wpr")
    one = probe_task(bert, spec, train, documents, layers=None, **WAYS)[0]
    gold = documents["en"][spec.label_column][:]
    numbers = [number for number, grades in enumerate(gold) for _ in grades]
    flat = [[value for values in column for value in values] for column in (gold, one.values)]
    assert one.score == score_predictions(spec, *flat, numbers).score
