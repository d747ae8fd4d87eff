"""The learning curve: what a plain loop would note, whatever interrupts the training and wherever it comes from."""

from __future__ import annotations

import json
import math

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from tests.helpers.training import CPU, backbone, killed_before, recipe, sentences, trained_on_pos
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.batching import epoch_batches
from xglue_harness.encoders.inputs import collate
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.records.training_schema import Curve
from xglue_harness.store.files import write_sealed
from xglue_harness.store.trainings import Store
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.curve import MOST_POINTS, LearningCurve
from xglue_harness.training.determinism import seeded
from xglue_harness.training.model import build_model
from xglue_harness.training.trainer import TrainingData

SPEC = TASKS["pos"]
ROWS = sentences(40)
RECIPE = recipe(epochs=8, learning_rate=1e-3)  # 8 times 5 steps


def _finetune(folder, seconds=1000.0):
    return trained_on_pos(Store(folder), backbone(), RECIPE, TrainingData(ROWS, "f" * 64), checkpoint_seconds=seconds)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return _finetune(tmp_path_factory.mktemp("store"))


def _plain_loop():
    """Loss, norm of the gradients and learning rate of each step, by a loop that has none of our steps."""
    body = backbone()
    inputs = tokenised(SPEC, ROWS, body.tokenizer, "en", RECIPE.max_length)
    with seeded(1, CPU):
        model = build_model(body, SPEC, RECIPE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.learning_rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(0.1 * 40), 40)
    batches = [batch for epoch in range(8) for batch in epoch_batches(inputs.lengths, 8, RECIPE.seed, epoch)]
    model.train()
    for batch in batches:
        loss = model(**collate(inputs, batch, body.tokenizer.pad_token_id))["loss"] / (len(inputs.labels) / 5)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield loss.item(), norm.item(), rate


def test_the_curve_is_what_a_plain_loop_notes(unbroken):
    losses, norms, rates = zip(*_plain_loop(), strict=True)
    curve = unbroken.training.curve
    assert curve.step == [16, 32, 40]
    spans = [(0, 16), (16, 32), (32, 40)]
    assert curve.loss == pytest.approx([sum(losses[a:b]) / (b - a) for a, b in spans], rel=1e-4)
    assert curve.gradient_norm == pytest.approx([sum(norms[a:b]) / (b - a) for a, b in spans], rel=1e-3)
    assert curve.learning_rate == pytest.approx([rates[b - 1] for _, b in spans], rel=1e-5)


@pytest.mark.parametrize("at", [7, 16, 23])
def test_a_killed_and_resumed_training_has_the_unbroken_curve(at, unbroken, tmp_path):
    with killed_before(at):
        _finetune(tmp_path, seconds=0.0)
    resumed = _finetune(tmp_path)
    assert resumed.session.resumed_from_step == at
    assert resumed.training.curve == unbroken.training.curve


def test_a_training_found_in_the_store_brings_its_curve(unbroken):
    again = _finetune(unbroken.entry.folder.parents[1])
    assert again.session.from_store
    assert again.training.curve == unbroken.training.curve


def test_an_entry_or_a_checkpoint_from_before_curves_is_taken_and_has_none(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # a checkpoint that knows of no curve
        patch.setattr(LearningCurve, "of", classmethod(lambda cls, steps: None))
        with killed_before(7):
            _finetune(tmp_path, seconds=0.0)
    [folder] = Store(tmp_path).folders("working")
    assert _rewritten(folder / "progress.json", "counters").pop("curve") is None
    resumed = _finetune(tmp_path)
    assert resumed.session.resumed_from_step == 7
    assert resumed.training.curve is None
    _rewritten(resumed.entry.folder / "entry.json", "training")
    again = _finetune(tmp_path)
    assert again.session.from_store
    assert again.training.curve is None


def _rewritten(path, part):
    """Take the curve out of a sealed file, as older versions wrote it; returns that part as it was."""
    facts = json.loads(path.read_text())
    before = dict(facts[part])
    del facts[part]["curve"]
    write_sealed(path, path.parent.name, {name: facts[name] for name in facts if name not in ("key", "sha256")})
    return before


# ---------------------------------------------------------------- the curve by itself


def _curve(steps):
    curve = LearningCurve.of(steps)
    for step in range(1, steps + 1):
        curve.add(step, loss=float(step), norm=1.0, rate=0.1, last=step == steps)
    return curve.points


@pytest.mark.parametrize(
    ("steps", "first", "last", "points"),
    [(1, 1, 1, 1), (16, 16, 16, 1), (17, 16, 17, 2), (3200, 16, 3200, 200), (3201, 32, 3201, 101)],
)
def test_long_trainings_have_no_more_points(steps, first, last, points):
    curve = _curve(steps)
    assert (curve.step[0], curve.step[-1], len(curve.step)) == (first, last, points)
    assert curve.loss[0] == pytest.approx((first + 1) / 2)


def test_the_longest_training_of_the_paper_has_about_as_many_points_as_are_allowed():
    every = LearningCurve.of(122_720).every
    assert every % 16 == 0
    assert MOST_POINTS - 10 <= 122_720 // every <= MOST_POINTS


def test_gradients_that_overflow_in_fp16_are_left_out():
    curve = LearningCurve.of(32)
    for step in range(1, 33):
        norm = math.inf if step <= 16 or step == 20 else 2.0
        curve.add(step, loss=1.0, norm=norm, rate=0.1, last=step == 32)
    assert curve.points.gradient_norm == [None, 2.0]


def test_sums_go_through_json_unchanged():
    curve = LearningCurve.of(40)
    for step in range(1, 8):
        curve.add(step, loss=1 / 3 + step, norm=math.pi * step, rate=0.1, last=False)
    counters = Counters(step=7, curve=curve)
    again = Counters.model_validate(json.loads(json.dumps(counters.model_dump(mode="json", by_alias=True))))
    assert again.curve == curve


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loss": [1.0]}, "differ in length"),
        ({"step": [16, 16]}, "does not rise"),
        ({"loss": [1.0, math.nan]}, "finite"),
    ],
)
def test_a_curve_holds_together(change, said):
    lists = {"step": [16, 32], "loss": [1.0, 0.5], "learning_rate": [0.1, 0.05], "gradient_norm": [1.0, None]}
    assert Curve(**lists).step == [16, 32]
    with pytest.raises(ValueError, match=said):
        Curve(**{**lists, **change})
