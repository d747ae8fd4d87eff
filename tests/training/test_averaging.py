"""The mean of the epochs' weights: what it is of, what it costs the training (nothing), and where it can't be had."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.helpers.training import CPU, backbone, killed_before, recipe, sentences, trained_on_pos
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import RecipeError, StoreError
from xglue_harness.seal import unsealed_json
from xglue_harness.store.files import write_sealed
from xglue_harness.store.trainings import Store, read_entry
from xglue_harness.training import trainer as training
from xglue_harness.training.finetune import answers
from xglue_harness.training.selection import Selected
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.trainer import TrainingData

SPEC = TASKS["pos"]
DATA = TrainingData(sentences(40), "f" * 64)
STEPS = 5
"""Of an epoch."""


def _finetune(store, select="last", *, epochs=3, dropout=0.1, data=DATA, **options):
    chosen = recipe(epochs=epochs, dropout=None, **options)
    return trained_on_pos(store, backbone(dropout), chosen, data, checkpoint_seconds=0.0, select=select)


def _equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A training of three and a half epochs that was asked for the mean of two, and what each epoch ended with."""
    ends, add_epoch = [], training.add_epoch

    def watching(folder, progress, means, total, tensors):
        ends.append({name: tensor.clone().numpy() for name, tensor in tensors.items()})
        return add_epoch(folder, progress, means, total, tensors)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "add_epoch", watching)
        tuned = _finetune(Store(tmp_path_factory.mktemp("store")), "average_last_2", epochs=3.5)
    return tuned, ends


@pytest.mark.parametrize("averaged", [4, 2])
def test_a_mean_is_that_of_the_epochs_ends(watched, averaged):
    tuned, ends = watched
    assert [scores.epoch for scores in tuned.training.epochs] == [1.0, 2.0, 3.0, 3.6]
    mean = tuned.entry.read_average(averaged)
    assert mean.keys() == ends[-1].keys()
    moved = 0.0
    for name, tensor in mean.items():
        expected = np.mean([end[name].astype(np.float64) for end in ends[-averaged:]], axis=0)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=0, atol=1e-7, err_msg=name)
        assert tensor.numpy().dtype == ends[-1][name].dtype
        moved = max(moved, np.abs(expected - ends[-1][name]).max())
    assert moved > 1e-3, "epochs that are all alike show nothing"


def test_the_training_itself_stays_as_it_was(watched, tmp_path):
    tuned, ends = watched
    assert tuned.entry.weights.keys() == {3.6}
    assert tuned.entry.averages.keys() == {4, 2}
    assert _equal(tuned.entry.read(3.6), {name: torch.from_numpy(array) for name, array in ends[-1].items()})
    other = _finetune(Store(tmp_path), epochs=3.5)
    assert other.entry.key == tuned.entry.key
    assert other.entry.averages.keys() == {4}
    assert _equal(other.entry.read(3.6), tuned.entry.read(3.6))
    assert _equal(other.entry.read_average(4), tuned.entry.read_average(4))


def test_rows_that_the_training_text_does_not_use_stay_the_pretrained_ones(watched):
    tuned, _ = watched
    body = backbone()
    model = tuned.model(body, SPEC, recipe(epochs=3.5, dropout=None))
    tuned.load(model, Selected(3.6, 4), CPU)
    rows = tuned.entry.read_average(4)["encoder.embeddings.word_embeddings.rows"]
    table, before = (encoder.get_input_embeddings().weight for encoder in (model.encoder, body.encoder))
    unused = torch.ones(len(table), dtype=torch.bool)
    unused[rows] = False
    assert 0 < unused.sum() < len(table)
    assert torch.equal(table[unused], before[unused])
    assert not torch.equal(table[rows], before[rows])


def test_of_one_epoch_no_mean_is_kept(tmp_path):
    tuned = _finetune(Store(tmp_path), "average", epochs=1)
    assert tuned.session.trained_steps == STEPS
    assert tuned.entry.averages == {}
    assert answers(tuned.entry, "average")
    assert _finetune(Store(tmp_path), "average", epochs=1).session.from_store


def test_of_more_epochs_than_there_are_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="select average_last_3: the training has 2 epochs"):
        _finetune(Store(tmp_path), "average_last_3", epochs=2)


def _interrupted(store, step, select="last"):
    """A training that was killed before a step."""
    with killed_before(step):
        _finetune(store, select, epochs=3.5)
    [folder] = store.folders("working")
    return folder


@pytest.mark.parametrize("step", [3, STEPS, 2 * STEPS + 1, 3 * STEPS + 2])
def test_a_killed_training_ends_with_the_means_of_an_unbroken_one(step, watched, tmp_path):
    store = Store(tmp_path)
    _interrupted(store, step, "average_last_2")
    resumed = _finetune(store, epochs=3.5)  # the sum that has begun goes on, whatever is asked for now
    assert resumed.session.resumed_from_step == step
    assert resumed.entry.averages.keys() == ({4, 2} if step > 3 * STEPS else {4})
    for averaged in resumed.entry.averages:
        assert _equal(resumed.entry.read_average(averaged), watched[0].entry.read_average(averaged))
    assert {path.name for path in resumed.entry.folder.iterdir()} == {
        "entry.json",
        *(name for name, _ in resumed.entry.files()),
    }


def _without_sums(folder):
    """Make a checkpoint one of a version that kept no sums."""
    path = folder / "progress.json"
    facts = unsealed_json(folder.name, path.read_bytes())
    facts = {name: value for name, value in facts.items() if name not in ("sums", "averages", "key", "sha256")}
    write_sealed(path, folder.name, facts)


@pytest.mark.parametrize(
    ("step", "select", "goes_on"),
    [
        (STEPS + 2, "last", True),
        (STEPS + 2, "average", False),
        (STEPS + 2, "average_last_2", True),
        (3 * STEPS + 2, "average_last_2", False),
        (3 * STEPS, "average_last_2", True),  # nothing is lost at the epoch's very end: its weights are at hand
    ],
)
def test_an_older_checkpoint_goes_on_where_the_mean_can_still_be_had(step, select, goes_on, watched, tmp_path, caplog):
    store = Store(tmp_path)
    folder = _interrupted(store, step)
    _without_sums(folder)
    tuned = _finetune(store, select, epochs=3.5)
    assert tuned.session.resumed_from_step == (step if goes_on else None)
    assert ("it starts anew" in caplog.text) == (not goes_on)
    assert 4 in tuned.entry.averages or goes_on, "a sum without its beginning is no mean"
    for averaged in tuned.entry.averages:
        assert _equal(tuned.entry.read_average(averaged), watched[0].entry.read_average(averaged))
    assert answers(tuned.entry, select)


def test_a_sum_that_is_damaged_is_not_gone_on_from(watched, tmp_path, caplog):
    store = Store(tmp_path)
    [path] = _interrupted(store, STEPS + 2).glob("sum-4-*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    tuned = _finetune(store, epochs=3.5)
    assert f"training starts anew: {path.name}: its checksum is not its own" in caplog.text
    assert _equal(tuned.entry.read_average(4), watched[0].entry.read_average(4))


def test_a_sum_that_vanishes_on_the_way_is_told(tmp_path, monkeypatch):
    store, step = Store(tmp_path), TrainStep.step

    def removing(self, batch):
        for path in store.root.rglob("sum-*"):
            path.unlink()
        step(self, batch)

    monkeypatch.setattr(TrainStep, "step", removing)
    with pytest.raises(StoreError, match=r"sum-3-1\.safetensors: it is missing: was it removed meanwhile\?"):
        _finetune(store)


def _as_of_before(entry):
    """Make an entry one of a version that kept no means."""
    facts = unsealed_json(entry.key, (entry.folder / "entry.json").read_bytes())
    facts = {name: value for name, value in facts.items() if name not in ("averages", "key", "sha256")}
    write_sealed(entry.folder / "entry.json", entry.key, facts)


def test_an_older_training_stays_found_and_is_trained_anew_only_for_its_mean(tmp_path, caplog):
    store = Store(tmp_path)
    first = _finetune(store)
    mean, last = first.entry.read_average(3), first.entry.read(3.0)
    _as_of_before(first.entry)
    assert _finetune(store).session.from_store
    old = read_entry(first.entry.folder)
    assert old.averages == {}
    assert [answers(old, rule) for rule in ("last", "oracle", "average", "average_last_2")] == [
        True,
        True,
        False,
        False,
    ]
    again = _finetune(store, "average")
    assert f"{old.key} has no mean of the epochs' weights for select average: it is trained anew" in caplog.text
    assert (again.session.from_store, again.entry.key) == (False, old.key)
    assert _equal(again.entry.read_average(3), mean)
    assert _equal(again.entry.read(3.0), last)
    third = _finetune(store, "average_last_2")
    assert third.entry.averages.keys() == {3, 2}, "what it had before is kept"
    assert _finetune(store, "average").session.from_store


def test_a_mean_of_epochs_that_were_all_kept_needs_no_training(tmp_path):
    store = Store(tmp_path)
    wrong = [{**row, "pos": [label + 1 for label in row["pos"]]} for row in sentences(20)]
    data = TrainingData(sentences(40), "f" * 64, {"en": wrong})  # the first epoch is best: training only harms
    first = _finetune(store, epochs=2, data=data)
    mean = first.entry.read_average(2)
    assert first.entry.weights.keys() == {1.0, 2.0}
    _as_of_before(first.entry)
    again = _finetune(store, "average", epochs=2, data=data)
    assert (again.session.from_store, again.entry.averages) == (True, {})
    model = again.model(backbone(), SPEC, recipe(epochs=2, dropout=None))
    again.load(model, Selected(2.0, 2), CPU)
    assert torch.equal(model.state_dict()["classifier.weight"], mean["classifier.weight"])


def test_the_manifest_names_each_mean_by_its_number_of_epochs(watched):
    entry = watched[0].entry
    written = json.loads((entry.folder / "entry.json").read_text())["averages"]
    assert {epochs: name for epochs, (name, _) in written.items()} == {
        "2": "average-2.safetensors",
        "4": "average-4.safetensors",
    }
