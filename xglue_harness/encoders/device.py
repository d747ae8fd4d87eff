"""The device that an encoder computes on: its arithmetic, its memory, its random numbers."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """The arithmetic of a recipe's precision in a forward pass; weights and the optimizer's state stay in fp32.

    Attention on a GPU is not cuDNN's.
    """
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    narrow = nullcontext() if half is None else torch.autocast(device.type, dtype=half)
    with fp32_products(precision), _without_cudnn_attention(device), narrow:
        yield


@contextmanager
def _without_cudnn_attention(device: torch.device) -> Iterator[None]:
    """Attention by other kernels than cuDNN's, which torch 2.11 takes first on an H100.

    They plan anew for every shape of a batch, up to a second each (github.com/modelscope/FunASR/issues/3704), and round
    the rate of dropout to sixteenths (github.com/pytorch/pytorch/pull/174245).
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


@contextmanager
def fp32_products(precision: str) -> Iterator[None]:
    """How a GPU multiplies matrices of fp32 numbers, forwards and backwards: exactly, whatever the process allows.

    With the precision tf32 they are rounded to 10 bits first, as NVIDIA's tensor cores take them.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


_LACKING = ("DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says where it is not its own allocator for GPUs that lacks memory: a graph's launch, cuBLAS, the host."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a real lack of memory, on a GPU or on the CPU, and nothing else."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _LACKING)
    )


def free_memory(device: torch.device) -> None:
    """Give back what a failed attempt held."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Put all random generators back at the end."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)
