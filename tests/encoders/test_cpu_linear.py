"""Linear layers in bf16 on a CPU: what plain autocast computes, in few shapes."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional

from xglue_harness.encoders import cpu_linear
from xglue_harness.encoders.cpu_kernels import training_kernels

CPU = torch.device("cpu")


def _layers(*, bias: bool = True) -> nn.ModuleList:
    torch.manual_seed(3)
    return nn.ModuleList(nn.Linear(24, width, bias=bias) for width in (24, 40, 7))


def _passed(layers, x, weights, kernels):
    """Outputs of the layers, and the gradients of the input and of all parameters."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16), kernels:
        outputs = [layer(x) for layer in layers]
    total = sum((output.float() * w).sum() for output, w in zip(outputs, weights, strict=True))
    return outputs, torch.autograd.grad(total, [x, *layers.parameters()])


@pytest.mark.parametrize("shape", [(3, 21), (64,), (2, 64), (5, 13), (1,)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_plain_autocast(shape, bias):
    layers = _layers(bias=bias)
    x = torch.randn(*shape, 24)
    weights = [torch.randn(*shape, layer.out_features) for layer in layers]
    mine, plain = (_passed(layers, x, weights, kernels) for kernels in (training_kernels(CPU), nullcontext()))
    for a, b in zip(mine[0] + list(mine[1]), plain[0] + list(plain[1]), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert torch.allclose(a.float(), b.float(), rtol=2**-7, atol=2**-7 * float(b.detach().abs().max()))


def test_products_have_few_shapes(monkeypatch):
    seen = set()

    def linear(x, *others):
        seen.add(len(x))
        return functional.linear(x, *others)

    (layer, *_) = _layers()
    monkeypatch.setattr(cpu_linear, "functional", type("Module", (), {"linear": staticmethod(linear)}))
    with torch.autocast("cpu", dtype=torch.bfloat16), training_kernels(CPU):
        for rows in range(1, 200, 7):
            layer(torch.randn(rows, 24)).sum().backward()
    assert seen == {64, 128, 192, 256}


def test_an_input_changed_in_place_is_read_again():
    layer, other, _ = _layers()
    x = torch.ones(4, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16), training_kernels(CPU):
        layer(x)
        x.mul_(3)
        again = other(x)
        expected = other(torch.full((4, 24), 3.0))
    assert torch.equal(again, expected)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16), training_kernels(CPU):
        x = torch.ones(4, 24)
        layer(x)
        x.mul_(3)
        assert torch.equal(other(x), expected)


def test_a_frozen_weight_gets_no_gradient():
    layer = _layers()[0].requires_grad_(False)
    x = torch.randn(5, 24, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16), training_kernels(CPU):
        layer(x).sum().backward()
    assert layer.weight.grad is None
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(5, 24), rtol=0.02, atol=0.02)


def test_without_autocast_a_layer_is_torchs_to_the_bit():
    layer, x = _layers()[0], torch.randn(5, 24)
    with training_kernels(CPU):
        assert torch.equal(layer(x), functional.linear(x, layer.weight, layer.bias))
        with torch.autocast("cpu", dtype=torch.float16):
            assert layer(x).dtype == torch.float16
