"""Dropout and attention for training on a CPU.

torch draws a dropout mask number by number (about 8 ns each), and its attention with dropout runs as a chain of general
operations: on a CPU that was a sixth of a training step of short inputs and half of one of long ones. Here a mask is
drawn as 16 random bits an element, the probability is rounded to a multiple of 2^-16 and the scale is exact for the
rounded one, and attention is one operation with a backward pass of its own. Under bf16 autocast linear layers are those
of `cpu_linear`, dropout stays in bf16, and attention is computed in fp32 from inputs that are bf16: for the short
inputs that most are, that is no slower. On a GPU torch's own kernels are used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xglue_harness.encoders.cpu_linear import Bf16Linear

_LEVELS = 1 << 16


def training_kernels(device: torch.device) -> AbstractContextManager[Any]:
    """What a forward pass in training runs under; its masks follow from torch's random state."""
    return _CpuKernels() if device.type == "cpu" else nullcontext()


def evaluation_kernels(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """What all forward passes of an evaluation run under; weights are cast once, and must not change meanwhile."""
    return _CpuKernels() if device.type == "cpu" and precision == "bf16" else nullcontext()


class _CpuKernels(TorchFunctionMode):
    """Stands in for `linear`, `dropout` and `scaled_dot_product_attention` of ``torch.nn.functional``."""

    def __init__(self) -> None:
        super().__init__()
        self._masks: _Masks | None = None
        self._linear = Bf16Linear()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.linear and len(args) > 1 and self._linear.applies(*args[:2]):
            return self._linear(*args, **kwargs)
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self, input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        if inplace or not training or not _can_drop(p) or not input.is_floating_point():
            return functional.dropout(input, p, training, inplace)
        return _Dropout.apply(input, self._draw(input.numel()), p)  # type: ignore[no-untyped-call, no-any-return]

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        plain = query.dim() == 4 and query.shape[:2] == key.shape[:2] == value.shape[:2]
        same_type = query.dtype == key.dtype == value.dtype and query.dtype in (torch.float32, torch.bfloat16)
        learned_mask = attn_mask is not None and attn_mask.requires_grad
        if not (plain and same_type and _can_drop(dropout_p)) or is_causal or enable_gqa or learned_mask:
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            lowest = torch.finfo(torch.float32).min
            attn_mask = torch.zeros(attn_mask.shape).masked_fill_(~attn_mask, lowest)
        bits = self._draw(query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2])
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        return _Attention.apply(query, key, value, attn_mask, bits, dropout_p, scale)  # type: ignore[no-untyped-call, no-any-return]

    def _draw(self, count: int) -> torch.Tensor:
        if self._masks is None:
            self._masks = _Masks()
        return self._masks.draw(count)


def _can_drop(p: float) -> bool:
    return 0 < round(p * _LEVELS) < _LEVELS


class _Masks:
    """Random bits from numpy's SFC64, seeded by torch's generator, so that a resumed training draws the same."""

    def __init__(self) -> None:
        seed = int(torch.randint(1 << 62, (), dtype=torch.int64))
        self._bits = np.random.SFC64(seed)

    def draw(self, count: int) -> torch.Tensor:
        """``[count]`` int16, uniform."""
        words = self._bits.random_raw((count + 3) // 4)  # half the time of numpy's Generator.integers
        return torch.from_numpy(words.view(np.int16))[:count]


def _kept(bits: torch.Tensor, p: float, like: torch.Tensor) -> torch.Tensor:
    """1 where an element is kept, 0 where it is dropped; contiguous, of the shape and type of ``like``."""
    threshold = round(p * _LEVELS) - _LEVELS // 2
    return torch.ge(bits.view(like.shape), threshold, out=torch.empty(like.shape, dtype=like.dtype))


def _rescale(p: float) -> float:
    return 1 / (1 - round(p * _LEVELS) / _LEVELS)


class _Dropout(torch.autograd.Function):
    """Zero with probability p, the rest times 1 / (1 - p) (Srivastava et al. 2014)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, bits: torch.Tensor, p: float) -> torch.Tensor:
        ctx.save_for_backward(bits)
        ctx.p = p
        return _kept(bits, p, x).mul_(x).mul_(_rescale(p))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (bits,) = ctx.saved_tensors
        return _kept(bits, ctx.p, gradient).mul_(gradient).mul_(_rescale(ctx.p)), None, None


class _Attention(torch.autograd.Function):
    """dropout(softmax(scale Q Kᵀ + mask)) V for ``[batch, heads, length, width]`` (Vaswani et al. 2017, equation 1)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        bits: torch.Tensor,
        p: float,
        scale: float,
    ) -> torch.Tensor:
        batch, heads, length, _ = query.shape
        q, k, v = (_side_by_side(tensor) for tensor in (query, key, value))
        scores = torch.empty(batch * heads, length, key.shape[2])
        torch.baddbmm(scores, q, k.transpose(1, 2), beta=0, alpha=scale, out=scores)
        if mask is not None:
            scores.view(batch, heads, length, -1).add_(mask)
        shares = torch.softmax(scores, dim=-1, out=scores)
        ctx.save_for_backward(q, k, v, shares, bits)
        ctx.p, ctx.scale, ctx.heads, ctx.type = p, scale, heads, query.dtype
        kept = _kept(bits, p, shares).mul_(shares)
        return _apart(torch.bmm(kept, v).mul_(_rescale(p)), heads, query.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, shares, bits = ctx.saved_tensors
        outer = _side_by_side(gradient) * _rescale(ctx.p)
        kept = _kept(bits, ctx.p, shares)
        to_shares = torch.bmm(outer, v.transpose(1, 2)).mul_(kept)
        to_value = torch.bmm(kept.mul_(shares).transpose(1, 2), outer)
        to_scores = torch._softmax_backward_data(to_shares, shares, -1, shares.dtype)
        to_query = torch.baddbmm(q, to_scores, k, beta=0, alpha=ctx.scale)
        to_key = torch.baddbmm(k, to_scores.transpose(1, 2), q, beta=0, alpha=ctx.scale)
        gradients = (_apart(tensor, ctx.heads, ctx.type) for tensor in (to_query, to_key, to_value))
        return (*gradients, None, None, None, None)


def _side_by_side(tensor: torch.Tensor) -> torch.Tensor:
    """``[batch, heads, length, width]`` as fp32 ``[batch * heads, length, width]``: one product a head."""
    return tensor.to(torch.float32, memory_format=torch.contiguous_format).reshape(-1, *tensor.shape[2:])


def _apart(tensor: torch.Tensor, heads: int, dtype: torch.dtype) -> torch.Tensor:
    """The way back; in memory a subword's heads are neighbours, as its next layer wants them."""
    tensor = tensor.view(-1, heads, *tensor.shape[1:]).transpose(1, 2)
    return tensor.to(dtype, memory_format=torch.contiguous_format).transpose(1, 2)
