"""The weights of all epochs, where they are asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from tests.helpers.training import backbone, killed_before, recipe, sentences, trained_on_pos
from xglue_harness.store.trainings import Store
from xglue_harness.training.finetune import answers
from xglue_harness.training.trainer import TrainingData

STEPS = 5
"""Of an epoch."""


def _finetune(store, *, keep_all, select="last"):
    return trained_on_pos(
        store,
        backbone(0.1),
        recipe(epochs=3.5, dropout=None),
        TrainingData(sentences(40), "f" * 64),
        checkpoint_seconds=0.0,
        select=select,
        keep_all=keep_all,
    )


def _interrupted(store, step, *, keep_all):
    with killed_before(step):
        _finetune(store, keep_all=keep_all)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return _finetune(Store(tmp_path_factory.mktemp("store")), keep_all=True)


def test_all_epochs_are_kept_and_differ(whole):
    assert list(whole.entry.weights) == [1.0, 2.0, 3.0, 3.6]
    tables = [whole.entry.read(epoch)["classifier.weight"] for epoch in whole.entry.weights]
    assert all(not torch.equal(one, other) for one, other in pairwise(tables))
    assert whole.entry.problems() == []


@pytest.mark.parametrize(
    ("step", "keep_all", "goes_on"),
    [
        (3, False, True),
        (STEPS, False, True),  # at an epoch's very end its weights are at hand
        (STEPS + 2, False, False),
        (2 * STEPS + 2, True, True),
    ],
)
def test_a_killed_training_goes_on_where_all_epochs_can_still_be_had(step, keep_all, goes_on, whole, tmp_path, caplog):
    store = Store(tmp_path)
    _interrupted(store, step, keep_all=keep_all)
    tuned = _finetune(store, keep_all=True)
    assert tuned.session.resumed_from_step == (step if goes_on else None)
    assert ("has kept no weights of some epochs that are over: it starts anew" in caplog.text) == (not goes_on)
    assert tuned.entry.weights == whole.entry.weights, "names and sha256"


def test_a_training_that_lacks_some_is_trained_again_and_keeps_what_it_had(whole, tmp_path, caplog):
    store = Store(tmp_path)
    first = _finetune(store, keep_all=False, select="average_last_2")
    assert list(first.entry.weights) == [3.6]
    assert (answers(first.entry, "last"), answers(first.entry, "last", keep_all=True)) == (True, False)
    again = _finetune(store, keep_all=True)
    assert f"{first.entry.key} has not kept the weights of all epochs: it is trained anew" in caplog.text
    assert again.entry.key == first.entry.key
    assert again.entry.weights == whole.entry.weights
    assert again.entry.averages.keys() == {4, 2}
    assert _finetune(store, keep_all=True).session.from_store
    mean = _finetune(store, keep_all=False, select="average_last_3")
    assert mean.session.from_store, "a mean of epochs that are all there needs no training"
    assert mean.entry.weights == whole.entry.weights
