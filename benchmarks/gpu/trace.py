"""What a trace of torch's profiler says: kernel time by kind, gaps, launches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KINDS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("attention", ("flash", "fmha", "attention", "sdpa", "cudnn_generated")),
    ("matmul", ("gemm", "cutlass", "xmma", "nvjet", "cublas", "splitk", "gemv", "sm90_", "sm80_")),
    ("casts and copies", ("copyfunctor",)),  # of lists of tensors, as the optimizer's kernels
    ("optimizer and clipping", ("adam", "multi_tensor_apply", "multitensorapply")),
    ("compiled", ("triton",)),
    ("norm", ("layer_norm", "layernorm", "gammabeta")),
    ("dropout", ("dropout",)),
    ("softmax and loss", ("softmax", "nll_loss", "cross_entropy")),
    ("embedding", ("embedding", "index", "gather", "scatter", "sort", "radix", "cub::")),
    ("casts and copies", ("copy", "memcpy", "memset", "catarray")),
    ("reductions", ("reduce",)),
    ("elementwise", ("elementwise", "vectorized", "unrolled")),
)
"""Parts of kernels' names, lower case; the first kind that fits counts."""

_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_CALLS = ("cuda_runtime", "cuda_driver")

_SKEW = 1000
"""Microseconds that the device's clock may be before the host's. CUPTI of CUDA 13.0 gives some records the time of
another clock, hours off (github.com/pytorch/pytorch/issues/192021)."""


def kind_of_kernel(name: str) -> str:
    """What a kernel does, by its name."""
    lower = name.lower()
    return next((kind for kind, parts in KINDS if any(part in lower for part in parts)), "other")


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of some spans."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def summary(events: Sequence[Mapping[str, Any]], steps: int, top: int = 12) -> dict[str, Any]:
    """Figures of a trace in Chrome's format.

    Args:
        events: its ``traceEvents``; times in microseconds.
        steps: that were traced.
        top: kernels that are named.

    Returns:
        Of a step, in ms: device time in all and by kind, and the gaps between kernels; kernels, launches, graphs and
        waits; the share of the time from the first kernel to the last in which the device works.
    """
    whole = [event for event in events if event.get("ph") == "X"]
    asked = [event for event in whole if event.get("cat") in _CALLS]
    begun = min((float(event["ts"]) for event in asked), default=float("-inf")) - _SKEW
    device = [event for event in whole if event.get("cat") in _DEVICE and float(event["ts"]) >= begun]
    calls = Counter(event["name"] for event in asked)
    spans = [(float(event["ts"]), float(event["ts"]) + float(event["dur"])) for event in device]
    busy = covered(spans)
    window = max((stop for _, stop in spans), default=0.0) - min((start for start, _ in spans), default=0.0)
    kinds: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for event in device:
        kind = "casts and copies" if event["cat"] != "kernel" else kind_of_kernel(event["name"])
        kinds[kind] += event["dur"]
        names[event["name"][:120]] += event["dur"]

    def per_step(*parts: str) -> float:
        return sum(number for name, number in calls.items() if any(part in name for part in parts)) / steps

    return {
        "device ms": busy / 1000 / steps,
        "gaps ms": (window - busy) / 1000 / steps,
        "device works": busy / window if window else 0.0,
        "kernels": len(device) / steps,
        "launches": per_step("LaunchKernel"),
        "graph launches": per_step("GraphLaunch"),
        "waits": per_step("Synchronize"),
        "ms by kind": {kind: time / 1000 / steps for kind, time in kinds.most_common()},
        "ms by kernel": {name: time / 1000 / steps for name, time in names.most_common(top)},
    }
