"""Energy of a piece of work, by codecarbon where it is installed. It never makes a run fail.

The figure is codecarbon's for this process: counted by the hardware where it has counters that may be read (those are
of the whole processor), else estimated from the process's load; of the GPUs, only the one in use counts. Emissions are
not reported: they depend on the place and hour, which nobody here knows.
"""

from __future__ import annotations

import importlib
import logging
import math
import tempfile
from functools import cache
from typing import Any

import torch

logger = logging.getLogger(__name__)


def start(device: torch.device) -> Any:
    """Begin to count.

    Args:
        device: the device that the work runs on.

    Returns:
        What `stop` needs; ``None`` where codecarbon is not installed, or fails.
    """
    try:
        codecarbon = importlib.import_module("codecarbon")
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it logs before it reads log_level
        # All that a .codecarbon.config could ask to be written, locked or sent is turned off here.
        tracker = codecarbon.OfflineEmissionsTracker(
            country_iso_code="USA",  # needed for emissions, as is the grid's intensity
            force_carbon_intensity_g_co2e_kwh=0.0,
            tracking_mode="process",
            gpu_ids=_gpu_ids(device),
            log_level="critical",
            output_methods=[],
            output_dir=tempfile.gettempdir(),
            emissions_endpoint=False,
            allow_multiple_runs=True,
        )
        tracker.start()
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name == "codecarbon"):
            _warn(repr(error))
        return None
    return tracker


def stop(tracker: Any) -> float | None:
    """The energy since `start`, in kWh; ``None`` where it is not known."""
    if tracker is None:
        return None
    try:
        tracker.stop()
        energy = float(tracker.final_emissions_data.energy_consumed)  # not there after an error, which it swallows
        if not 0 <= energy < math.inf:
            raise ValueError(f"an energy of {energy} kWh")
    except Exception as error:
        _warn(repr(error))
        return None
    return energy


def _gpu_ids(device: torch.device) -> list[int]:
    """Place of the GPU among the machine's, as the driver counts; none for a CPU.

    CUDA's own count depends on ``CUDA_VISIBLE_DEVICES``, and codecarbon 3.3 finds no GPU by its UUID.
    """
    if device.type != "cuda":
        return []
    nvml: Any = importlib.import_module("pynvml")  # codecarbon brings it
    nvml.nvmlInit()
    uuid = torch.cuda.get_device_properties(device).uuid
    return [int(nvml.nvmlDeviceGetIndex(nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")))]


@cache
def _warn(reason: str) -> None:
    """Warn once per process."""
    logger.warning("codecarbon (3.2.8 or newer is needed) failed, so no energy is reported: %s", reason)
