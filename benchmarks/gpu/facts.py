"""Card, versions, and what the card can do at most: matrix products, copies, launches.

Worker: ``python -m benchmarks.gpu.facts '{"sizes": [4096, 8192]}'``
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.results import LeftOutError, arguments, measure
from benchmarks.workload import Setting
from xglue_harness.encoders.cpu_precision import processor
from xglue_harness.records.cost_meter import now
from xglue_harness.records.provenance import code_sha256, git_revision, versions

_ASKED = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"


def best_seconds(act: Callable[[], Any], device: torch.device, *, repeat: int, tries: int = 5) -> float:
    """Seconds of one call: of the best of some tries, each the mean over ``repeat`` calls after a warm-up."""
    act()
    times = []
    for _ in range(tries):
        began = now(device)
        for _ in range(repeat):
            act()
        times.append((now(device) - began) / repeat)
    return min(times)


def card(device: torch.device) -> tuple[Mapping[str, Any], str]:
    """Names and versions."""
    figures: dict[str, Any] = {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": platform.release(),
        "versions": versions(),
        "cuda of torch": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "revision": git_revision(),
        "code": code_sha256()[:12],
    }
    if device.type == "cpu":
        return {**figures, "card": "none"}, "no CUDA: a rehearsal, all figures are a CPU's"
    properties = torch.cuda.get_device_properties(device)
    figures |= {
        "card": properties.name,
        "memory GB": round(properties.total_memory / 1e9, 1),
        "multiprocessors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "nvidia-smi": nvidia_smi(),
    }
    return figures, properties.name


def nvidia_smi() -> dict[str, str]:
    """Driver, clocks and power as nvidia-smi gives them; empty where it is not there."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    asked = [program, f"--query-gpu={_ASKED}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = [value.strip() for value in done.stdout.split(",")]
    names = _ASKED.split(",")
    return dict(zip(names, values, strict=True)) if len(values) == len(names) else {"said": done.stdout[:200]}


def products(device: torch.device, sizes: Sequence[int], kind: torch.dtype) -> tuple[Mapping[str, Any], str]:
    """TFLOP/s of square matrix products of random numbers, by size, and the best of them."""
    rates = {}
    for size in sizes:
        one, other = (torch.randn(size, size, device=device, dtype=torch.float32).to(kind) for _ in range(2))
        product = torch.empty(size, size, device=device, dtype=kind)
        repeat = max(1, min(50, round(4e12 / size**3))) if device.type == "cuda" else 1

        def multiply(a: torch.Tensor = one, b: torch.Tensor = other, out: torch.Tensor = product) -> None:
            torch.mm(a, b, out=out)

        rates[str(size)] = 2e-12 * size**3 / best_seconds(multiply, device, repeat=repeat)
    return {"TFLOP/s by size": rates, "TFLOP/s": max(rates.values())}, ""


def clocks_at_work(device: torch.device, size: int = 8192, seconds: float = 1.5) -> dict[str, str]:
    """Clocks, power and temperature while the card multiplies; asking takes less time than that."""
    one = torch.randn(size, size, device=device, dtype=torch.float32).bfloat16()
    product = torch.empty_like(one)
    each = best_seconds(lambda: torch.mm(one, one, out=product), device, repeat=20, tries=2)
    for _ in range(round(seconds / each)):
        torch.mm(one, one, out=product)
    said = nvidia_smi()
    now(device)
    return said


def copies(device: torch.device, numbers: int) -> tuple[Mapping[str, Any], str]:
    """Bytes a second that a copy on the device reads and writes, and of copies from pinned and other memory."""
    source = torch.empty(numbers, device=device)
    target = torch.empty_like(source)
    size = source.numel() * source.element_size()
    figures = {"GB/s on the device": 2e-9 * size / best_seconds(lambda: target.copy_(source), device, repeat=5)}
    if device.type == "cuda":
        part = target[: numbers // 16]
        for name, host in (("pinned", torch.empty(len(part), pin_memory=True)), ("pageable", torch.empty(len(part)))):
            seconds = best_seconds(lambda host=host: part.copy_(host, non_blocking=True), device, repeat=3)  # type: ignore[misc]
            figures[f"GB/s from {name} memory"] = 1e-9 * size / 16 / seconds
    return figures, ""


def launches(device: torch.device, count: int = 200) -> tuple[Mapping[str, Any], str]:
    """Host's microseconds to launch a small operation, and what each costs in a graph that holds them all."""
    number = torch.zeros(1, device=device)
    for _ in range(count):
        number.add_(1)
    times = []
    for _ in range(9):
        now(device)
        began = time.perf_counter()
        for _ in range(count):
            number.add_(1)
        times.append((time.perf_counter() - began) / count)
    figures = {"us a launch": 1e6 * statistics.median(times)}
    if device.type == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(count):
                number.add_(1)
        figures["us a kernel in a graph"] = 1e6 * best_seconds(graph.replay, device, repeat=20) / count
    return figures, ""


def graphs_work(device: torch.device) -> tuple[Mapping[str, Any], str]:
    """Whether a captured forward and backward pass can be replayed."""
    if device.type == "cpu":
        raise LeftOutError("needs CUDA")
    weight = torch.randn(64, 64, device=device, requires_grad=True)
    data = torch.randn(8, 64, device=device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            weight.grad = None
            (data @ weight).square().sum().backward()
    torch.cuda.current_stream().wait_stream(stream)
    weight.grad = None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        (data @ weight).square().sum().backward()
    graph.replay()
    torch.cuda.synchronize()
    assert weight.grad is not None
    return {"norm of the gradient": float(weight.grad.norm())}, ""


def our_steps(device: torch.device, steps: int = 6) -> tuple[Mapping[str, Any], str]:
    """How a tiny encoder's steps are taken, and the last loss: what is wrong with all of it shows here, in seconds."""
    from benchmarks.gpu.rig import Rig, losses
    from xglue_harness.harness.demo import build_encoder

    figures = {}
    with tempfile.TemporaryDirectory(prefix="xglue-gpu-") as folder:
        build_encoder(Path(folder))
        rig = Rig.of(Setting(folder, "sample", rows=64, eval_rows=0), device.type)
    for precision in ("fp32", "bf16"):
        recipe = rig.recipe(precision, batch_size=8)
        with rig.training(recipe, steps=steps) as train_step:
            last = losses(train_step, list(islice(rig.batches(recipe), steps)))[-1]
        figures[precision] = f"{train_step.mode}; nondeterministic: {train_step.nondeterministic}; loss {last:.3f}"
    return figures, ""


def main() -> None:
    """Tell all facts."""
    given = arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    measure("facts/card", lambda: card(device))
    measure("facts/bf16 products", lambda: products(device, given["sizes"], torch.bfloat16))
    measure("facts/fp32 products", lambda: products(device, given["sizes"], torch.float32))
    measure("facts/copies", lambda: copies(device, given["numbers"]))
    measure("facts/launches", lambda: launches(device))
    measure("facts/a graph", lambda: graphs_work(device))
    measure("facts/our steps", lambda: our_steps(device))
    if device.type == "cuda":
        measure("facts/clocks at work", lambda: (clocks_at_work(device), ""))


if __name__ == "__main__":
    main()
