"""What a training has before it: a line for the log once its first steps have shown how fast it is."""

from __future__ import annotations

import logging

import torch

from xglue_harness.bars import bars_aside
from xglue_harness.records.cost_meter import PeakMeter, now

logger = logging.getLogger(__name__)

FIRST, LAST = 5, 20
"""Steps between which the time is taken: the first ones also load, compile and record."""


class Outlook:
    """Says once how many steps a training takes, about how long they will be, and how much memory they need.

    Args:
        title: of the training.
        steps: that it takes in all.
        device: that it runs on.
    """

    def __init__(self, title: str, steps: int, device: torch.device) -> None:
        self._title, self._steps, self._device = title, steps, device
        self._taken = 0
        self._began = 0.0

    def after(self, step: int, memory: PeakMeter) -> None:
        """Note that a step was taken.

        Args:
            step: its number in the training, from 1.
            memory: the meter of the memory of steps.
        """
        self._taken += 1
        if self._taken == FIRST:
            self._began = now(self._device)
        elif self._taken == LAST and step < self._steps:
            seconds = (now(self._device) - self._began) / (LAST - FIRST)
            with bars_aside():
                logger.info("%s", self.line(step, seconds, memory.megabytes()))

    def line(self, step: int, seconds: float, megabytes: float | None) -> str:
        """What is said.

        Args:
            step: number of the last step.
            seconds: that a step takes.
            megabytes: memory at its peak; ``None``: not known.
        """
        left = (self._steps - step) * seconds
        where = "GPU memory" if self._device.type == "cuda" else "memory"
        held = "" if megabytes is None else f", {megabytes / 1000:.1f} GB of {where} so far"
        return (
            f"{self._title}: step {step:,} of {self._steps:,}, {_duration(left)} more, about, and dev sets beside{held}"
        )


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, to two digits or so."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
