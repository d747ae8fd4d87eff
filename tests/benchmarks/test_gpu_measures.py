"""What the GPU benchmark's workers compute from what they see, and `TrainStep` as they build it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.gpu import facts, profiles, speed, step_checks
from benchmarks.gpu.rig import Rig, losses, weights
from benchmarks.gpu.seeds import accuracies
from benchmarks.gpu.sides import OnDevice
from benchmarks.gpu.speed import Marks
from benchmarks.gpu.step_checks import STILL, Checks, _only_in_attention, differences, verdict
from benchmarks.workload import Setting, load
from xglue_harness.harness.demo import build_encoder
from xglue_harness.training.train_step import TrainStep


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder)
    return Setting(str(folder), "sample", "pos", rows=40, eval_rows=2, batch_size=8)


@pytest.fixture(scope="module")
def rig(setting: Setting) -> Rig:
    return Rig.of(setting, "cpu")


def test_a_tiny_encoder_shows_how_steps_are_taken() -> None:
    figures, _ = facts.our_steps(torch.device("cpu"), steps=2)
    for precision in ("fp32", "bf16"):
        assert re.fullmatch(r"eager: .* \(cpu\); nondeterministic: None; loss \d\.\d+", figures[precision]), figures


def test_last_epoch_is_measured_from_the_end_of_its_first_step(monkeypatch) -> None:
    clock = iter([0.0, 30.0, 50.0, 52.0, 56.0, 62.0])
    monkeypatch.setattr(speed, "now", lambda _: next(clock))
    marks = Marks(torch.device("cpu"), 5)
    for step in range(1, 19):
        marks.recorded = {5: 3.0, 6: 4.0, 13: 6.0}.get(step, marks.recorded)
        marks.ended(step)
    assert list(marks.times) == [1, 5, 11, 13, 15]
    figures = marks.figures(tokenising=20)
    assert figures["steps/s"] == 0.4
    assert (figures["steps/s, slower half"], figures["steps/s, faster half"]) == (2 / 6, 0.5)
    assert figures["s of recording while measured"] == 2
    assert figures["s to the first step"] == 10
    assert figures["s of start-up"] == 50 - 20 - 5 / 0.4


def test_time_of_a_step_is_that_of_the_steps_that_are_traced(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of other batches take other times, and the share of the device would be of neither."""
    clock, seen = [0.0], list[int]()

    def step(train_step: TrainStep, batch: Sequence[int]) -> None:
        seen.append(max(train_step.inputs.lengths[index] for index in batch))
        clock[0] += seen[-1]

    monkeypatch.setattr(TrainStep, "step", step)
    monkeypatch.setattr(profiles, "now", lambda _: clock[0])
    figures, _ = profiles.ours(replace(setting, rows=96, eval_rows=0), "fp32", graphs=False)
    lengths = seen[:12]
    assert sum(lengths) / 12 != sum(lengths[:8]) / 8
    assert figures["wall ms"] == 1000 * sum(lengths[:8]) / 8
    assert seen[12:] == 3 * lengths[:8]  # the host's time, that of both, and the trace


def test_peak_memory_of_ours_is_the_record_s(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its meters set torch's mark back at each epoch, and of a replayed graph torch counts nothing."""
    monkeypatch.setattr(speed, "memory_peak", lambda _: 0)
    side = OnDevice(replace(setting, eval_rows=0))
    figures, _ = speed.run(side, replace(setting, eval_rows=0), speed.EPOCHS)
    assert side.record.cost.peak_memory_mb
    assert figures["peak memory GB"] == side.record.cost.peak_memory_mb / 1000


def test_a_weight_that_differs_fails_unless_it_is_a_bias_of_keys() -> None:
    one = {"a.weight": torch.zeros(2), "b.key.bias": torch.zeros(2), "c": torch.zeros(0)}
    moved = {**one, "b.key.bias": torch.tensor([0.0, 0.25])}
    holds, figures = verdict(differences(one, moved))
    assert holds
    assert figures["key biases"] == 0.25
    holds, figures = verdict(differences(one, {**moved, "a.weight": torch.tensor([0.5, 0.0])}))
    assert not holds
    assert (figures["largest"], figures["in"], figures["weights beyond"]) == (0.5, "a.weight", 1)


def test_right_words_of_each_language() -> None:
    tests = {"en": {"tags": [[1, 2], [3]]}, "es": {"tags": [[1]]}}
    assert accuracies(tests, {"en": [[1, 0], [3]], "es": [[0]]}, "tags") == {"en": pytest.approx(200 / 3), "es": 0}


def test_steps_are_those_of_a_training(setting: Setting, rig: Rig) -> None:
    """Built by itself, a step is what `finetune` takes."""
    side = OnDevice(setting)
    seen: list[int] = []

    class Watcher:
        def ended(self, step: int) -> None:
            seen.append(step)

    side.fine_tune(load(setting)[0], 1, Watcher())
    assert seen == [1, 2, 3, 4, 5]
    recipe = side._recipe
    with rig.training(recipe, steps=5) as train_step:
        told = losses(train_step, list(islice(rig.batches(recipe), 5)))
        found = weights(train_step)
    assert told[-1] == side.record.final_loss
    kept = side.tuned.entry.read(1.0)
    assert all(torch.equal(kept[name], value) for name, value in found.items())
    assert side.real_tokens == rig.inputs.subwords


def test_dropout_in_attention_alone_makes_a_batch_s_loss_random(rig: Rig) -> None:
    recipe = rig.recipe("fp32", learning_rate=STILL, batch_size=8)
    seen = {}
    for rate in (0.1, 0.0):
        with rig.training(recipe, steps=8) as train_step:
            assert _only_in_attention(train_step.model, rate)
            seen[rate] = len(set(losses(train_step, [[0, 1, 2]] * 4)))
    assert seen == {0.1: 4, 0.0: 1}
    assert not _only_in_attention(nn.Linear(1, 1), 0.1)


def test_rows_of_the_rig_are_the_setting_s(rig: Rig, setting: Setting) -> None:
    assert len(rig.rows) == setting.rows
    assert {len(rows) for rows in rig.tests.values()} == {2}
    assert rig.steps_per_epoch(rig.recipe("fp32", batch_size=16)) == 3


# -------------------------------------------------------------------- checks that must be able to fail


@pytest.fixture
def checks(setting: Setting, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Checks:
    """The checks of a card, on a CPU that stands for one: no graph, no TF32, no lack of memory is found there."""
    for name in ("synchronize", "set_sync_debug_mode", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 1 << 20)
    monkeypatch.setattr(step_checks, "_filled", lambda *, leave: nullcontext())
    made = Checks(setting, SimpleNamespace(type="cuda"), 3)  # type: ignore[arg-type]
    made._rigs |= {"cuda": rig, "cpu": rig}
    return made


def test_a_check_fails_where_graphs_were_wanted_and_are_not_there(checks: Checks) -> None:
    holds, figures, _ = checks.graphed()
    assert not holds
    assert figures["largest"] == 0
    assert figures["mode"].startswith("eager: ")


def test_a_check_fails_where_tf32_is_not_used(checks: Checks) -> None:
    holds, figures, _ = checks.tf32()
    assert not holds
    assert max(figures.values()) < 2e-5
    assert checks.fp32()[0]


def test_a_check_fails_where_no_batch_was_split(checks: Checks) -> None:
    holds, figures, _ = checks.out_of_memory()
    assert not holds
    assert figures["parts, graphs"] == 1
    assert figures["loss in parts, graphs"] == pytest.approx(figures["loss in one"], rel=1e-5)


def test_a_step_that_waits_is_found_with_its_place(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    waits_from = 100

    def step(train_step: Any, batch: Any) -> None:
        train_step.counters.step += 1
        if train_step.counters.step > waits_from:
            raise RuntimeError("called a synchronizing CUDA operation")

    monkeypatch.setattr("xglue_harness.training.train_step.TrainStep.step", step)
    assert checks.waits() == (True, dict.fromkeys(checks.waits()[1], "no"), "")
    waits_from = 48
    holds, figures, note = checks.waits()
    assert not holds
    assert set(figures.values()) == {"yes"}
    assert note.startswith("bf16, graphs: RuntimeError: called a synchronizing CUDA operation at test_gpu_measures.py:")
