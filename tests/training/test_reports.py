"""Trackers are told whole curves, whatever interrupts a training; what they do changes none."""

from __future__ import annotations

import importlib.util
import random

import pytest

from tests.helpers.training import CPU, backbone, killed_before, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.errors import RecipeError
from xglue_harness.recipe import parse_options
from xglue_harness.records.training_schema import Curve, EpochScores
from xglue_harness.store.trainings import Store
from xglue_harness.training import reports
from xglue_harness.training.determinism import seeded
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import finetune
from xglue_harness.training.reports import Reports, reporting, run_name
from xglue_harness.training.trainer import TrainingData

CURVE = Curve(step=[16, 32], loss=[1.0, 0.5], learning_rate=[0.1, 0.05], gradient_norm=[2.0, None])
EPOCHS = [EpochScores(epoch=1.0, dev={"en": 0.25, "de": 0.5}), EpochScores(epoch=2.0, dev={"en": 0.75})]
DATA = TrainingData(sentences(40), "f" * 64, {"en": sentences(20, 7), "de": sentences(20, 31)})


class _Tracker:
    """One of accelerate's trackers, as far as it is used."""

    name = "tensorboard"

    def __init__(self):
        self.told, self.finished = [], 0

    def log(self, values, step=None):
        random.random()
        self.told.append((step, values))

    def finish(self):
        self.finished += 1


def _finetune(store, told=None):
    body = backbone()
    with seeded(1, CPU):
        return finetune(
            body,
            identify(body),
            TASKS["pos"],
            recipe(epochs=8, learning_rate=1e-3),
            DATA,
            store=store,
            checkpoint_seconds=0.0,
            progress=False,
            reports=told,
        )


def test_points_and_epochs_come_once_and_in_the_order_of_steps():
    tracker = _Tracker()
    told = Reports([tracker], "acc")
    told.follow(None, [], 20)
    told.follow(CURVE.model_copy(update={"step": [16], "loss": [1.0]}), [], 20)
    told.follow(CURVE, EPOCHS, 20)
    told.follow(CURVE, EPOCHS, 20)
    told.tested({"de": 0.5}, 40)
    told.tested({}, 40)
    told.close()
    assert tracker.told == [
        (16, {"train/loss": 1.0, "train/learning_rate": 0.1, "train/grad_norm": 2.0}),
        (20, {"train/epoch": 1.0, "dev_acc/en": 0.25, "dev_acc/de": 0.5}),
        (32, {"train/loss": 0.5, "train/learning_rate": 0.05}),
        (40, {"train/epoch": 2.0, "dev_acc/en": 0.75}),
        (40, {"test_acc/de": 0.5}),
    ]
    assert tracker.finished == 1


def test_an_unbroken_a_resumed_and_a_stored_training_tell_the_same(tmp_path):
    unbroken, killed, resumed, stored = (_Tracker() for _ in range(4))
    tuned = _finetune(Store(tmp_path / "one"), Reports([unbroken], "acc"))
    curve = tuned.training.curve
    assert [step for step, values in unbroken.told if "train/loss" in values] == curve.step == [16, 32, 40]
    assert [values["train/loss"] for _, values in unbroken.told if "train/loss" in values] == curve.loss
    assert [step for step, values in unbroken.told if "dev_acc/de" in values] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert [step for step, _ in unbroken.told] == sorted(step for step, _ in unbroken.told)
    store = Store(tmp_path / "two")
    with killed_before(23):
        _finetune(store, Reports([killed], "acc"))
    assert 0 < len(killed.told) < len(unbroken.told)
    _finetune(store, Reports([resumed], "acc"))
    _finetune(store, Reports([stored], "acc"))
    assert resumed.told == stored.told == unbroken.told


def test_what_a_tracker_draws_at_random_changes_nothing_and_none_is_the_same_training(tmp_path):
    random.seed(3)
    before = random.getstate()
    Reports([_Tracker()], "acc").follow(CURVE, EPOCHS, 20)
    assert random.getstate() == before
    reported = _finetune(Store(tmp_path / "one"), Reports([_Tracker()], "acc"))
    plain = _finetune(Store(tmp_path / "two"))
    assert reported.entry.weights == plain.entry.weights  # by their checksums
    assert reported.entry.key == plain.entry.key


def test_a_tracker_that_fails_is_left_out_and_the_training_goes_on(caplog):
    broken, sound = _Tracker(), _Tracker()
    broken.log = lambda values, step: 1 / 0
    told = Reports([broken, sound], "acc")
    told.follow(CURVE, EPOCHS, 20)
    told.close()
    assert (len(sound.told), sound.finished, broken.finished) == (4, 1, 0)
    assert caplog.text.count("report_to tensorboard: nothing more is reported to it: division by zero") == 1


def test_only_the_main_process_reports(monkeypatch):
    monkeypatch.setattr(reports, "_start", lambda *_: pytest.fail("it starts a tracker"))
    monkeypatch.setattr(World, "only_on_main", lambda self, act: act() if self.is_main_process else None)
    with reporting(["tensorboard"], "run", "key", {}, "acc", World(rank=1, size=2)) as told:
        told.follow(CURVE, EPOCHS, 20)


def test_a_tracker_that_can_not_be_started_is_one_error(monkeypatch):
    def refuse(*_):
        raise OSError("no room")

    monkeypatch.setattr(reports, "_tracker", refuse)
    with (
        pytest.raises(RecipeError, match=r"report_to tensorboard: it can't be started: OSError: no room"),
        reporting(["tensorboard"], "run", "key", {}, "acc", World()),
    ):
        pytest.fail("it is entered")


@pytest.mark.parametrize(
    ("backbone_name", "expected"),
    [("FacebookAI/xlm-roberta-base", "xlm-roberta-base"), ("/models/my encoder/", "my-encoder"), ("..", "encoder")],
)
def test_a_run_has_a_name_that_a_folder_may_have(backbone_name, expected):
    assert run_name(backbone_name, "pos", 1, "0a1b2c3d4e") == f"{expected}-pos-seed1-0a1b2c3d"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tensorbord", r"report_to='tensorbord': Input should be 'tensorboard', 'wandb' or 'trackio'"),
        ("tensorboard", r"tensorboard is not installed: pip install tensorboard"),
    ],
)
def test_an_unknown_tracker_or_one_that_is_not_there_is_refused_with_the_options(given, said, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=said):
        parse_options({"report_to": given})


def test_a_folder_of_the_name_of_a_tracker_is_none(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None))
    with pytest.raises(RecipeError, match="wandb is not installed"):
        parse_options({"report_to": ["wandb"]})


def test_several_trackers_are_one_word_or_a_list(monkeypatch):
    spec = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert parse_options({"report_to": "wandb+tensorboard+wandb"}).report_to == ("wandb", "tensorboard")
    assert parse_options({"report_to": ["trackio"]}).report_to == ("trackio",)
    assert parse_options({}).report_to == ()


# ---------------------------------------------------------------- the real thing


def test_tensorboard_reads_back_one_whole_curve_of_two_runs(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path))
    for until in (1, 2):  # the first run is killed after its first epoch, the second goes on
        with reporting(["tensorboard"], "tiny", "key", {"epochs": 2.0, "dropout": None}, "acc", World()) as told:
            part = Curve(**{name: values[:until] for name, values in CURVE.model_dump().items()})
            told.follow(part, EPOCHS[:until], 20)
            told.tested({"de": 0.5} if until == 2 else {}, 40)
    events = EventAccumulator(str(tmp_path / "tiny")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(16, 1.0), (32, 0.5)]
    assert [(event.step, event.value) for event in events.Scalars("dev_acc/en")] == [(20, 0.25), (40, 0.75)]
    assert [(event.step, event.value) for event in events.Scalars("test_acc/de")] == [(40, 0.5)]
    assert [path.read_text() for path in tmp_path.glob("tiny/*/hparams.yml")] == ["epochs: 2.0\n"] * 2
