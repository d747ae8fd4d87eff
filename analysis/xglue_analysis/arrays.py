"""The gate of all functions that take numbers: tensors as they are, arrays and nested lists as tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import torch

from xglue_analysis.errors import AnalysisError

Array: TypeAlias = Any
"""A tensor, a numpy array or whatever numpy makes one of, or nested lists of numbers."""


def tensor(value: Array, name: str) -> torch.Tensor:
    """Numbers as a tensor.

    Args:
        value: the numbers.
        name: how an error names them.

    Returns:
        A tensor of the same shape and floating type; float64 for whole numbers, and for lists.

    Raises:
        AnalysisError: where these are no real numbers, rows differ in length, or values are masked.
    """
    if isinstance(value, list | tuple) and not all(isinstance(part, int | float | np.generic) for part in value):
        parts = [tensor(part, name) for part in value]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(dict.fromkeys(str(tuple(part.shape)) for part in parts))
            raise AnalysisError(f"{name}: parts of different shapes ({shapes}) are no array")
        return torch.stack(parts)
    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.is_quantized or value.layout != torch.strided:
            raise AnalysisError(f"{name}: a tensor of {value.dtype}, {value.layout}; expected real numbers, dense")
        return value if value.is_floating_point() else value.double()
    if np.ma.is_masked(value):
        raise AnalysisError(f"{name}: some values are masked: fill them, or leave their rows out")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise AnalysisError(f"{name}: {_what(value)} is no array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise AnalysisError(f"{name}: {_what(value)} of {array.dtype}; expected real numbers: a tensor or an array")
    kept = array.dtype.newbyteorder("=") if array.dtype.kind == "f" and array.dtype.itemsize <= 8 else np.float64
    # torch takes no negative strides, and warns of arrays that can't be written: those are copied.
    return torch.from_numpy(np.require(array, dtype=kept, requirements=["C", "W"]))


def layers(value: Iterable[Array], name: str) -> list[torch.Tensor]:
    """Layers as `tensor` has them, each ``[n, d]``.

    Args:
        value: a sequence of them, or one array ``[layers, n, d]``.
        name: how an error names them.

    Raises:
        AnalysisError: where these are none.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise AnalysisError(f"{name}: {_what(value)}; expected layers, each an array [n, d]")
    if getattr(value, "ndim", 3) != 3:
        raise AnalysisError(f"{name}: one array of shape {tuple(value.shape)}; expected layers: give [array]")  # type: ignore[attr-defined]
    return [tensor(layer, f"layer {place} of {name}") for place, layer in enumerate(value)]


def _what(value: object) -> str:
    return f"a value of type {type(value).__name__}"
