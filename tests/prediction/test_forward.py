"""The passes of a prediction wait for nothing, and notice at their end what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.training import CPU, backbone, pairs, recipe, sentences
from tests.helpers.waits import Waiting
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.batching import budget_batches
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import TrainingError
from xglue_harness.prediction.forward import ForwardPass
from xglue_harness.prediction.hidden_states import HiddenStateRecorder
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.training.model import build_model

ROWS = {"pos": sentences(20), "xnli": pairs(20)}
META = torch.device("meta")
"""Whose tensors hold no numbers: whatever looks at one fails."""


def _seen(task, device, *, finished_masks):
    """What the device is asked while all batches of a task are computed; some states are wanted."""
    body = backbone()
    inputs = tokenised(TASKS[task], ROWS[task], body.tokenizer, "en", 32)
    recorder = HiddenStateRecorder([[0, 7]])
    recorder.begin([len(inputs)], np.arange(len(inputs)))
    model = build_model(body, TASKS[task], recipe(task)).to(device).eval()
    forward = ForwardPass(model, inputs, 0, device, recorder)
    forward._finished_masks = finished_masks  # as `probe` finds out, which has to wait
    with torch.inference_mode(), Waiting() as waiting:
        for batch in budget_batches(np.array(inputs.lengths), 40):
            forward.compute(batch)
    return waiting.seen


@pytest.mark.parametrize("task", ROWS)
def test_nothing_is_asked_of_the_device(task):
    assert _seen(task, META, finished_masks=True) == []
    assert _seen(task, CPU, finished_masks=True) == []
    assert _seen(task, CPU, finished_masks=False), "the encoder asks nothing by any mask: this test shows nothing"


@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_an_error(task, value, monkeypatch):
    body, forward = backbone(), TransferModel.forward
    part = prepare(body, TASKS[task], recipe(task), ROWS[task], "en")
    model = build_model(body, TASKS[task], recipe(task))
    spoilt = [0]

    def spoiling(self, **tensors):
        output = forward(self, **tensors)
        row = int(tensors["attention_mask"].sum(1).argmin())  # whose last places are padded
        scores = output["logits"][row]
        (scores[spoilt[0]] if self.tagging else scores)[1] = value
        return output

    monkeypatch.setattr(TransferModel, "forward", spoiling)
    with pytest.raises(TrainingError, match=r"scores that are NaN or infinite.*Try precision fp32"):
        predict(model, body, recipe(task), [part], progress=False)
    if task == "pos":
        spoilt[0] = -1
        predict(model, body, recipe(task), [part], progress=False)  # padding may be anything


def test_states_of_equal_inputs_are_kept_for_each_of_them():
    body, spec = backbone(), TASKS["pos"]
    rows = sentences(6)
    parts = [prepare(body, spec, recipe(), share, "en") for share in (rows, [rows[4], rows[2]])]
    model = build_model(body, spec, recipe())
    recorder = HiddenStateRecorder([[1, 2], [0, 1]])
    [first, second] = predict(model, body, recipe(), parts, progress=False, recorder=recorder)
    assert (first.duplicates, second.duplicates) == (0, 2)
    assert [sorted(states) for states in recorder.states] == [[1, 2], [0, 1]]
    assert torch.equal(recorder.states[0][2], recorder.states[1][1])
    alone = HiddenStateRecorder([[0]])
    predict(model, body, recipe(), [parts[1]], progress=False, recorder=alone)
    torch.testing.assert_close(recorder.states[1][0], alone.states[0][0], atol=1e-5, rtol=1e-5)
    assert not torch.equal(recorder.states[1][0], recorder.states[1][1])
