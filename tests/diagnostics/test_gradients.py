"""Gradients are looked at while a model is trained; the training never knows."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.helpers.torchrun import two_processes
from tests.helpers.training import CPU, WORDS, backbone, killed_before, recipe, sentences, trained_on_pos
from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source
from xglue_harness.diagnostics import gradients
from xglue_harness.diagnostics.gradients import GradientWatch
from xglue_harness.diagnostics.parallel import parallel_rows
from xglue_harness.encoders.device_inputs import DeviceInputs
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import DataError, RecipeError, TrainingError
from xglue_harness.records.parts import comparable
from xglue_harness.records.training_schema import Gradients
from xglue_harness.store.trainings import Store
from xglue_harness.training.checkpoint import Counters, generators
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.optimisation import Optimisation
from xglue_harness.training.static_step import StaticStep
from xglue_harness.training.trainer import TrainingData

SPEC = TASKS["pos"]
ROWS = sentences(40)
RECIPE = recipe(epochs=8, learning_rate=1e-3, dropout=None)  # 8 times 5 steps


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parallel texts of three languages."""
    path = tmp_path_factory.mktemp("parallel")
    for shift, language in enumerate(("en", "de", "fr")):
        lines = [" ".join(WORDS[(n + shift + k) % len(WORDS)] for k in range(1 + n % 4)) for n in range(20)]
        (path / f"{language}.txt").write_text("\n".join(lines), encoding="utf-8")
    return path


def _rows(folder):
    return parallel_rows(str(folder), open_source("sample"), SPEC)


def _finetune(store, folder=None, *, seconds=1000.0, select="last"):
    body = backbone(dropout=0.1)
    watch = None if folder is None else GradientWatch(body, RECIPE, _rows(folder), World.current())
    ways = {"checkpoint_seconds": seconds, "watch": watch, "select": select}
    return trained_on_pos(Store(store), body, RECIPE, TrainingData(ROWS, "f" * 64), **ways)


def _weights(tuned):
    return {name: tensor for epoch in tuned.entry.weights for name, tensor in tuned.entry.read(epoch).items()}


def _equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return _finetune(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory, folder):
    return _finetune(tmp_path_factory.mktemp("store"), folder)


def test_the_weights_are_those_of_a_training_without(plain, watched):
    assert watched.entry.key == plain.entry.key
    assert _equal(_weights(watched), _weights(plain))
    assert watched.training.curve == plain.training.curve
    assert plain.training.gradients is None


def test_the_record_has_first_and_last_step(watched):
    seen = watched.training.gradients
    assert seen.planned == [point.step for point in seen.points]
    assert (seen.planned[0], seen.planned[-1]) == (0, 40)
    assert seen.layers == ["1", "2", "all"]
    assert seen.parameters[2] == sum(seen.parameters[:2])
    assert seen.null_p95 == pytest.approx([1.96 / math.sqrt(size) for size in seen.parameters], rel=1e-4)
    assert sum(seen.languages.values()) == seen.rows
    assert seen.languages.keys() == {"de", "fr"}
    assert seen.files.keys() == {"en.txt", "de.txt", "fr.txt"}
    assert seen.cost.seconds > 0
    assert seen.cost.share == pytest.approx(seen.cost.seconds / watched.training.cost.seconds, rel=0.01)
    for point in seen.points:
        assert all(len(values) == 3 for values in (point.cosine, point.shuffled, point.task_norm))
        assert all(-1 <= value <= 1 for value in point.cosine)


def _killed(store, folder, at):
    with killed_before(at):
        _finetune(store, folder, seconds=0.0)


@pytest.mark.parametrize("at", [7, 20])
def test_killed_and_resumed_it_is_the_same(at, plain, watched, folder, tmp_path):
    _killed(tmp_path, folder, at)
    resumed = _finetune(tmp_path, folder)
    assert resumed.session.resumed_from_step == at
    assert _equal(_weights(resumed), _weights(plain))
    one, other = (comparable(tuned.training.gradients.model_dump(mode="json")) for tuned in (resumed, watched))
    assert one == other


@pytest.mark.parametrize(("first", "then"), [(False, True), (True, False)])
def test_what_was_begun_without_or_ends_without_has_none(first, then, plain, folder, tmp_path, caplog):
    _killed(tmp_path, folder if first else None, 7)
    resumed = _finetune(tmp_path, folder if then else None)
    assert resumed.training.gradients is None
    assert _equal(_weights(resumed), _weights(plain))
    assert ("was begun without them" in caplog.text) is then


def test_other_texts_are_another_trajectory(plain, folder, tmp_path, caplog):
    _killed(tmp_path / "store", folder, 7)
    others = tmp_path / "texts"
    others.mkdir()
    for language in ("en", "de"):
        (others / f"{language}.txt").write_bytes((folder / f"{language}.txt").read_bytes())
    resumed = _finetune(tmp_path / "store", others)
    assert resumed.training.gradients is None
    assert "with other texts" in caplog.text
    assert _equal(_weights(resumed), _weights(plain))


def test_what_lies_in_the_store_brings_its_own_or_says_that_it_has_none(plain, watched, folder, caplog):
    again = _finetune(watched.entry.folder.parents[1], folder)
    assert again.session.from_store
    assert again.training.gradients == watched.training.gradients
    assert "without gradients" not in caplog.text
    without = _finetune(plain.entry.folder.parents[1], folder)
    assert without.session.from_store
    assert without.training.gradients is None
    assert "was kept without gradients" in caplog.text


def test_a_mean_of_epochs_that_is_trained_for_later_keeps_them(watched, folder, tmp_path):
    shutil.copytree(watched.entry.folder.parents[1], tmp_path / "store")
    again = _finetune(tmp_path / "store", select="average_last_3")
    assert not again.session.from_store
    assert again.training.gradients == watched.training.gradients


# ---------------------------------------------------------------- by hand


def _looked(folder, monkeypatch, **options):
    """A model with gradients of its own, and what is seen of it at its first step."""
    monkeypatch.setattr(gradients, "PLANS", ((8, 2),))
    chosen = recipe(epochs=8, **options)
    body = backbone(dropout=0.1)
    torch.manual_seed(3)
    model = build_model(body, SPEC, chosen).train()
    inputs = tokenised(SPEC, ROWS, body.tokenizer, "en", chosen.max_length)
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(number))
    watch = GradientWatch(body, chosen, _rows(folder), World.current())
    counters = Counters()
    return body, model, inputs, watch, counters


def _state(model):
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    return kept | {f"grad {name}": parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_cosines_are_those_of_autograd_by_hand(folder, monkeypatch):
    body, model, inputs, watch, counters = _looked(folder, monkeypatch)
    watch(model, inputs, counters, 40)
    point = counters.gradients.points[0]
    places, pairs = watch._drawn
    model.eval()
    model.zero_grad()
    own = [p for name, p in model.encoder.named_parameters() if ".layer.1." in name]

    def gradient(loss):
        model.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in own])

    def task(half):
        losses, count = [], 0
        for place in half:
            labels = inputs.labels[inputs.words_of(place)].long()
            logits = model(inputs.subwords_of(place).long()[None], torch.ones(1, inputs.lengths[place]).long())[
                "logits"
            ]
            losses.append(functional.cross_entropy(logits[0, inputs.positions[inputs.words_of(place)].long()], labels,
                                                   reduction="sum"))  # fmt: skip
            count += len(labels)
        return torch.stack(losses).sum() / count

    def vector(text):
        ids = body.tokenizer(text, return_tensors="pt")["input_ids"]
        return functional.normalize(model.encoder(ids).last_hidden_state[0].mean(dim=0), dim=0)

    def alignment(rows, shift):
        lines = {name: (folder / f"{name}.txt").read_text(encoding="utf-8").split("\n") for name in ("en", "de", "fr")}
        english = torch.stack([vector(lines["en"][row]) for _, row in rows])
        others = torch.stack([vector(lines[name][row]) for name, row in rows])
        targets = (torch.arange(len(rows)) + shift) % len(rows)
        cosines = others @ english.T
        if shift:
            cosines = cosines - 1e9 * torch.eye(len(rows))
        return functional.cross_entropy(cosines / 0.05, targets)

    drawn = torch.Generator().manual_seed(1)
    assert places == torch.randperm(40, generator=drawn)[:64].tolist()[:8]
    rows = list(zip(["de", "fr"] * 4, torch.randperm(20, generator=drawn)[:8].tolist(), strict=True))
    assert pairs.languages == [name for name, _ in rows]
    tasks = [gradient(task(half)) for half in (places[:4], places[4:])]
    pulls = [gradient(alignment(half, 0)) for half in (rows[:4], rows[4:])]
    controls = [gradient(alignment(half, 1)) for half in (rows[:4], rows[4:])]

    def cosine(one, other):
        return pytest.approx(functional.cosine_similarity(one, other, dim=0).item(), abs=2e-5)

    task_sum, pull_sum, control_sum = (sum(halves) for halves in (tasks, pulls, controls))
    assert point.cosine[1] == cosine(task_sum, pull_sum)
    assert point.shuffled[1] == cosine(task_sum, control_sum)
    assert point.task_agreement[1] == cosine(*tasks)
    assert point.alignment_agreement[1] == cosine(*pulls)
    assert point.task_norm[1] == pytest.approx(task_sum.norm().item() / 2, rel=1e-4)
    assert point.alignment_norm[1] == pytest.approx(pull_sum.norm().item() / 2, rel=1e-4)
    assert point.alignment_loss == pytest.approx(
        sum(alignment(h, 0).item() for h in (rows[:4], rows[4:])) / 2, rel=1e-4
    )
    assert point.task_loss == pytest.approx(sum(task(h).item() for h in (places[:4], places[4:])) / 2, rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_look_leaves_no_trace(precision, folder, monkeypatch):
    _, model, inputs, watch, counters = _looked(folder, monkeypatch, precision=precision, dropout=None)
    before, random = _state(model), generators(CPU)
    watch(model, inputs, counters, 40)
    assert len(counters.gradients.points) == 1
    after = _state(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert generators(CPU) == random
    assert all(module.training for module in model.modules())


def test_bf16_sees_about_the_same(folder, monkeypatch):
    points = []
    for precision in ("fp32", "bf16"):
        _, model, inputs, watch, counters = _looked(folder, monkeypatch, precision=precision)
        watch(model, inputs, counters, 40)
        points.append(counters.gradients.points[0])
    one, other = points
    assert one.cosine == pytest.approx(other.cosine, abs=0.05)
    assert one.task_loss == pytest.approx(other.task_loss, rel=0.02)


def test_beside_static_steps_it_leaves_no_trace_either(folder, monkeypatch):
    """What a GPU records computes with half-precision copies and gradients of its own: the weights are looked at."""
    ends = []
    for looking in (False, True):
        _, model, inputs, watch, _ = _looked(folder, monkeypatch, precision="bf16", dropout=0.0)
        model.zero_grad()
        chosen = recipe(epochs=8, precision="bf16", dropout=0.0)
        optimisation = Optimisation(model, chosen, 40, on_device=True)
        ways = {"words_per_batch": 20.0, "device": CPU, "finished_mask": True}
        static = StaticStep(model, chosen, DeviceInputs(inputs, 0, CPU), optimisation, **ways)
        for step in range(4):
            if looking:
                watch._begin(model, inputs, 40)
                watch._measured(model, inputs, step)
            static.load(list(range(8 * step, 8 * step + 8)), step)
            static.run(8)
        ends.append({name: tensor.detach().clone() for name, tensor in model.named_parameters()})
    assert _equal(*ends)


@pytest.mark.processes
def test_of_two_processes_the_first_one_looks():
    assert two_processes(["-m", "tests.helpers.watching_ranks"]).stdout.count("all is well") == 2


def test_an_encoder_that_padding_would_change_gets_batches_of_its_own(folder, monkeypatch):
    body, model, inputs, watch, counters = _looked(folder, monkeypatch)
    watch(model, inputs, counters, 40)
    other = Counters()
    watch = GradientWatch(
        type(body)(body.encoder, body.tokenizer, body.config, CPU, "tiny", batch_rule="one input"),
        recipe(epochs=8),
        _rows(folder),
        World.current(),
    )
    watch(model, inputs, other, 40)
    assert other.gradients.points[0].cosine == pytest.approx(counters.gradients.points[0].cosine, abs=1e-4)


def test_no_more_is_looked_at_than_the_training_affords(folder, monkeypatch):
    body = backbone()
    inputs = tokenised(SPEC, 2 * ROWS, body.tokenizer, "en", 32)
    seen = {}
    for epochs in (1, 250, 500, 1000):
        torch.manual_seed(3)
        watch, counters = GradientWatch(body, recipe(epochs=epochs), _rows(folder), World.current()), Counters()
        model = build_model(body, SPEC, recipe())
        watch(model, inputs, counters, 10 * epochs)
        seen[epochs] = counters.gradients
        places, pairs = watch._drawn
        task = sum(inputs.lengths[place] for place in places)
        computed = len(seen[epochs].planned) * (9_000 + 3 * task + 5 * pairs.subwords)
        if epochs > 1:
            assert computed <= 0.07 * 3 * inputs.subwords * epochs
    assert (seen[1].rows, len(seen[1].planned)) == (8, 2)
    assert 2 <= len(seen[250].planned) < len(seen[500].planned) <= 8
    assert (seen[1000].rows, len(seen[1000].planned)) == (16, 8)  # there are 20 rows of text


def test_memory_that_runs_out_is_said(folder, monkeypatch):
    _, model, inputs, watch, counters = _looked(folder, monkeypatch)

    def never(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gradients, "compare_gradients", never)
    with pytest.raises(TrainingError, match="leave the option gradients out"):
        watch(model, inputs, counters, 40)
    assert model.training


# ---------------------------------------------------------------- texts


def test_dev_sets_that_are_translations_are_taken():
    rows = parallel_rows("dev", open_source("sample"), TASKS["pawsx"])
    assert {*rows.by_language} == {"en", "de", "es", "fr"}
    assert len({len(own) for own in rows.by_language.values()}) == 1


def test_dev_sets_that_are_none_are_refused():
    with pytest.raises(RecipeError, match=r"POS are no translations of each other; give a folder"):
        parallel_rows("dev", open_source("sample"), SPEC)


def test_folders_that_will_not_do_are_refused(tmp_path):
    source = open_source("sample")
    with pytest.raises(DataError, match="no such file or folder"):
        parallel_rows(str(tmp_path / "none"), source, SPEC)
    for language in ("de", "fr"):
        (tmp_path / f"{language}.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="needs English and another language; there are: de, fr"):
        parallel_rows(str(tmp_path), source, SPEC)
    (tmp_path / "en.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="has 2 rows of each language; at least 8"):
        parallel_rows(str(tmp_path), source, SPEC)


def test_what_was_seen_goes_through_json_unchanged(watched):
    text = json.dumps(watched.training.gradients.model_dump(mode="json"), allow_nan=False)
    assert Gradients.model_validate(json.loads(text)) == watched.training.gradients
    assert np.isfinite(watched.training.gradients.points[-1].task_norm).all()
