"""How much memory a training takes: as finished ones of its shape did, or by the numbers that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xglue_harness.sweeps.estimates import has_recipe, same_device
from xglue_harness.sweeps.shapes import shape_of

if TYPE_CHECKING:
    from xglue_harness.sweeps.finished import Finished
    from xglue_harness.sweeps.jobs import Job
    from xglue_harness.sweeps.plan import Group

STATES = 16
"""Bytes of a number that is trained: itself, its gradient and AdamW's two means, all in fp32."""

WEIGHT = 4
"""Bytes of a number of the pretrained encoder, which stays beside the copy that is trained."""


@dataclass(frozen=True)
class Memory:
    """What a training takes at its peak.

    Attributes:
        bytes: of the device's memory.
        measured: by a finished training of this encoder and recipe on this device, as records have it; else the least:
            without activations, which depend on what a batch is split into.
    """

    bytes: int
    measured: bool


def memory_of(job: Job, group: Group, finished: Sequence[Finished], device: str | None) -> Memory | None:
    """What a training takes; ``None`` where neither a finished one nor the encoder's configuration tells.

    Args:
        job: the training.
        group: its plan.
        finished: trainings that are, on any device.
        device: that is planned for.
    """
    alike = [item for item in finished if has_recipe(item.encoder, item.recipe, job)]
    here = [item for item in alike if device is not None and same_device(item.device, device)]
    peaks = [item.training.cost.peak_memory_mb for item in here if abs(item.training.train_rows - group.rows) <= 1]
    if known := [peak for peak in peaks if peak is not None]:
        return Memory(int(1e6 * max(known)), measured=True)
    shape = shape_of(job.model_args["pretrained"], job.model_args.get("revision"))
    if shape is None or group.trained is None:
        return None
    return Memory(STATES * group.trained + WEIGHT * (shape.body + shape.embedding), measured=False)
