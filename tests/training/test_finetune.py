"""The same training is done once, whatever interrupts it; its weights are those of an unbroken run, to the bit."""

from __future__ import annotations

import itertools
import json
import sys

import pytest
import torch

from tests.helpers.training import CPU, backbone, killed_before, killed_in, recipe, sentences
from xglue_harness import interrupt
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.fingerprint import Identity, identify
from xglue_harness.errors import StoreError, TrainingError
from xglue_harness.housekeeping import training_problems
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.store import token_cache
from xglue_harness.store.files import write_sealed
from xglue_harness.store.trainings import Store
from xglue_harness.training import checkpoint
from xglue_harness.training import finetune as finetuning
from xglue_harness.training.determinism import seeded
from xglue_harness.training.dev_sets import DevSets
from xglue_harness.training.finetune import finetune
from xglue_harness.training.selection import Selected
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.trainer import TrainingData

SPEC = TASKS["pos"]
DEV = {"en": sentences(20, 7), "de": sentences(20, 31)}
COUNTS = [("en", 40), ("en", 20), ("de", 20)]
DATA = TrainingData(sentences(40), "f" * 64, DEV)


def _finetune(store, *, chosen=None, data=DATA, seconds=0.0, dropout=0.1):
    body = backbone(dropout)
    chosen = chosen or recipe(epochs=3, dropout=None)
    with seeded(1, CPU):
        return finetune(
            body, identify(body), SPEC, chosen, data, store=store, checkpoint_seconds=seconds, progress=False
        )


def _weights(tuned):
    entry = tuned.entry
    means = {f"mean of {epochs}": entry.read_average(epochs) for epochs in entry.averages}
    return {**{epoch: entry.read(epoch) for epoch in entry.weights}, **means}


def _equal(one, other):
    return one.keys() == other.keys() and all(
        one[epoch].keys() == other[epoch].keys()
        and all(torch.equal(one[epoch][name], other[epoch][name]) for name in one[epoch])
        for epoch in one
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return _finetune(Store(tmp_path_factory.mktemp("store")), seconds=1000)


def test_a_second_run_trains_nothing_and_says_what_it_used(unbroken, caplog, monkeypatch):
    def never(*_):
        raise AssertionError("it trains")

    monkeypatch.setattr(TrainStep, "step", never)
    with caplog.at_level("INFO"):
        again = _finetune(Store(unbroken.entry.folder.parents[1]))
    assert again.session.from_store
    assert (again.session.trained_steps, again.session.cost.seconds) == (0, 0.0)
    assert again.training == unbroken.training
    assert f"taken from the store, nothing is trained: {unbroken.entry.folder}" in caplog.text
    assert (unbroken.session.from_store, unbroken.session.trained_steps) == (False, 15)


@pytest.mark.parametrize(
    "change",
    [
        {"chosen": recipe(epochs=2, dropout=None)},
        {"chosen": recipe(epochs=3, dropout=None, seed=9)},
        {"data": TrainingData(sentences(40), "0" * 64, DEV)},
        {"data": TrainingData(sentences(40), "f" * 64, {"en": DEV["en"]})},
    ],
)
def test_another_training_is_another_entry(unbroken, change, tmp_path):
    assert _finetune(Store(tmp_path), **change).entry.key != unbroken.entry.key


def test_a_raised_version_trains_anew(unbroken, tmp_path, monkeypatch):
    version = finetuning.TRAINING_VERSION
    assert unbroken.entry.identity["code"] == version
    monkeypatch.setattr(finetuning, "TRAINING_VERSION", version + 1)
    again = _finetune(Store(tmp_path))
    assert again.entry.key != unbroken.entry.key
    assert again.entry.identity == {**unbroken.entry.identity, "code": version + 1}
    monkeypatch.setattr(finetuning, "TRAINING_VERSION", version + 2)
    assert not _finetune(Store(tmp_path)).session.from_store


def test_keys_stay_as_they_are_while_the_version_does():
    identity, data = Identity("1" * 64, "2" * 64, "3" * 64), TrainingData(sentences(4), "f" * 64, {"en": []})
    assert finetuning.TRAINING_VERSION == 2, "it was raised: note the key of the new version here"
    assert finetuning.training_key(backbone(), identity, recipe(), data) == "c699e41580c2c6bead5cad32f89a06b0"


def test_another_encoder_or_tokenizer_is_another_entry(unbroken):
    def other_weights(body):
        with torch.no_grad():
            body.encoder.embeddings.word_embeddings.weight[7, 3] += 1e-6

    def other_configuration(body):
        body.encoder.config.layer_norm_eps = 1e-6

    def other_tokenizer(body):
        body.tokenizer.add_tokens(["xylophone"])

    base = identify(backbone())
    for change in (other_weights, other_configuration, other_tokenizer):
        body = backbone()
        change(body)
        assert identify(body) != base
    renamed = backbone()
    renamed.encoder.config._name_or_path = "elsewhere"
    assert identify(renamed) == base


def _interrupted(folder, kill):
    """A store with a training that was killed."""
    store = Store(folder)
    with kill:
        _finetune(store)
    return store


def _killed_before_the_second_dev_scores():
    calls = itertools.count(1)
    return killed_in(DevSets, "score", lambda *_, **__: next(calls) == 2)


KILLS = {
    "in a step": lambda: killed_before(7),
    "between tensors and progress": lambda: killed_in(
        checkpoint.CheckpointFolder, "note", lambda _, progress: progress.counters.step == 8
    ),
    "before the second dev scores": _killed_before_the_second_dev_scores,
    "before the kept epoch counts": lambda: killed_in(
        checkpoint.CheckpointFolder, "forget", lambda _, progress, *__: progress.counters.step == 10
    ),
    "before the entry is there": lambda: killed_in(Store, "finish", lambda *_: True),
}


def test_a_stop_that_is_asked_for_loses_no_step(unbroken, tmp_path, monkeypatch):
    step, steps, store = TrainStep.step, [], Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(interrupt, "_stop", interrupt._Stop())

        def stopping(self, batch):
            if len(steps) == 6:
                interrupt.request_stop()  # as a signal's handler would, in the middle of an epoch
            steps.append(batch)
            step(self, batch)

        patch.setattr(TrainStep, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            _finetune(store, seconds=1000)
    resumed = _finetune(store, seconds=1000)
    assert resumed.session.resumed_from_step == len(steps) == 7
    assert _equal(_weights(resumed), _weights(unbroken))


def test_a_stop_that_is_asked_for_in_the_last_step_of_an_epoch(unbroken, tmp_path, monkeypatch):
    step, steps, store = TrainStep.step, [], Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(interrupt, "_stop", interrupt._Stop())

        def stopping(self, batch):
            steps.append(batch)
            step(self, batch)
            if len(steps) == 5:
                interrupt.request_stop()

        patch.setattr(TrainStep, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            _finetune(store, seconds=1000)
    resumed = _finetune(store, seconds=1000)
    assert resumed.session.resumed_from_step == len(steps) == 5
    assert resumed.training.epochs == unbroken.training.epochs
    assert _equal(_weights(resumed), _weights(unbroken))


def test_outside_of_a_trainings_steps_a_stop_is_at_once(monkeypatch):
    monkeypatch.setattr(interrupt, "_stop", interrupt._Stop())
    with pytest.raises(KeyboardInterrupt):
        interrupt.request_stop()


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_an_interrupted_training_ends_with_the_weights_of_an_unbroken_one(kill, unbroken, tmp_path):
    store = _interrupted(tmp_path, kill())
    assert store.folders("entries") == []
    resumed = _finetune(store)
    assert resumed.session.resumed_from_step > 0
    assert resumed.session.trained_steps == 15 - resumed.session.resumed_from_step
    assert resumed.training.epochs == unbroken.training.epochs
    assert resumed.training.final_loss == unbroken.training.final_loss
    assert resumed.training.curve == unbroken.training.curve
    assert resumed.training.real_tokens == unbroken.training.real_tokens
    peaks = [cost.peak_memory_mb for cost in (resumed.training.steps_cost, resumed.training.dev_cost)]
    assert 0 < min(peaks) <= max(peaks) <= resumed.training.cost.peak_memory_mb
    assert _equal(_weights(resumed), _weights(unbroken))
    kept = {path.name for path in resumed.entry.folder.iterdir()}
    assert kept == {"entry.json", *(name for name, _ in resumed.entry.files())}
    assert store.folders("working") == []


def test_a_checkpoint_says_room_for_the_limit_of_a_microbatch_as_ever(tmp_path):
    folder = checkpoint.CheckpointFolder(tmp_path / ("0" * 32))
    folder.save(checkpoint.Progress(counters=checkpoint.Counters(max_tokens=64)), {"weight": torch.ones(2)})
    stored = json.loads((folder.folder / "progress.json").read_text())["counters"]
    assert stored["room"] == 64
    assert "max_tokens" not in stored
    assert folder.load()[0].counters.max_tokens == 64


def test_dropout_makes_the_test_above_one_of_the_generators(unbroken, tmp_path):
    assert not _equal(_weights(_finetune(Store(tmp_path), dropout=0.0)), _weights(unbroken))


@pytest.mark.parametrize("which", ["progress.json", "checkpoint-*.safetensors"])
def test_a_damaged_checkpoint_is_named_and_training_starts_anew(which, unbroken, tmp_path, caplog):
    store = _interrupted(tmp_path, killed_before(7))
    [path] = store.folders("working")[0].glob(which)
    assert training_problems(path.parent) == []
    path.write_bytes(path.read_bytes()[:-20])
    [problem] = training_problems(path.parent)
    assert problem.startswith(f"{path.parent}: {path.name}: ")
    again = _finetune(store)
    assert f"{path.parent} can't be used, training starts anew: {path.name}" in caplog.text
    assert again.session.resumed_from_step is None
    assert _equal(_weights(again), _weights(unbroken))


@pytest.mark.parametrize("edit", ["step", "generators", "dev", "another key"])
def test_an_edited_checkpoint_is_not_taken(edit, unbroken, tmp_path, caplog):
    """Whatever number of it is another, and though it is JSON that could be read."""
    store = _interrupted(tmp_path, killed_before(7))
    [folder] = store.folders("working")
    path = folder / "progress.json"
    facts = json.loads(path.read_text())
    if edit == "step":
        facts["counters"]["step"] += 1
    elif edit == "generators":
        facts["generators"] = []
    elif edit == "dev":
        facts["epochs"][0]["dev"]["de"] += 0.01
    else:  # whole and sealed, but of another training
        facts = {name: value for name, value in facts.items() if name not in ("key", "sha256")}
        write_sealed(path, "0" * 32, facts)
    if edit != "another key":
        path.write_text(json.dumps(facts, indent=1, sort_keys=True))
    again = _finetune(store)
    assert f"{folder} can't be used, training starts anew: progress.json" in caplog.text
    assert again.session.resumed_from_step is None
    assert again.training.epochs == unbroken.training.epochs
    assert _equal(_weights(again), _weights(unbroken))


@pytest.mark.parametrize("which", ["entry.json", "epoch-3.0.safetensors"])
def test_a_damaged_entry_is_named_and_rebuilt(which, unbroken, tmp_path, caplog):
    store = Store(tmp_path)
    path = _finetune(store).entry.folder / which
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    again = _finetune(store)
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    assert not again.session.from_store
    assert _equal(_weights(again), _weights(unbroken))
    assert again.entry.problems() == []
    assert _finetune(store).session.from_store


def test_the_kept_weights_are_those_that_were_scored(unbroken):
    body, chosen = backbone(0.1), recipe(epochs=3, dropout=None)
    model = unbroken.model(body, SPEC, chosen)
    scores = {entry.epoch: entry.dev for entry in unbroken.training.epochs}
    assert set(unbroken.entry.weights) <= set(scores)
    assert 3.0 in unbroken.entry.weights
    for epoch in unbroken.entry.weights:
        unbroken.load(model, Selected(epoch), CPU)
        prepared = [prepare(body, SPEC, chosen, documents, language) for language, documents in DEV.items()]
        predicted = predict(model, body, chosen, prepared)
        for (language, documents), predictions in zip(DEV.items(), predicted, strict=True):
            pairs = zip(documents, predictions.values, strict=True)
            kind = kind_of(SPEC)
            again = kind.score([kind.document_score(document["pos"], value) for document, value in pairs])
            assert again == scores[epoch][language]


def test_another_training_on_the_same_text_tokenises_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    first = _finetune(Store(tmp_path / "store"))

    def never(*_, **__):
        raise AssertionError("it tokenises")

    monkeypatch.setattr(token_cache, "tokenised", never)
    with caplog.at_level("INFO"):
        second = _finetune(Store(tmp_path / "store"), chosen=recipe(epochs=3, dropout=None, seed=9))
    assert not second.session.from_store
    assert [f"POS {language}: the tokens of {count} rows" in caplog.text for language, count in COUNTS] == [True] * 3
    assert second.training.train_inputs == first.training.train_inputs
    assert 0 <= second.training.tokenising_cost.seconds < 1
    with pytest.raises(AssertionError, match="it tokenises"):
        _finetune(Store(tmp_path / "store"), chosen=recipe(epochs=3, dropout=None, max_length=31))


def test_the_encoder_stays_as_it_was():
    body = backbone()
    before = identify(body)
    assert not body.encoder.training
    chosen = recipe(epochs=1)
    with seeded(1, CPU):
        finetune(body, before, SPEC, chosen, DATA, progress=False)
    assert identify(body) == before
    assert not body.encoder.training


def test_weights_that_are_not_finite_are_never_kept(tmp_path, monkeypatch):
    step = TrainStep.step

    def spoil(self, batch):
        if self.counters.step == 3:
            with torch.no_grad():
                self.model.classifier.weight.fill_(float("nan"))
        step(self, batch)

    monkeypatch.setattr(TrainStep, "step", spoil)
    with pytest.raises(TrainingError, match="the loss is nan at step 4"):
        _finetune(Store(tmp_path))
    [working] = Store(tmp_path).folders("working")
    progress, tensors = checkpoint.CheckpointFolder(working).load()
    assert progress.counters.step == 3
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of the size of files")
def test_a_full_disk_is_one_error_and_nothing_half_written(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # as a disk that is full
    try:
        with pytest.raises(StoreError, match=f"cannot write {tmp_path}") as error:
            _finetune(Store(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    way_out = "free some room (xglue-harness store prune) or set the environment variable XGLUE_STORE"
    assert way_out in str(error.value)
    assert list(tmp_path.rglob("*.tmp")) == []
    assert Store(tmp_path).folders("entries") == []
    assert not _finetune(Store(tmp_path)).session.from_store


def test_a_store_that_cannot_be_written_is_one_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*XGLUE_STORE"):
        _finetune(Store(blocked / "store"))


def test_the_record_of_a_training_is_complete(unbroken):
    training = unbroken.training
    assert (training.train_rows, training.train_inputs, training.steps) == (40, 40, 15)
    assert training.real_tokens == 3 * sum(len(row["words"]) + 2 for row in DATA.train)
    assert 1 <= training.padding_ratio == training.padded_tokens / training.real_tokens
    assert [entry.epoch for entry in training.epochs] == [1.0, 2.0, 3.0]
    assert all(set(entry.dev) == {"en", "de"} and entry.constant is not None for entry in training.epochs)
    assert training.embedding_rows < backbone().encoder.get_input_embeddings().num_embeddings
    assert training.cost.tokens_per_second > 0
    assert training.cost.tokens_per_second == training.steps_cost.tokens_per_second
    peaks = [cost.peak_memory_mb for cost in (training.steps_cost, training.dev_cost)]
    assert 0 < min(peaks) <= max(peaks) <= training.cost.peak_memory_mb
    assert json.loads((unbroken.entry.folder / "entry.json").read_text())["training"]["store_key"] == unbroken.entry.key
