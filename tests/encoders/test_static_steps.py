"""Every family's gradients by a static step, with what stands for missing rows, are those of an eager one."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import families
from tests.helpers.training import CPU, pairs, recipe, sentences
from tests.helpers.waits import Waiting
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.device_inputs import DeviceInputs
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.optimisation import Optimisation
from xglue_harness.training.static_step import StaticStep
from xglue_harness.training.train_step import TrainStep

ROWS = {"pos": sentences(16), "xnli": pairs(16)}


@pytest.mark.parametrize("task", ["pos", "xnli"])
@pytest.mark.parametrize("family", families.FAMILIES)
def test_gradients_of_a_static_step_are_those_of_an_eager_one(family, task, checkpoint):
    body = load_backbone(str(checkpoint(family)), CPU)
    chosen = recipe(task, max_length=48).model_copy(update={"pooling": default_pooling(body.config)})
    inputs = tokenised(TASKS[task], ROWS[task], body.tokenizer, "en", 48)
    pad = body.tokenizer.pad_token_id
    model = build_model(body, TASKS[task], chosen)
    ways = {"words_per_batch": 9.0 if task == "pos" else None, "device": CPU}
    eager = TrainStep(model, chosen, inputs, steps=9, pad=pad, world=World(), counters=Counters(), **ways)
    finished = eager._takes_finished_mask()
    batch = [5, 0, 11, 3, 7]
    model.train()
    loss = eager._backward(batch, 1 / (ways["words_per_batch"] or len(batch)))
    expected = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    optimisation = Optimisation(model, chosen, 9, on_device=True)
    static = StaticStep(model, chosen, DeviceInputs(inputs, pad, CPU), optimisation, finished_mask=finished, **ways)
    static.load(batch, 0)
    with Waiting() as waiting:
        static_loss = static.gradients(max(inputs.lengths))
    assert float(static_loss) == pytest.approx(float(loss), abs=1e-5)
    size = max(float(gradient.abs().max()) for gradient in expected.values())
    assert size > 1e-3
    for name, weight in model.named_parameters():
        if name in expected:
            assert torch.allclose(weight.grad, expected[name], atol=1e-5 * max(size, 1)), name
        else:
            assert weight.grad is None, name
    assert not finished or waiting.seen == []
