"""Several processes that share one training (``accelerate launch``, ``torchrun``), by torch.distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")

_BUCKET = 25_000_000
"""Numbers that travel in one message: few messages, and little memory for the copy."""


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
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[no-any-return]

    def gather(self, value: T) -> list[T]:
        """Every process's value, for all, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
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

    def all_reduce(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their sums over all processes, in place.

        It runs after the backward pass, not within it, so that a process that runs out of memory can repeat its pass
        while the others wait.
        """
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, summed in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(summed.view_as(tensor))


def _buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    bucket: list[torch.Tensor] = []
    held = 0
    for tensor in tensors:
        if bucket and held + tensor.numel() > _BUCKET:
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.numel()
    if bucket:
        yield bucket
