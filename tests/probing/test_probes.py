"""Pure probes, against scikit-learn's own on the same vectors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, ndcg_score, precision_score, recall_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError, RecipeError
from xglue_harness.probing.probes import (
    UNSEEN,
    bitext_scores,
    cosines,
    fit,
    nearest,
    pair_features,
    unit,
)
from xglue_harness.probing.recipe import features_of, probe_recipe
from xglue_harness.probing.scores import Rows, ranking_by, scored
from xglue_harness.probing.training_rows import training_rows

EXACT = 1e-12


def recipe(task="nc", **changes):
    return probe_recipe(TASKS[task], pooling="mean", max_length=64, seed=0).model_copy(update=changes)


def vectors(seed, rows, width=6):
    return np.random.default_rng(seed).normal(size=(rows, width)) * [1, 5, 0.1, 2, 30, 1][:width] + 3


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_equals_scikit_learn(classes):
    train, test = vectors(0, 80), vectors(1, 50)
    labels = np.random.default_rng(2).integers(classes, size=80)
    ours = fit(train, labels, classes, recipe()).log_probabilities(test)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 6, tol=1e-4, max_iter=1000)).fit(train, labels)
    assert np.abs(np.exp(ours) - theirs.predict_proba(test)).max() < EXACT
    assert ours.argmax(axis=1).tolist() == theirs.predict(test).tolist()


def test_a_class_that_training_lacks_is_never_predicted_and_has_a_finite_score():
    labels = np.array([1, 3] * 20)
    logs = fit(vectors(0, 40), labels, 5, recipe()).log_probabilities(vectors(1, 30))
    assert logs.shape == (30, 5)
    assert (logs[:, [0, 2, 4]] == UNSEEN).all()
    assert {*logs.argmax(axis=1).tolist()} <= {1, 3}
    assert np.allclose(np.exp(logs).sum(axis=1), 1)


def test_a_constant_feature_does_no_harm():
    train = np.hstack([vectors(0, 40), np.full((40, 1), 7.0)])
    assert np.isfinite(fit(train, np.array([0, 1] * 20), 2, recipe()).log_probabilities(train)).all()


def test_one_class_is_refused():
    with pytest.raises(DataError, match="NC, layer 3: the English training rows have 1 class"):
        fit(vectors(0, 4), np.zeros(4, dtype=np.int64), 2, recipe(), "NC, layer 3")


def test_cosines_equal_scikit_learns():
    first, second = vectors(0, 60), vectors(1, 60)
    ours = cosines(first, second)
    assert np.abs(ours - np.diag(cosine_similarity(first, second))).max() < EXACT
    assert cosines(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [0.0]


def test_pair_features_are_the_usual_four():
    first, second = np.array([[1.0, -2.0]]), np.array([[3.0, 5.0]])
    assert pair_features(first, second).tolist() == [[1, -2, 3, 5, 2, 7, 3, -10]]


def test_bitext_is_mined_as_by_scikit_learn():
    first = vectors(0, 90)
    second = first + np.random.default_rng(4).normal(size=first.shape) * 3
    expected = cosine_similarity(first, second).argmax(axis=1)
    for chunk in (7, 4096):
        assert nearest(first, second, chunk=chunk).tolist() == expected.tolist()
    ours, gold = bitext_scores(expected), np.arange(90)
    ways = {"average": "weighted", "zero_division": 0}
    assert 0 < ours["f1"] < ours["accuracy"] < 1
    assert abs(ours["f1"] - f1_score(gold, expected, **ways)) < EXACT
    assert abs(ours["precision"] - precision_score(gold, expected, **ways)) < EXACT
    assert abs(ours["recall"] - recall_score(gold, expected, **ways)) < EXACT
    assert abs(ours["accuracy"] - accuracy_score(gold, expected)) < EXACT


def test_a_ranking_equals_scikit_learn_with_its_ties():
    labels = [0, 2, 4, 1, 1, 0, 3, 3, 0]
    documents = [0, 0, 0, 1, 1, 1, 2, 3, 3]  # the third query has one row, which can't be ranked
    scores = np.array([0.5, 0.5, 0.1, 0.9, 0.9, 0.2, 0.3, -1.0, -1.0])
    spec = TASKS["wpr"]
    rows = Rows(spec, [{spec.label_column: label} for label in labels], documents)
    parts = [slice(0, 3), slice(3, 6), slice(7, 9)]
    expected = np.mean([ndcg_score([labels[part]], [scores[part]]) for part in parts])
    assert abs(ranking_by(rows, scores) - expected) < EXACT


def test_scores_are_those_of_the_predicted_classes():
    spec = TASKS["nc"]
    logs = np.log(np.random.default_rng(5).dirichlet(np.ones(10), size=40))
    gold = np.random.default_rng(6).integers(10, size=40).tolist()
    found = scored(Rows(spec, [{spec.label_column: label} for label in gold], range(40)), logs)
    assert abs(found.score - accuracy_score(gold, logs.argmax(axis=1))) < EXACT
    assert found.values == logs.argmax(axis=1).tolist()
    assert found.scores == logs.tolist()


def test_words_are_put_back_into_their_sentences():
    spec = TASKS["pos"]
    rows = Rows(spec, [{spec.label_column: [0, 1]}, {spec.label_column: [2, 2, 1]}], range(2))
    logs = np.log(np.full((5, 17), 0.05))
    for word, label in enumerate([0, 1, 2, 0, 1]):
        logs[word, label] = np.log(0.2)
    found = scored(rows, logs)
    assert found.values == [[0, 1], [2, 0, 1]]
    assert [len(scores) for scores in found.scores] == [2, 3]
    assert found.scores[0][0] == pytest.approx(np.log(0.2))
    assert found.score == pytest.approx(4 / 5)


def test_a_unit_vector_of_nothing_is_nothing():
    assert unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_what_each_task_is_probed_by():
    found = {name: features_of(spec) for name, spec in TASKS.items()}
    similar = dict.fromkeys(("pawsx", "qam", "qadsm", "wpr"), "cosine")
    assert found == {"nc": "text", "xnli": "pair", **similar, "ner": "word", "pos": "word"}


def test_a_recipe_is_named_by_all_of_its_fields():
    one = recipe()
    assert one.key == recipe().key
    others = [recipe(seed=1), recipe(max_length=32), recipe(pooling="first"), recipe(c=2.0), recipe("pos")]
    assert len({one.key, *(other.key for other in others)}) == 6


@pytest.mark.parametrize("wrong", [{"pooling": "cls"}, {"max_length": 4}, {"seed": 2**32}, {"train_rows": 1}])
def test_a_recipe_that_can_not_be_is_refused(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        probe_recipe(TASKS["nc"], **{"pooling": "mean", "max_length": 64, "seed": 0, **wrong})


def test_the_seed_draws_training_rows_only_where_there_are_too_many():
    assert training_rows(5, recipe(train_rows=5)) == [0, 1, 2, 3, 4]
    few = recipe(train_rows=5)
    drawn = training_rows(100, few)
    assert drawn == training_rows(100, few) == sorted({*drawn})
    assert len(drawn) == 5
    assert drawn != training_rows(100, few.model_copy(update={"seed": 1}))
