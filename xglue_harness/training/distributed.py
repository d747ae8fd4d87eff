"""Several processes that share one training (``accelerate launch``, ``torchrun``), by torch.distributed."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a run; one process alone is a world of size 1, in which all of this costs nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> World:
        """The world that the launcher has set up and the model has joined."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that reads and writes the store, and speaks."""
        return self.rank == 0

    def broadcast(self, value: T) -> T:
        """The main process's value, for all."""
        if self.size == 1:
            return value
        box: list[Any] = [value if self.is_main_process else None]
        dist.broadcast_object_list(box, src=0, group=_hosts(dist.group.WORLD))
        return box[0]  # type: ignore[no-any-return]

    def gather(self, value: T) -> list[T]:
        """Every process's value, for all, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=_hosts(dist.group.WORLD))
        return values

    def on_main(self, act: Callable[[], T]) -> T:
        """Let the main process act; all get its result, or its error (none is left waiting)."""
        return self.broadcast(self.only_on_main(act))  # type: ignore[return-value]

    def only_on_main(self, act: Callable[[], T]) -> T | None:
        """As `on_main`, for a result too large to send: it stays with the main process, the others get ``None``."""
        if self.size == 1:
            return act()
        result: T | None = None
        failure: Exception | None = None
        if self.is_main_process:
            try:
                result = act()
            except Exception as error:
                failure = error
        failure = self.broadcast(failure)
        if failure is not None:
            raise failure
        return result

    def broadcast_tensors(
        self, tensors: dict[str, torch.Tensor] | None, device: torch.device
    ) -> dict[str, torch.Tensor]:
        """The main process's tensors, on ``device``, for all; the processes need no disk in common.

        Args:
            tensors: by name; the other processes have ``None``.
            device: where each process wants them.
        """
        if self.size == 1:
            assert tensors is not None
            return {name: tensor.to(device) for name, tensor in tensors.items()}
        shapes = self.broadcast({name: (tuple(t.shape), t.dtype) for name, t in (tensors or {}).items()})
        received = {}
        for name, (shape, dtype) in shapes.items():
            if tensors is not None:
                received[name] = tensors[name].to(device).contiguous()
            else:
                received[name] = torch.empty(shape, dtype=dtype, device=device)
            dist.broadcast(received[name], src=0)
        return received

    def start_sum(self, tensor: torch.Tensor) -> dist.Work:
        """Begin to replace a tensor, on the device, by its sum over all processes; waiting for it is the caller's."""
        return dist.all_reduce(tensor, async_op=True)  # type: ignore[no-any-return]

    def sum_on_hosts(self, tensor: torch.Tensor) -> None:
        """Replace a tensor in the host's memory by its sum over all processes."""
        dist.all_reduce(tensor, group=_hosts(dist.group.WORLD))


@cache
def _hosts(everyone: dist.ProcessGroup) -> dist.ProcessGroup:
    """The processes as a group that talks from host to host: NCCL knows GPUs only, and a host would wait for its own.

    Made when it is first needed, by all at once.
    """
    if "cpu" in dist.get_backend_config(everyone):
        return everyone
    # As patient as lm_eval's own group: others wait while one process tokenises or writes.
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=timedelta(weeks=52))
    atexit.register(_end, group)
    return group


def _end(group: dist.ProcessGroup) -> None:
    """End gloo's threads before the interpreter goes (`xglue_harness.harness.processes` says why)."""
    if dist.is_initialized():
        with suppress(ValueError):  # it is gone already
            dist.destroy_process_group(group)
