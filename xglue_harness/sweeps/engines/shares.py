"""How many workers machines have room for, and what each of them gets. Pure: nothing here asks a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from xglue_harness.errors import SweepError

if TYPE_CHECKING:
    from xglue_harness.sweeps.jobs import Job

MEMORY_GB = 4.0
"""What a worker on CPUs is given room for where the file does not say: a training of XLM-R base's size."""


@dataclass(frozen=True)
class Machine:
    """What a machine, or a node of a cluster, has to give.

    Attributes:
        cpus: cores.
        gpus: GPUs.
        memory_gb: main memory.
    """

    cpus: int
    gpus: int = 0
    memory_gb: float = 1e9


@dataclass(frozen=True)
class Shares:
    """Workers, and what each of them gets.

    Attributes:
        workers: how many.
        cpus: cores of each, which is its number of threads.
        gpus: of each, or a share of one.
        memory_gb: main memory of each; 0 where the file does not say.
    """

    workers: int
    cpus: int
    gpus: float
    memory_gb: float

    def __str__(self) -> str:
        """In words, for people."""
        gpus = f"{self.gpus:g} GPU{'s' * (self.gpus > 1)} and " if self.gpus else ""
        count = f"{self.workers} worker{'s' * (self.workers != 1)}"
        return f"{count}, each with {gpus}{self.cpus} core{'s' * (self.cpus != 1)}"


def share(jobs: Sequence[Job], machines: Sequence[Machine], workers: int | None = None) -> Shares:
    """As many workers as the machines have room for, or as many as were asked for.

    All workers get the same, the most that any job needs: each takes any job. It does not depend on what is done
    already, since the number of threads moves the last digits of scores.

    Args:
        jobs: all of the sweep.
        machines: those there are.
        workers: asked for; cores are then divided among so many.

    Raises:
        SweepError: where not one worker has room.
    """
    gpus = max(_gpus(job, machines) for job in jobs)
    cpus = max(job.needs.cpus or 0 for job in jobs)
    memory = max(job.needs.memory_gb or 0.0 for job in jobs)
    room = [_room(machine, cpus or 1, gpus, memory) for machine in machines]
    total = sum(room)
    if workers is not None and not (gpus or cpus or memory):
        total = max(total, workers)  # whoever says how many, and not what they need, knows what the machine can bear
    count = min(len(jobs), total, workers or total)
    if not count:
        needed = f"{gpus:g} GPUs, {cpus or 1} cores and {memory:g} GB"
        raise SweepError(f"no machine has room for a worker, which needs {needed}: see `needs` in the sweep's file")
    return Shares(count, cpus or _cores_each(machines, room, count), gpus, memory)


def _gpus(job: Job, machines: Sequence[Machine]) -> float:
    if job.needs.gpus is not None:
        return job.needs.gpus
    return 1.0 if job.device != "cpu" and any(machine.gpus for machine in machines) else 0.0


def _room(machine: Machine, cpus: int, gpus: float, memory: float) -> int:
    """Workers that a machine has room for; a share of a GPU lies on one GPU."""
    room = machine.cpus // cpus
    if gpus:
        room = min(room, machine.gpus * floor(1 / gpus) if gpus <= 1 else floor(machine.gpus / gpus))
    if memory:
        return min(room, int(machine.memory_gb / memory))
    return room if gpus else min(room, max(1, int(machine.memory_gb / MEMORY_GB)))


def _cores_each(machines: Sequence[Machine], room: Sequence[int], count: int) -> int:
    """Cores of a worker where the file does not say: those that every machine can give to all that it has."""
    if len(machines) == 1:
        return max(1, machines[0].cpus // count)
    return max(1, min(machine.cpus // workers for machine, workers in zip(machines, room, strict=True) if workers))
