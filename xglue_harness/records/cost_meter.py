"""What a piece of work costs: time, peak memory and, where codecarbon is installed, energy."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from types import TracebackType

import torch

from xglue_harness.records import energy
from xglue_harness.records.schema import Cost

logger = logging.getLogger(__name__)

_PROCESS = Path("/proc/self")

_open: list[CostMeter] = []
"""Meters whose block is open. The system keeps a single peak, which each new meter resets: these note it first."""


class CostMeter:
    """Measures the block of a ``with`` statement; blocks may lie in one another.

    Peak memory on a CPU is that of the whole process; where the system cannot reset it (macOS, a locked-down container)
    it counts from the start of the process. Energy is that of `xglue_harness.records.energy`.

    Args:
        device: the device that the work runs on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: float | None = None
        self._energy: float | None = None

    def __enter__(self) -> CostMeter:
        self._peak: float | None = None
        self._tracker = energy.start(self._device)  # takes seconds the first time, before the clock starts
        for meter in _open:
            meter._note_peak()
        _reset_peak(self._device)
        _open.append(self)
        self._began = now(self._device)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._seconds = now(self._device) - self._began
            self._note_peak()
        finally:
            _open.remove(self)
            self._energy = energy.stop(self._tracker)

    def cost(self, real_tokens: int = 0, share: float = 1.0) -> Cost:
        """What the block cost.

        Args:
            real_tokens: subwords that it processed, without padding; 0 where they do not matter.
            share: of the seconds and the energy, where several things were done at once.
        """
        assert self._seconds is not None, "the cost is known when the block has ended"
        return Cost(
            seconds=round(self._seconds * share, 3),
            tokens_per_second=_rate(real_tokens, self._seconds * share),
            peak_memory_mb=None if self._peak is None else round(self._peak / 1e6, 1),
            energy_kwh=None if self._energy is None else self._energy * share,
        )

    def _note_peak(self) -> None:
        self._peak = _largest(self._peak, memory_peak(self._device))


def _rate(tokens: int, seconds: float) -> float | None:
    return round(tokens / seconds, 1) if tokens and seconds > 0 else None


def _largest(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def now(device: torch.device) -> float:
    """The clock in s, all work that a GPU was given done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # launched kernels go on running
    return time.perf_counter()


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (_PROCESS / "clear_refs").write_text("5")  # proc(5): sets the peak to what is resident now
    except OSError:
        logger.debug("the system does not reset the peak of memory: it counts from the start of the process")


def memory_peak(device: torch.device) -> float | None:
    """Bytes held at most: torch's on a GPU, else the resident size of this process; ``None`` where it is not known.

    Linux's ``ru_maxrss`` begins with what the parent held when it started this process; ``VmHWM`` does not.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = _PROCESS / "status"
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource  # a module of Unix only

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
