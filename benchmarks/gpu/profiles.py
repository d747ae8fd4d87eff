"""Where the time of a step goes: host against device, kernels by kind, gaps.

Worker: ``python -m benchmarks.gpu.profiles '{"side": "ours", "jobs": [...]}'``
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.results import LeftOutError, arguments, measure
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.sides import plain_side
from benchmarks.gpu.trace import summary
from benchmarks.workload import Setting, load
from xglue_harness.records.cost_meter import now

TRACED = 8


class Trace:
    """torch's profiler, from one point of a program to another."""

    def __init__(self, device: torch.device) -> None:
        """Trace what the device does, and which calls asked for it; without a GPU operations stand in for kernels."""
        activity = torch.profiler.ProfilerActivity
        self._device = device
        kind = activity.CUDA if device.type == "cuda" else activity.CPU
        self._profiler = torch.profiler.profile(activities=[kind])

    def begin(self) -> None:
        """Start once the device has nothing to do."""
        now(self._device)
        self._profiler.start()

    def end(self, steps: int) -> dict[str, Any]:
        """Stop once the device is done; the summary of so many steps."""
        now(self._device)
        self._profiler.stop()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            self._profiler.export_chrome_trace(str(path))
            events = json.loads(path.read_text(encoding="utf-8", errors="replace"))["traceEvents"]
        return summary(events, steps)


class Watching:
    """Traces some steps of a training, from the end of step ``first`` on."""

    def __init__(self, device: torch.device, first: int) -> None:
        """Choose the steps."""
        self._trace, self._first, self._device = Trace(device), first, device
        self._host: list[float] = []
        self.figures: dict[str, Any] = {}

    def ended(self, step: int) -> None:
        """Start, or stop, the trace."""
        if step == self._first:
            self._trace.begin()
        if step == self._first + TRACED:
            self.figures = self._trace.end(TRACED)


def ours(setting: Setting, precision: str, *, graphs: bool) -> tuple[dict[str, Any], str]:
    """Steps of `TrainStep` by themselves: times without the profiler, then a trace."""
    rig = Rig.of(setting, "cuda" if torch.cuda.is_available() else "cpu")
    device = rig.backbone.device
    recipe = rig.recipe(precision, batch_size=setting.batch_size)
    with rig.training(recipe, steps=10_000, graphs=graphs) as train_step:
        batches = list(islice(rig.batches(recipe), rig.steps_per_epoch(recipe)))
        for batch in batches:  # all shapes are met
            train_step.step(batch)
        train_step.check()
        host, traced = [], batches[:TRACED]  # the same ones throughout: others have other lengths
        for batch in traced:
            now(device)
            began = time.perf_counter()
            train_step.step(batch)
            host.append(time.perf_counter() - began)
        again = max(1, len(batches) // len(traced))
        began = now(device)
        for batch in traced * again:
            train_step.step(batch)
        wall = (now(device) - began) / (again * len(traced))
        train_step.check()
        trace = Trace(device)
        trace.begin()
        for batch in traced:
            train_step.step(batch)
        figures = trace.end(len(traced))
        mode = train_step.mode
    if device.type == "cpu":
        figures = {"device ms": 1000 * wall, "ms by kind": {}}
    figures |= {"host ms": 1000 * statistics.median(host), "wall ms": 1000 * wall, "mode": mode}
    if not figures["device ms"]:  # CUPTI of CUDA 13.0 is not to be relied on where graphs are replayed
        return figures, f"{mode}; the trace has no kernels"
    return figures | {"device works of wall": figures["device ms"] / figures["wall ms"]}, mode


def plain(setting: Setting) -> tuple[dict[str, Any], str]:
    """Steps of the `Trainer` as it is."""
    if not torch.cuda.is_available():
        raise LeftOutError("needs CUDA")
    side = plain_side(setting, {})
    watching = Watching(side.device, first=20)
    rows, _ = load(setting)
    side.fine_tune(rows, (20 + TRACED + 2) * setting.batch_size / len(rows), watching)
    return watching.figures, ""


def main() -> None:
    """Profile all jobs."""
    given = arguments()
    for job in given["jobs"]:
        setting = Setting(**job["setting"])
        if given["side"] == "ours":
            measure(job["key"], lambda s=setting: ours(s, s.precision, graphs=given["graphs"]))  # type: ignore[misc]
        else:
            measure(job["key"], lambda s=setting: plain(s))  # type: ignore[misc]


if __name__ == "__main__":
    main()
