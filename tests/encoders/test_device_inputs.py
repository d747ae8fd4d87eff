"""Batches that are gathered on the device are those that the host puts together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.helpers import tokenizers
from tests.helpers.training import pairs, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.device_inputs import DeviceInputs
from xglue_harness.encoders.heads import IGNORED
from xglue_harness.encoders.inputs import collate
from xglue_harness.encoders.tokenising import tokenised

CPU = torch.device("cpu")
PAD = 0


def _inputs(task):
    rows = {"pos": sentences(12), "xnli": pairs(12)}[task]
    return tokenised(TASKS[task], rows, tokenizers.bert(), "en", 32).told(5)


def _widened(tensors, length):
    fill = {"input_ids": PAD, "labels": IGNORED}
    return {
        name: tensor
        if tensor.dim() == 1
        else torch.nn.functional.pad(tensor, (0, length - tensor.shape[1]), value=fill.get(name, 0))
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_a_batch_is_that_of_the_host_and_wider(task, segments):
    inputs = _inputs(task) if segments else replace(_inputs(task), segments=None)
    assert (inputs.segments is not None) == segments
    batch = [3, 0, 11, 3, 7]
    length = max(inputs.lengths[index] for index in batch) + 3
    gathered = DeviceInputs(inputs, PAD, CPU).batch(torch.tensor(batch), length)
    expected = _widened(collate(inputs, batch, PAD), length)
    assert gathered.keys() == expected.keys()
    for name, tensor in expected.items():
        assert gathered[name].dtype == torch.long
        assert torch.equal(gathered[name], tensor), name


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_where_no_input_stands_nothing_is_learnt(task):
    inputs = _inputs(task)
    gathered = DeviceInputs(inputs, PAD, CPU).batch(torch.tensor([4, -1]), 16)
    assert gathered["attention_mask"][1].tolist() == [1] + [0] * 15
    assert (gathered["labels"][1] == IGNORED).all()
    assert (gathered["labels"][0] != IGNORED).any()


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_the_device_is_asked_for_nothing(task):
    meta = torch.device("meta")  # whose tensors hold no numbers: whatever looks at one fails
    gathered = DeviceInputs(_inputs(task), PAD, meta).batch(torch.empty(5, dtype=torch.long, device=meta), 16)
    assert {name: tensor.device.type for name, tensor in gathered.items()} == dict.fromkeys(gathered, "meta")
    assert gathered["input_ids"].shape == (5, 16)
