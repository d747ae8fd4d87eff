"""Speed of one side: training steps after all shapes were met, start-up, memory, evaluation.

Worker: ``python -m benchmarks.gpu.speed '{"side": "ours", "name": ..., "jobs": [...]}'``
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu.results import arguments, first_line, measure
from benchmarks.gpu.sides import OnDevice, best_options, plain_side
from benchmarks.roofline import body_parameters
from benchmarks.workload import Setting, load
from xglue_harness.records.cost_meter import memory_peak, now

EPOCHS = 3
"""The last one is measured. In two others all lengths of a batch are met, but for a rare one."""

DROPPABLE = ("torch_compile", "dataloader_persistent_workers", "dataloader_num_workers", "accelerator_config")
"""Options of the `Trainer` at its best that go, one after the other, where it fails."""


class Marks:
    """The clock at the end of some steps, all work done.

    Attributes:
        recorded: seconds that graphs have taken to record so far, where they do.
    """

    def __init__(self, device: torch.device, steps_per_epoch: int) -> None:
        """The last epoch is measured in two halves, from the end of its first step on."""
        self._device, self.steps_per_epoch, self.recorded, self._before = device, steps_per_epoch, 0.0, 0.0
        self._first = (EPOCHS - 1) * steps_per_epoch + 1
        self._last = EPOCHS * steps_per_epoch
        self._middle = (self._first + self._last) // 2
        self.times: dict[int, float] = {}
        self.began = now(device)

    def ended(self, step: int) -> None:
        """Wait and look at the clock where that is wanted."""
        if step in (1, self.steps_per_epoch, self._first, self._middle, self._last):
            self.times[step] = now(self._device)
        if step == self._first:
            self._before = self.recorded

    def figures(self, tokenising: float) -> dict[str, float]:
        """Steps a second, and what came before the steps could be as fast, but for so many seconds of tokenising."""
        first, middle, last = (self.times[step] for step in (self._first, self._middle, self._last))
        rate = (self._last - self._first) / (last - first)
        halves = [(self._middle - self._first) / (middle - first), (self._last - self._middle) / (last - middle)]
        began = self.began + tokenising
        return {
            "steps/s": rate,
            "ms a step": 1000 / rate,
            "steps/s, slower half": min(halves),
            "steps/s, faster half": max(halves),
            "s of recording while measured": self.recorded - self._before,
            "s to the first step": self.times[1] - began,
            "s of start-up": self.times[self.steps_per_epoch] - began - self.steps_per_epoch / rate,
        }


def run(side: Any, setting: Setting, epochs: float) -> tuple[dict[str, Any], str]:
    """Train, evaluate; figures and a note."""
    rows, tests = load(setting)
    device = side.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    marks = Marks(device, setting.steps(len(rows), 1))
    side.fine_tune(rows, epochs, marks)
    figures: dict[str, Any] = marks.figures(side.tokenising_seconds)
    tokens = side.real_tokens / marks.steps_per_epoch * figures["steps/s"]
    body = body_parameters(side.encoder())
    figures |= {
        "real tokens/s": tokens,
        "TFLOP/s": 6e-12 * body * tokens,
        "peak memory GB": (memory_peak(device) or 0) / 1e9,
        "steps measured": marks.steps_per_epoch - 1,
        "real tokens a step": side.real_tokens / marks.steps_per_epoch,
    }
    if device.type == "cuda":
        figures["reserved memory GB"] = torch.cuda.max_memory_reserved() / 1e9
    note = ""
    if isinstance(side, OnDevice):
        record = side.record.model_dump(mode="json")
        figures["peak memory GB"] = (side.record.cost.peak_memory_mb or 0) / 1e3  # our meters set torch's mark back
        figures["record"] = {key: value for key, value in record.items() if key not in ("environment", "epochs")}
        figures["mode"] = side.record.mode
        if side.record.recording_cost is not None:
            figures["s of recording"] = side.record.recording_cost.seconds
        late = figures["s of recording while measured"]
        note = side.record.mode + (f"; {late:.1f} s of what is measured went into recording" if late else "")
    if tests:
        side.evaluate({language: rows.select(range(min(32, len(rows)))) for language, rows in tests.items()})
        evaluated = side.evaluate(tests)
        figures |= {
            "rows/s evaluated": evaluated.sentences / evaluated.seconds,
            "rows evaluated": evaluated.sentences,
            "accuracy": evaluated.accuracy,
        }
    return figures, note


def ours(setting: Setting, given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Our side."""
    return run(OnDevice(setting, graphs=given["graphs"], compiled=given["compile"]), setting, EPOCHS)


def plain(setting: Setting, given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The `Trainer`: as it is, or at its best, without the options that fail here."""
    options: dict[str, Any] = {}
    if given["best"]:
        options = best_options() | ({"torch_compile": True} if given["compile"] else {})
    dropped: list[str] = []
    while True:
        try:
            figures, _ = run(plain_side(setting, options, multiple=8 if given["best"] else None), setting, EPOCHS)
            return {**figures, "options": options, "dropped": dropped}, "; ".join(dropped)
        except Exception as error:
            last = next((name for name in DROPPABLE if name in options), None)
            if last is None:
                raise
            options = {name: value for name, value in options.items() if name != last}
            dropped.append(f"{last} dropped: {first_line(error)}")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def main() -> None:
    """Measure all jobs of a side, one after the other."""
    given = arguments()
    side = {"ours": ours, "Trainer": plain}[given["side"]]
    for job in given["jobs"]:
        setting = Setting(**job["setting"])
        began = time.monotonic()

        def act(setting: Setting = setting, began: float = began) -> tuple[dict[str, Any], str]:
            figures, note = side(setting, given)
            return {**figures, "s in all": time.monotonic() - began}, note

        if not measure(job["key"], act) and setting.eval_rows != 0:
            measure(job["key"], lambda setting=setting: side(replace(setting, eval_rows=0), given))  # type: ignore[misc]
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
