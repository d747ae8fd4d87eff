"""Steps whose course depends on no number: the same weights as eager ones, and nothing is asked of the device."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tests.helpers.training import CPU, backbone, pairs, recipe, sentences
from tests.helpers.waits import Waiting
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.device_inputs import DeviceInputs
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import TrainingError
from xglue_harness.training import train_step
from xglue_harness.training.checkpoint import Counters, generators
from xglue_harness.training.curve import LearningCurve
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.optimisation import Optimisation
from xglue_harness.training.static_step import StaticStep, bucket
from xglue_harness.training.step_graphs import NotRecordableError, why_eager
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.working_copies import WorkingCopies

ROWS = {"pos": sentences(43), "xnli": pairs(43)}
BATCHES = [list(range(at, min(at + 8, 43))) for at in range(0, 43, 8)] * 9
STEPS = 50


def _inputs(task):
    return tokenised(TASKS[task], ROWS[task], backbone().tokenizer, "en", 32)


def _model(task, chosen, body=None):
    torch.manual_seed(5)
    return build_model(body or backbone(), TASKS[task], chosen)


def _words(task, inputs):
    return len(inputs.labels) / 6 if task == "pos" else None


def _eager(task, chosen, **options):
    inputs = _inputs(task)
    ways = {"pad": 0, "device": CPU, "world": World(), "counters": Counters()}
    return TrainStep(
        _model(task, chosen), chosen, inputs, steps=STEPS, words_per_batch=_words(task, inputs), **ways, **options
    )


def _static(task, chosen, model, device=CPU):
    inputs = _inputs(task)
    optimisation = Optimisation(model, chosen, STEPS, on_device=device == CPU)
    ways = {"words_per_batch": _words(task, inputs), "device": device, "finished_mask": True}
    return StaticStep(model, chosen, DeviceInputs(inputs, 0, device), optimisation, **ways), inputs


def _length(inputs, batch):
    return bucket(max(inputs.lengths[index] for index in batch), max(inputs.lengths))


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "max_grad_norm": 0.3}], ids=["plain", "decay, clipping"])
@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_fifty_static_steps_give_the_weights_and_losses_of_eager_ones(task, options):
    chosen = recipe(task, learning_rate=1e-3, **options)
    eager, model = _eager(task, chosen), _model(task, chosen)
    static, inputs = _static(task, chosen, model)
    for number, batch in enumerate(BATCHES[:STEPS]):  # every sixth is incomplete
        eager.step(batch)
        static.load(batch, number)
        static.run(_length(inputs, batch))
        loss, norm = static.latest().tolist()
        assert loss == pytest.approx(eager.counters.final_loss, abs=1e-5)
        assert norm > 0
    before = dict(_model(task, chosen).named_parameters())
    for name, weight in eager.model.named_parameters():
        assert torch.allclose(weight, model.get_parameter(name), atol=1e-5), name
    assert sum(float((weight - before[name]).detach().norm()) for name, weight in model.named_parameters()) > 1


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_half_precision_copies_give_the_gradients_of_autocast_to_the_bit(task):
    chosen = recipe(task, precision="bf16")
    model = _model(task, chosen)
    static, inputs = _static(task, chosen, model)
    static.load(BATCHES[0], 0)
    length = _length(inputs, BATCHES[0])
    loss = static.gradients(length)
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    static.clear()
    static._forward = model.__call__  # the weights themselves, which autocast casts one by one
    static._copies = None
    assert torch.equal(static.gradients(length), loss)
    for name, weight in model.named_parameters():
        assert torch.equal(weight.grad, gradients[name]), name
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients.values())


def test_half_precision_copies_follow_their_weights_and_leave_shared_ones_alone():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(5, 4)
            self.out = torch.nn.Linear(4, 5)
            self.out.weight = self.table.weight
            self.frozen = torch.nn.Linear(4, 4).requires_grad_(False)
            self.dense = torch.nn.Linear(4, 4)

        def forward(self, ids):
            return self.out(self.dense(self.frozen(self.table(ids)).to(self.dense.weight.dtype)).to(torch.float32))

    tied = Tied()
    copies = WorkingCopies(tied, torch.bfloat16)
    assert sorted(copies._by_name) == ["dense.bias", "dense.weight", "out.bias"]
    with torch.no_grad():
        tied.dense.weight.fill_(2.5)
    assert not (copies._by_name["dense.weight"] == 2.5).any()
    copies.refresh()
    assert (copies._by_name["dense.weight"] == 2.5).all()
    assert tied.dense.weight.dtype == torch.float32


@pytest.mark.parametrize("pooling", ["first", "mean", "max", "eos"])
@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_gradients_need_no_number_on_the_host(task, pooling):
    """On "meta", whose tensors hold no numbers, whatever needs one on the host fails."""
    meta = torch.device("meta")
    chosen = recipe(task, dropout=0.1).model_copy(update={"pooling": pooling})
    model = _model(task, chosen).to(meta).train()
    static, _ = _static(task, chosen, model, meta)
    assert static.gradients(16).device.type == "meta"
    missing = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert missing == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_a_whole_step_waits_for_nothing(task, precision):
    chosen = recipe(task, precision=precision)
    model = _model(task, chosen).train()
    static, _ = _static(task, chosen, model)
    static.load(BATCHES[0], 0)
    with Waiting() as waiting:
        static.run(16)
        static.warm_up(16)
    assert waiting.seen == []


def _outlives(weight):
    """Whether something holds on to the node that adds up a weight's gradient, and with it to the stream of a pass."""
    weight.view_as(weight).grad_fn.next_functions[0][0].metadata["seen"] = True
    return "seen" in weight.view_as(weight).grad_fn.next_functions[0][0].metadata


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_node_of_a_pass_outlives_it(precision):
    """On a GPU it would draw the stream of an earlier pass into a recording, which ends that (pytorch#180090)."""
    chosen = recipe("xnli", precision=precision)
    model = _model("xnli", chosen)
    step, inputs = _static("xnli", chosen, model)
    step.load(BATCHES[0], 0)
    step.warm_up(_length(inputs, BATCHES[0]))
    copies = [] if step._copies is None else step._copies._copies
    assert bool(copies) == (precision == "bf16")
    assert not any(map(_outlives, [*model.parameters(), *copies]))
    held = model.classifier.weight.view(-1)
    assert _outlives(model.classifier.weight)
    del held


@pytest.mark.parametrize(
    ("length", "longest", "padded"),
    [(1, 256, 8), (8, 256, 8), (9, 256, 16), (64, 256, 64), (65, 256, 80), (128, 256, 128), (129, 256, 160),
     (250, 256, 256), (250, 250, 250), (3, 5, 5), (300, 512, 320)],
)  # fmt: skip
def test_lengths_are_rounded_up_to_few(length, longest, padded):
    assert bucket(length, longest) == padded


def test_a_dozen_and_a_half_shapes_occur_up_to_256():
    shapes = {bucket(length, 256) for length in range(1, 257)}
    assert len(shapes) == 16
    assert all(bucket(length, 256) >= length for length in range(1, 257))


# ---------------------------------------------------------------- recorded or not


class _Graphs:
    """Stands in for CUDA graphs: what would be replayed is computed."""

    def __init__(self, step, device, *, asks_nothing):
        self.step, self.seconds, self.lengths, self.forgotten = step, 0.0, [], 0

    def run(self, length):
        self.lengths.append(length)
        self.step.run(length)

    def forget(self):
        self.forgotten += 1


@pytest.fixture
def recorded(monkeypatch):
    """A training step that takes the way of graphs on the CPU."""
    plain = Optimisation.__init__

    def on_device(self, model, chosen, steps, *, on_device):
        plain(self, model, chosen, steps, on_device=True)

    monkeypatch.setattr(train_step, "why_eager", lambda *_, **__: None)
    monkeypatch.setattr(train_step, "StepGraphs", _Graphs)
    monkeypatch.setattr(Optimisation, "__init__", on_device)

    def make(task="xnli", **options):
        return _eager(task, recipe(task, learning_rate=1e-3, **options))

    return make


def test_recorded_steps_count_their_tokens_and_end_as_eager_ones(recorded, monkeypatch):
    graphed = recorded()
    for batch in BATCHES[:12]:
        graphed.step(batch)
    assert graphed.mode == "graphs"
    monkeypatch.undo()
    eager = _eager("xnli", recipe("xnli", learning_rate=1e-3))
    for batch in BATCHES[:12]:
        eager.step(batch)
    lengths = [_length(eager.inputs, batch) for batch in BATCHES[:12]]
    assert graphed._graphs.lengths == lengths
    assert len(set(lengths)) == 2
    assert graphed.counters.padded_tokens == 8 * sum(lengths)
    assert graphed.counters.real_tokens == eager.counters.real_tokens
    assert graphed.counters.step == 12
    assert graphed.counters.final_loss == pytest.approx(eager.counters.final_loss, abs=1e-5)
    assert eager.mode == "eager: the device is no CUDA GPU (cpu)"
    for name, weight in eager.model.named_parameters():
        assert torch.allclose(weight, graphed.model.get_parameter(name), atol=1e-5), name


def test_the_curve_of_recorded_steps_comes_with_one_look_and_is_that_of_eager_ones(recorded, monkeypatch):
    graphed, looks = recorded(), []
    monkeypatch.undo()
    look = TrainStep.check
    eager = _eager("xnli", recipe("xnli", learning_rate=1e-3))
    rates = []
    for step in (graphed, eager):
        step.counters.curve = LearningCurve.of(STEPS)
    with monkeypatch.context() as patch:  # as on a GPU, where steps are looked at together
        patch.setattr(TrainStep, "check", lambda self: looks.append(len(self._unchecked)))
        for batch in BATCHES[:32]:
            graphed.step(batch)
            rates.append(float(graphed._optimisation._rate))
    assert looks[-1] == 32
    assert graphed.counters.curve.points.step == []
    look(graphed)
    for batch in BATCHES[:32]:
        eager.step(batch)
    points, others = graphed.counters.curve.points, eager.counters.curve.points
    assert points.step == others.step == [16, 32]
    for name in ("loss", "gradient_norm", "learning_rate"):
        assert getattr(points, name) == pytest.approx(getattr(others, name), rel=1e-4), name
    assert points.learning_rate == pytest.approx([rates[15], rates[31]], rel=1e-5)  # that which the device has used


def test_a_step_that_does_not_fit_is_split_and_the_others_stay_recorded(recorded, monkeypatch, caplog):
    graphed, whole = recorded("pos"), recorded("pos")
    run = _Graphs.run

    def small(self, length):
        if length > 4 and self is graphed._graphs:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        run(self, length)

    monkeypatch.setattr(train_step, "bucket", lambda length, longest: length)
    monkeypatch.setattr(_Graphs, "run", small)
    batches = [[index for index in range(43) if (index % 6 < 2) == short][:8] for short in (True, False, True, False)]
    for batch in batches:
        graphed.step(batch)
        whole.step(batch)
    assert graphed.mode == "graphs"
    assert graphed._graphs.lengths == [4, 4]
    assert graphed._graphs.forgotten == 1
    assert graphed.counters.max_tokens == 32
    assert graphed.counters.batch_splits > 1
    assert "out of memory at step 2: batches of more than 32 subwords are split" in caplog.text
    assert graphed.counters.final_loss == pytest.approx(whole.counters.final_loss, abs=1e-5)
    for name, weight in whole.model.named_parameters():
        assert torch.allclose(weight, graphed.model.get_parameter(name), atol=1e-5), name


def test_what_has_no_deterministic_form_is_looked_for_in_the_step_that_is_recorded(recorded, monkeypatch):
    graphed, before = recorded(), recorded()
    passes = []
    gradients = StaticStep.gradients
    monkeypatch.setattr(StaticStep, "gradients", lambda self, length: passes.append(length) or gradients(self, length))
    assert graphed._nondeterministic(BATCHES[0]) == []
    assert passes == [_length(graphed.inputs, BATCHES[0])]
    for name, weight in before.model.named_parameters():
        assert torch.equal(weight, graphed.model.get_parameter(name)), name
        assert graphed.model.get_parameter(name).grad is None


def test_what_can_not_be_recorded_goes_on_eagerly_and_says_why(recorded, monkeypatch, caplog):
    def refuse(self, length):
        raise NotRecordableError("the encoder draws random numbers on the host (LayerDrop)")

    monkeypatch.setattr(_Graphs, "run", refuse)
    graphed = recorded()
    for batch in BATCHES[:3]:
        graphed.step(batch)
    assert graphed.counters.step == 3
    assert graphed.mode == "eager: the encoder draws random numbers on the host (LayerDrop)"
    assert caplog.text.count("steps are not recorded as CUDA graphs: the encoder draws") == 1


def test_a_resumed_training_goes_on_with_the_state_of_the_optimizer(recorded):
    unbroken, first, second = recorded(), recorded(), recorded()
    for batch in BATCHES[:6]:
        unbroken.step(batch)
    for batch in BATCHES[:3]:
        first.step(batch)
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    second.counters.step = 3
    for batch in BATCHES[3:6]:
        second.step(batch)
    for name, tensor in unbroken.tensors().items():
        assert torch.equal(tensor, second.tensors()[name]), name


def test_a_loss_that_is_not_finite_is_named_with_its_step(recorded, monkeypatch):
    graphed = recorded()
    gradients = StaticStep.gradients

    def explode(self, length):
        return gradients(self, length) * (float("nan") if graphed.counters.step == 2 else 1)

    monkeypatch.setattr(StaticStep, "gradients", explode)
    for batch in BATCHES[:2]:
        graphed.step(batch)
    with pytest.raises(TrainingError, match="the loss is nan at step 3"):
        graphed.step(BATCHES[2])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"device": CPU}, "the device is no CUDA GPU (cpu)"),
        ({"wanted": False}, "graphs were turned off"),
        ({"world": World(0, 2)}, "several processes share each batch"),
        ({"batch_rule": "one length"}, "depends on padding or on neighbours (batches of one length)"),
        ({"precision": "fp16"}, "fp16's gradient scaler"),
        ({}, None),
    ],
)
def test_why_steps_are_not_recorded(change, why):
    given = {"device": torch.device("cuda"), "world": World(), "batch_rule": "any length", "wanted": True, **change}
    chosen = recipe("xnli").model_copy(update={"precision": given.pop("precision", "bf16")})
    reason = why_eager(given["device"], chosen, given["world"], given["batch_rule"], wanted=given["wanted"])
    assert reason is None if why is None else why in reason


def test_numbers_drawn_on_the_host_are_seen():
    before = generators(CPU)
    assert generators(CPU) == before
    for draw in (lambda: torch.rand(1), random.random, np.random.rand):
        before = generators(CPU)
        draw()
        assert generators(CPU) != before
