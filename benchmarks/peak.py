"""What the machine can do at most, and what this process has held at most."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn

SIZE, TRIES = 2048, 5


def now(device: torch.device) -> float:
    """The clock in s, all work that a GPU was given done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def matmul_peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of ``torch.mm`` of two 2048 x 2048 matrices; the best of five.

    Of one where it takes more than ten seconds, as bf16 does on processors that lack it.
    """
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other, product = (torch.ones(SIZE, SIZE, dtype=kind, device=device) for _ in range(3))
    times: list[float] = []
    while len(times) < TRIES and (not times or times[-1] < 10):
        began = now(device)
        torch.mm(one, other, out=product)
        times.append(now(device) - began)
    return 2 * SIZE**3 / min(times)


def memory_peak(device: torch.device) -> float:
    """Bytes: torch's peak on a GPU, else the largest resident size of this process.

    Linux's ``ru_maxrss`` begins with what the parent held when it started this process; ``VmHWM`` does not.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def body_parameters(encoder: nn.Module) -> int:
    """Parameters of an encoder without its embeddings and its pooler: those that every subword is multiplied with."""
    tables = {id(weight) for m in encoder.modules() if isinstance(m, nn.Embedding) for weight in m.parameters()}
    named = encoder.named_parameters()
    return sum(weight.numel() for name, weight in named if id(weight) not in tables and "pooler" not in name)
