"""Gradients are summed over processes while others are still computed; a lack of memory in one repeats the step."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from tests.helpers.torchrun import two_processes
from tests.training.test_train_step import _train_step
from xglue_harness.training import gradient_sync
from xglue_harness.training.distributed import World
from xglue_harness.training.gradient_sync import GradientSync, _Bucket, _buckets

CPU = torch.device("cpu")


def _parameters(*sizes):
    return [torch.nn.Parameter(torch.ones(size)) for size in sizes]


@pytest.mark.processes
def test_two_processes_sum_their_gradients():
    done = two_processes(["-m", "tests.helpers.summing_ranks"])
    assert done.stdout.count("all is well") == 2


def test_messages_are_of_a_bounded_size(monkeypatch):
    monkeypatch.setattr(gradient_sync, "_BUCKET", 10)
    sizes = [[p.numel() for p in bucket.parameters] for bucket in _buckets(_parameters(4, 6, 1, 30, 2))]
    assert sizes == [[4, 6], [1], [30], [2]]


def test_a_gradient_begins_where_a_gpu_reads_fast_and_lies_as_its_parameter_does():
    turned = torch.nn.Parameter(torch.arange(12.0).view(3, 4).t())
    bucket = _Bucket([*_parameters(3), turned, *_parameters(40, 5)])
    gradients = [torch.randn(p.shape) for p in bucket.parameters]
    for parameter, gradient in zip(bucket.parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    bucket.parameters[3].grad = None
    message = bucket.pack(torch.tensor([7.0]))
    assert len(message) == bucket.size + 1
    assert message[-1] == 7
    assert all(parameter.grad is None for parameter in bucket.parameters)
    bucket.unpack(message, [1, 1, 2, 0])
    for parameter, gradient in zip(bucket.parameters[:3], gradients, strict=False):
        assert torch.equal(parameter.grad, gradient)
        assert parameter.grad.stride() == parameter.stride()
        assert parameter.grad.storage_offset() % 32 == 0
    assert bucket.parameters[3].grad is None


class _Twins(World):
    """Two processes that do the same, in one; `sent` has all messages."""

    sent: ClassVar[list[torch.Tensor]] = []

    def start_sum(self, tensor):
        self.sent.append(tensor.clone())
        tensor.mul_(2)
        return SimpleNamespace(wait=lambda: True)

    def sum_on_hosts(self, tensor):
        tensor.mul_(2)


def test_a_bucket_that_once_lacked_a_gradient_goes_last_and_is_laid_out_as_before(monkeypatch):
    monkeypatch.setattr(gradient_sync, "_BUCKET", 1)
    monkeypatch.setattr(_Twins, "sent", sent := [])
    parameters = _parameters(1, 5, 3, 40)
    unused = parameters[2]
    sync = GradientSync(parameters, _Twins(0, 2), CPU)

    def compute():
        loss = sum((p.square().sum() for p in parameters if p is not unused), torch.zeros(()))
        loss.backward()
        return loss.detach()

    for order in ([40, 0, 5, 2], [40, 5, 0, 2], [40, 5, 0, 2]):  # numbers that are not 0: gradients, at last the loss
        sent.clear()
        assert sync.run(compute, passes=1, hopeless=None) == 2 * 46
        assert [int(message.count_nonzero()) for message in sent] == order
        assert [len(message) for message in sent] == [64, 32, 32, 33]
        assert unused.grad is None
        for parameter in parameters:
            if parameter is not unused:
                assert parameter.grad.tolist() == [4.0] * len(parameter)
            parameter.grad = None


def test_one_process_alone_pays_nothing():
    train_step = _train_step("xnli")
    assert train_step._sync is None
    assert not any(p._post_accumulate_grad_hooks for p in train_step.model.parameters())


def test_a_training_that_is_over_leaves_nothing_behind():
    sync = GradientSync(parameters := _parameters(3), World(0, 2), CPU)
    gone = weakref.ref(sync), weakref.ref(parameters[0])
    parameters[0].sum().backward()  # hooks of a model in use elsewhere do nothing
    del sync, parameters
    gc.collect()
    assert [one() for one in gone] == [None, None]
