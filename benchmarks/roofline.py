"""What the machine can do at most, and what a model asks of it."""

from __future__ import annotations

import torch
from torch import nn

from xglue_harness.records.cost_meter import now

SIZE, TRIES = 2048, 5


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


def body_parameters(encoder: nn.Module) -> int:
    """Parameters of an encoder without its embeddings and its pooler: those that every subword is multiplied with."""
    tables = {id(weight) for m in encoder.modules() if isinstance(m, nn.Embedding) for weight in m.parameters()}
    named = encoder.named_parameters()
    return sum(weight.numel() for name, weight in named if id(weight) not in tables and "pooler" not in name)
