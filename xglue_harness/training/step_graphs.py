"""Optimisation steps recorded as CUDA graphs: a step is one launch instead of some 1,500."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.device import is_out_of_memory, undisturbed
from xglue_harness.training.checkpoint import generators

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import BatchRule
    from xglue_harness.recipe import Recipe
    from xglue_harness.training.distributed import World
    from xglue_harness.training.static_step import StaticStep

logger = logging.getLogger(__name__)

_HOST = torch.device("cpu")


class NotRecordableError(Exception):
    """Why the steps of a training can't be recorded."""


def why_eager(device: torch.device, recipe: Recipe, world: World, batch_rule: BatchRule, *, wanted: bool) -> str | None:
    """Why steps will not be recorded, as far as that is known beforehand; ``None`` where they will be."""
    if device.type != "cuda":
        return f"the device is no CUDA GPU ({device.type})"
    if not wanted:
        return "graphs were turned off"
    if world.size > 1:
        return "several processes share each batch"
    if batch_rule != "any length":
        return f"the encoder's answer depends on padding or on neighbours (batches of {batch_rule})"
    if recipe.precision == "fp16":
        return "fp16's gradient scaler decides on the host whether a step counts"
    return None


class StepGraphs:
    """A graph for each length that occurs, recorded at its first use; all share one pool of memory."""

    def __init__(self, step: StaticStep, device: torch.device, *, asks_nothing: bool) -> None:
        """Nothing is recorded yet.

        Args:
            step: what will be recorded.
            device: the GPU.
            asks_nothing: whether the step's course is the same while it is not recorded; transformers looks at a plain
                attention mask, and knows better than to do so while it is.
        """
        self._step, self._device, self._asks_nothing = step, device, asks_nothing
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = torch.cuda.graph_pool_handle()
        self.seconds = 0.0
        """Wall time of all recordings."""

    def run(self, length: int) -> None:
        """Take a step with what `StaticStep.load` was given.

        Raises:
            NotRecordableError: where the encoder decides something on the host; no weight and no generator has changed.
            RuntimeError: where the step does not fit into memory; the same holds.
        """
        if length not in self._graphs:
            began = time.monotonic()
            with undisturbed(self._device):
                self._graphs[length] = self._record(length)
            self.seconds += time.monotonic() - began
        self._graphs[length].replay()

    def forget(self) -> None:
        """Drop all graphs, and with them the memory that they hold."""
        self._graphs.clear()
        self._pool = torch.cuda.graph_pool_handle()

    def _record(self, length: int) -> torch.cuda.CUDAGraph:
        """Record a step, after passes that leave nothing behind but libraries that have started."""
        first = not self._graphs
        before = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(before)
        try:
            with torch.cuda.stream(self._stream):
                if first:
                    self._try_out(length)
                else:
                    self._step.warm_up(length)
            return self._recorded(length)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise NotRecordableError(f"{type(error).__name__} while a step was recorded: {reason}") from error
        finally:
            torch.cuda.set_stream(before)  # a recording that could not be ended leaves its own
            self._step.clear()
            before.wait_stream(self._stream)

    def _recorded(self, length: int) -> torch.cuda.CUDAGraph:
        graph, failure = torch.cuda.CUDAGraph(), None
        try:
            # Another thread's calls (of a monitor of energy, say) must not end the recording: "global" lets them.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                try:
                    self._step.run(length)
                except Exception as error:
                    failure = error  # raised below: the end of the recording may fail by it, and say less
        except RuntimeError as error:
            failure = failure or error
            self._mend()
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # whose traceback holds this frame, and all that the attempt has computed
        return graph

    def _mend(self) -> None:
        """Do what torch 2.11 leaves undone where a recording can't be ended (github.com/pytorch/pytorch/pull/180395).

        Its generator would refuse to draw, and its allocator to give memory back. Other graphs can't be replayed then.
        """
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        generator = torch.cuda.default_generators[index]
        generator.graphsafe_set_state(generator.clone_state())
        with suppress(RuntimeError, AttributeError):  # where all is done, and in a torch that calls them otherwise
            torch._C._cuda_endAllocateToPool(index, self._pool)
            torch._C._cuda_releasePool(index, self._pool)

    def _try_out(self, length: int) -> None:
        """Refuse an encoder that waits for the device or draws numbers on the host: a graph would repeat one course."""
        self._step.warm_up(length)
        before = generators(_HOST)
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error" if self._asks_nothing else mode)
        try:
            self._step.warm_up(length)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise NotRecordableError(f"the encoder's forward or backward pass waits for the device: {error}") from error
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        if generators(_HOST) != before:
            raise NotRecordableError("the encoder draws random numbers on the host (LayerDrop)")
