"""The device that an encoder computes on: its arithmetic, and its memory."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The arithmetic of a recipe's precision; weights and the optimizer's state stay in fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a real lack of memory, on a GPU or on the CPU, and nothing else."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def free_memory(device: torch.device) -> None:
    """Give back what a failed attempt held."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
