"""Linear layers in bf16 on a CPU, in few shapes: oneDNN compiles a product anew for each.

It takes some 6 ms to compile a product whose sizes are new, 30 times what one of a small encoder takes, and keeps a
thousand of them. An encoder reads batches of hundreds of sizes, so that under plain autocast the processor mostly
compiles. Here the subwords of a batch are filled up with zeros to one of few numbers; a filled row changes no sum.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

_STEP = 64
"""The rows of a product are filled up to a multiple of this."""

_TYPES = (torch.float32, torch.bfloat16)


class Bf16Linear:
    """``torch.nn.functional.linear`` under bf16 autocast; a weight is cast once in the lifetime of the object."""

    def __init__(self) -> None:
        self._weights: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._last: tuple[torch.Tensor, int, torch.Tensor] | None = None

    @staticmethod
    def applies(x: torch.Tensor, weight: torch.Tensor) -> bool:
        """Whether autocast is on, and would compute this layer in bf16."""
        if not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return False
        return x.dtype in _TYPES and weight.dtype in _TYPES and weight.dim() == 2 and x.numel() > 0

    def __call__(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """X Wᵀ + b, in bf16: ``[..., inputs]`` to ``[..., outputs]``."""
        return _Linear.apply(x, weight, bias, self._filled(x), self._cast(weight))  # type: ignore[no-untyped-call, no-any-return]

    def _filled(self, x: torch.Tensor) -> torch.Tensor:
        """`_fill` of an input; queries, keys and values are made from one and the same."""
        if x.is_inference():  # which can't tell whether it has been changed
            return _fill(x)
        if self._last is None or self._last[0] is not x or self._last[1] != x._version:
            self._last = x, x._version, _fill(x.detach())
        return self._last[2]

    def _cast(self, weight: torch.Tensor) -> torch.Tensor:
        if not isinstance(weight, torch.nn.Parameter):  # computed anew in each pass
            return weight.detach().to(torch.bfloat16)
        if weight not in self._weights:
            self._weights[weight] = weight.detach().to(torch.bfloat16)
        return self._weights[weight]


def _fill(x: torch.Tensor) -> torch.Tensor:
    """``[..., width]`` as bf16 ``[rows, width]``, rows of zeros at the end making them a multiple of `_STEP`."""
    flat = x.reshape(-1, x.shape[-1])
    rows = len(flat)
    missing = -rows % _STEP
    if not missing:
        return flat.to(torch.bfloat16)
    full = torch.empty(rows + missing, flat.shape[1], dtype=torch.bfloat16)
    full[:rows].copy_(flat)
    full[rows:].zero_()
    return full


class _Linear(torch.autograd.Function):
    """The layer and its derivatives; what goes to fp32 tensors is fp32 again."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        filled: torch.Tensor,
        cast: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(filled, cast)
        ctx.types = x.dtype, weight.dtype, None if bias is None else bias.dtype
        ctx.shape = x.shape
        product = functional.linear(filled, cast, None if bias is None else bias.to(torch.bfloat16))
        return product[: x.shape[:-1].numel()].view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        filled, cast = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.types
        outer = _fill(gradient)
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = torch.mm(outer, cast)[: ctx.shape[:-1].numel()].view(ctx.shape).to(of_x)
        if ctx.needs_input_grad[1]:
            to_weight = torch.mm(outer.t(), filled).to(of_weight)
        if ctx.needs_input_grad[2]:
            to_bias = outer.sum(0).to(of_bias)
        return to_x, to_weight, to_bias, None, None
