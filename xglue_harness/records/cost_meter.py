"""What a piece of work costs: time, peak memory and, where codecarbon is installed, energy."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from types import TracebackType

import torch

from xglue_harness.records import energy
from xglue_harness.records.parts import Cost

logger = logging.getLogger(__name__)

_PROCESS = Path("/proc/self")

_open: list[PeakMeter] = []
"""Meters whose block is open. The system keeps a single peak, which each new meter resets: these note it first."""


class PeakMeter:
    """Measures the peak memory of the block of a ``with`` statement; blocks may lie in one another.

    On a CPU it is that of the whole process; where the system cannot reset it (macOS, a locked-down container) it
    counts from the start of the process.

    Args:
        device: the device that the work runs on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._peak: float | None = None

    def __enter__(self) -> PeakMeter:
        self._peak = None
        for meter in _open:
            meter._note()
        _reset_peak(self._device)
        _open.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._note()
        finally:
            _open.remove(self)

    def megabytes(self) -> float | None:
        """The peak of the block, so far or as a whole, in 10^6 bytes; ``None`` where it is not known."""
        if self in _open:
            self._note()
        return None if self._peak is None else round(self._peak / 1e6, 1)

    def _note(self) -> None:
        self._peak = largest(self._peak, memory_peak(self._device))


class CostMeter:
    """Measures the block of a ``with`` statement; blocks may lie in one another.

    Peak memory is that of `PeakMeter`, energy that of `xglue_harness.records.energy`.

    Args:
        device: the device that the work runs on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory = PeakMeter(device)
        self._seconds: float | None = None
        self._energy: float | None = None

    def __enter__(self) -> CostMeter:
        self._tracker = energy.start(self._device)  # takes seconds the first time, before the clock starts
        self._memory.__enter__()
        self._began = now(self._device)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._seconds = now(self._device) - self._began
        finally:
            self._memory.__exit__(kind, error, at)
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
            peak_memory_mb=self._memory.megabytes(),
            energy_kwh=None if self._energy is None else self._energy * share,
        )


def _rate(tokens: int, seconds: float) -> float | None:
    return round(tokens / seconds, 1) if tokens and seconds > 0 else None


def largest(*values: float | None) -> float | None:
    """The largest of what is known; ``None`` where nothing is."""
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
