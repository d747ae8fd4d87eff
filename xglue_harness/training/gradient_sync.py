"""Gradients are summed over all processes while the backward pass still computes others.

As torch's DistributedDataParallel does it (Li et al. 2020, PyTorch Distributed, VLDB 13(12), section 3.2), with one
thing more: where a process runs out of memory in the midst of its pass, all give up what they have and repeat the step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from xglue_harness.encoders.device import free_memory, is_out_of_memory
from xglue_harness.errors import TrainingError, XGlueError

if TYPE_CHECKING:
    import torch.distributed as dist
    from torch.nn import Parameter

    from xglue_harness.training.distributed import World

_BUCKET = 6_250_000
"""Numbers that travel in one message, 25 MB: few messages, and the first one leaves early."""

_ALIGNMENT = 32
"""Numbers (128 bytes) at whose multiples a gradient begins: a GPU reads what is aligned in larger pieces."""


@dataclass(frozen=True)
class _Bucket:
    """Parameters whose gradients travel in one message: ``[size]``, each followed by zeros up to the alignment."""

    parameters: Sequence[Parameter]

    @property
    def size(self) -> int:
        """Numbers of a message."""
        return sum(self._lengths)

    @property
    def _lengths(self) -> list[int]:
        return [length for p in self.parameters for length in (p.numel(), -p.numel() % _ALIGNMENT)]

    def pack(self, *more: torch.Tensor) -> torch.Tensor:
        """Move the gradients into a message, and ``more`` to its end; a gradient that is missing is 0."""
        pieces, padding = [], torch.zeros(_ALIGNMENT, device=self.parameters[0].device)
        for parameter in self.parameters:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            pieces += [gradient.reshape(-1), padding[: -parameter.numel() % _ALIGNMENT]]
            parameter.grad = None
        return torch.cat([*pieces, *more])

    def unpack(self, message: torch.Tensor, present: Sequence[int]) -> None:
        """Give the parameters the gradients in a message, of which they become views; none where none is present."""
        pieces = torch.split(message[: self.size], self._lengths)[::2]
        for parameter, piece, count in zip(self.parameters, pieces, present, strict=True):
            if count:
                gradient = piece.view_as(parameter)
                # The optimizer wants a gradient to lie in memory as its parameter does.
                like = parameter.is_contiguous()
                parameter.grad = gradient if like else torch.empty_like(parameter).copy_(gradient)


class _Attempt:
    """One attempt at the gradients of a step: which have come, and which buckets are on their way."""

    def __init__(self, buckets: Sequence[_Bucket], order: Sequence[int], early: int, passes: int, world: World) -> None:
        self._buckets, self._order, self._early, self._passes, self._world = buckets, order, early, passes, world
        self.counts = [[0] * len(bucket.parameters) for bucket in buckets]
        self._awaited = [len(bucket.parameters) for bucket in buckets]
        self._messages: list[tuple[torch.Tensor, dist.Work]] = []

    def came(self, bucket: int, place: int) -> None:
        """Note that a backward pass has added to a gradient, and send what is complete by that."""
        self.counts[bucket][place] += 1
        if self.counts[bucket][place] == self._passes:
            self._awaited[bucket] -= 1
            while len(self._messages) < self._early and not self._awaited[self._order[len(self._messages)]]:
                self._send(self._buckets[self._order[len(self._messages)]].pack())

    def complete(self, loss: torch.Tensor) -> None:
        """Send the buckets that are left, and with the last one the loss."""
        for bucket in self._order[len(self._messages) :]:
            more = [loss.reshape(1)] if bucket == self._order[-1] else []
            self._send(self._buckets[bucket].pack(*more))

    def complete_with_zeros(self) -> None:
        """Send zeros in the place of all that is left, so that no other process waits."""
        for bucket in self._order[len(self._messages) :]:
            size = self._buckets[bucket].size + (bucket == self._order[-1])
            self._send(torch.zeros(size, device=self._buckets[bucket].parameters[0].device))

    def _send(self, message: torch.Tensor) -> None:
        self._messages.append((message, self._world.start_sum(message)))

    def sums(self) -> dict[int, torch.Tensor]:
        """The summed messages, by bucket. A GPU's kernels wait for them, the host does not."""
        for _, work in self._messages:
            work.wait()
        return {bucket: message for bucket, (message, _) in zip(self._order, self._messages, strict=True)}


class GradientSync:
    """Sums a model's gradients over all processes, where there are several.

    A gradient has its place in one bucket for good, the same in all processes: over more than two, the last bit of a
    sum may depend on the place. Buckets are sent in the same order everywhere, each one when it is complete and those
    before it are sent. One with a gradient that was missing once (LayerDrop, a layer that is never used) would hold up
    the others: from then on, it is sent after the backward pass.
    """

    def __init__(self, parameters: Sequence[Parameter], world: World, device: torch.device) -> None:
        """Watch the gradients of ``parameters``, all on ``device``, in the same order in all processes."""
        self._world, self._device = world, device
        self._buckets = _buckets(parameters[::-1])  # about the order in which gradients come
        self._late = {len(self._buckets) - 1}  # the loss, which is known after the backward pass, travels with it
        self._attempt: _Attempt | None = None
        watched = weakref.ref(self)  # the garbage collector does not see a circle through a hook
        for number, bucket in enumerate(self._buckets):
            for place, parameter in enumerate(bucket.parameters):
                hook = partial(_note, watched, number, place)
                parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def run(self, compute: Callable[[], torch.Tensor], *, passes: int, hopeless: str | None) -> torch.Tensor:
        """Sum gradients, and the loss, over all processes; every one calls this for every step.

        Where another process runs out of memory, ``compute`` is repeated, with the random numbers of torch that it had
        the first time.

        Args:
            compute: accumulates this process's gradients, from none, and returns its loss ``[]``.
            passes: backward passes that it makes.
            hopeless: why it can't be repeated from smaller batches, where memory runs out; ``None`` where it can.

        Returns:
            The sum of the losses ``[]``.

        Raises:
            TrainingError: where another process has failed, or memory has run out and nothing can be done about it.
            RuntimeError: where memory has run out in this process: it calls this again, with smaller batches.
            MemoryError: likewise.
        """
        while True:
            before = self._generators()
            failure, attempt = self._try(compute, passes)
            lacking = failure is not None and is_out_of_memory(failure)
            if failure is not None and lacking and hopeless is not None:
                failure, lacking = TrainingError(hopeless).with_traceback(None), False
            present, complete, lacked, failed = self._agree(attempt.counts, passes, lacking, failure)
            if failed:
                raise self._reason(failure)
            sums = attempt.sums()
            if not lacked:
                return self._finish(sums, present, complete)
            self._set_generators(before)
            if failure is not None:
                raise failure

    def _generators(self) -> list[torch.Tensor]:
        """State of torch's generators, the host's and the device's: models draw from no other; others take longer."""
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self._device)] if self._device.type == "cuda" else states

    def _set_generators(self, states: Sequence[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._device)

    def _try(self, compute: Callable[[], torch.Tensor], passes: int) -> tuple[Exception | None, _Attempt]:
        """Compute and send all; what went wrong, where something did, and zeros were sent for the rest."""
        early = [bucket for bucket in range(len(self._buckets)) if bucket not in self._late]
        attempt = _Attempt(self._buckets, [*early, *sorted(self._late)], len(early), passes, self._world)
        self._attempt = attempt
        failure: Exception | None = None
        try:
            attempt.complete(compute())
        except Exception as error:
            # A lack of memory goes without its traceback, which would hold on to all that the attempt has computed.
            failure = error.with_traceback(None) if is_out_of_memory(error) else error
        finally:
            self._attempt = None
        if failure is not None:
            self._discard()
            free_memory(self._device)
            try:
                attempt.complete_with_zeros()
            except Exception as error:  # a GPU that is lost computes nothing more; the others learn it by their hosts
                failure = failure if not is_out_of_memory(failure) else error
        return failure, attempt

    def _agree(
        self, counts: Sequence[Sequence[int]], passes: int, lacking: bool, failure: Exception | None
    ) -> tuple[list[int], list[int], int, int]:
        """In how many processes each gradient is present and complete, how many lack memory, and how many failed.

        The hosts exchange it: none waits for its GPU.
        """
        flat = [count for bucket in counts for count in bucket]
        news = [*(count > 0 for count in flat), *(count == passes for count in flat)]
        numbers = torch.tensor([*news, lacking, failure is not None and not lacking], dtype=torch.int32)
        self._world.sum_on_hosts(numbers)
        *gradients, lacked, failed = numbers.tolist()
        return gradients[: len(flat)], gradients[len(flat) :], lacked, failed

    def _finish(self, sums: dict[int, torch.Tensor], present: list[int], complete: list[int]) -> torch.Tensor:
        """Hand out the sums; returns that of the losses."""
        begin = 0
        for number, bucket in enumerate(self._buckets):
            places = slice(begin, begin := begin + len(bucket.parameters))
            bucket.unpack(sums[number], present[places])
            if min(complete[places]) < self._world.size:
                self._late.add(number)
        return sums[len(self._buckets) - 1][-1]

    def _discard(self) -> None:
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.grad = None

    def _reason(self, failure: Exception | None) -> Exception:
        """What to raise: this process's own failure, or what another one says of its."""
        words = self._world.gather(None if failure is None else _words(failure))
        rank, word = next((rank, word) for rank, word in enumerate(words) if word is not None)
        return failure or TrainingError(f"process {rank} failed: {word}")


def _note(watched: weakref.ref[GradientSync], bucket: int, place: int, _: torch.Tensor) -> None:
    sync = watched()
    if sync is not None and sync._attempt is not None:
        sync._attempt.came(bucket, place)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, XGlueError) else f"{type(error).__name__}: {error}"


def _buckets(parameters: Sequence[Parameter]) -> list[_Bucket]:
    """Neighbours together, as many as fit; a larger one by itself."""
    buckets: list[list[Parameter]] = []
    held = _BUCKET
    for parameter in parameters:
        if held + parameter.numel() > _BUCKET:
            buckets.append([])
            held = 0
        buckets[-1].append(parameter)
        held += parameter.numel()
    return [_Bucket(tuple(bucket)) for bucket in buckets]
