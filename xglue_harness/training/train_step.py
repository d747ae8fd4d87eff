"""One optimisation step after another: mixed precision, microbatches where memory is short, several processes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.attention_mask import takes_finished_mask
from xglue_harness.encoders.batching import split_into_microbatches
from xglue_harness.encoders.cpu_kernels import training_kernels
from xglue_harness.encoders.device import autocast, fp32_products, free_memory, is_out_of_memory, undisturbed
from xglue_harness.encoders.device_inputs import DeviceInputs, to_device
from xglue_harness.encoders.inputs import Inputs, collate
from xglue_harness.errors import TrainingError
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.compiled_layers import CompiledLayers
from xglue_harness.training.curve import LOOK_EVERY
from xglue_harness.training.determinism import deterministic, nondeterministic
from xglue_harness.training.distributed import World
from xglue_harness.training.gradient_sync import GradientSync
from xglue_harness.training.optimisation import Optimisation
from xglue_harness.training.static_step import StaticStep, bucket
from xglue_harness.training.step_graphs import NotRecordableError, StepGraphs, why_eager

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import BatchRule
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe

logger = logging.getLogger(__name__)

_CPU_MAX_TOKENS = 1024
"""Subwords of a microbatch on a CPU, padding included: its caches hold little more."""

_CPU_OVERHEAD = 96
"""Subwords that a CPU computes in about the time that one more microbatch takes (adding up its gradients)."""

_NOTHING_FITS = (
    "out of memory with a single example: try a smaller max_length, precision bf16, or a device with more memory"
)


class TrainStep:
    """A model in training, one batch after another; `tensors` and the counters are all it needs to go on later.

    Attributes:
        mode: how steps are taken: ``graphs`` (`xglue_harness.training.step_graphs`), or ``eager:`` and why.
        nondeterministic: what torch says has no deterministic form, of all that a step does; ``None``: not looked at,
            as on a CPU, or no step was taken yet.
    """

    def __init__(
        self,
        model: TransferModel,
        recipe: Recipe,
        inputs: Inputs,
        *,
        steps: int,
        words_per_batch: float | None,
        pad: int,
        device: torch.device,
        world: World,
        counters: Counters,
        batch_rule: BatchRule = "any length",
        graphs: bool = True,
    ) -> None:
        """Train ``model`` for ``steps`` steps.

        Args:
            model: encoder and head, on ``device``.
            recipe: hyperparameters.
            inputs: the training set.
            steps: of the whole training, at whose end the learning rate is 0.
            words_per_batch: mean number of labelled words in a batch (tagging); a batch's loss is divided by it, so
                that a word in a short sentence weighs as much as one in a long sentence.
            pad: id of the padding subword.
            device: where the model is.
            world: the processes that share each batch.
            counters: what has been done so far; they are kept up to date.
            batch_rule: which inputs may share a microbatch.
            graphs: record steps as CUDA graphs where that can be done.
        """
        self.model, self.recipe, self.inputs, self.counters = model, recipe, inputs, counters
        self.device, self.world, self._batch_rule = device, world, batch_rule
        self._pad, self._words_per_batch, self._steps = pad, words_per_batch, steps
        self._longest = max(inputs.lengths)
        self._finished_mask = device.type == "cuda" and self._takes_finished_mask()
        self._optimisation = Optimisation(model, recipe, steps, on_device=device.type == "cuda")
        self._layers = CompiledLayers(model.encoder, static=False) if recipe.compile else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self._sync = GradientSync(self._optimisation.parameters, world, device) if world.size > 1 else None
        self._unchecked: list[torch.Tensor] = []  # loss and norm of the gradients, step by step
        self.nondeterministic: list[str] | None = None
        self._first = True
        why = why_eager(device, recipe, world, batch_rule, wanted=graphs)
        self.mode = "graphs" if why is None else f"eager: {why}"
        self._static: StaticStep | None = None
        self._graphs: StepGraphs | None = None
        if why is None:
            self._static = StaticStep(
                model,
                recipe,
                self._device_inputs,
                self._optimisation,
                words_per_batch=words_per_batch,
                device=device,
                finished_mask=self._finished_mask,
            )
            self._graphs = StepGraphs(self._static, device, asks_nothing=self._finished_mask)

    @cached_property
    def _device_inputs(self) -> DeviceInputs:
        return DeviceInputs(self.inputs, self._pad, self.device)

    @property
    def recording_seconds(self) -> float:
        """Wall time that went into recording graphs."""
        return 0.0 if self._graphs is None else self._graphs.seconds

    def step(self, batch: Sequence[int]) -> None:
        """Learn one batch; each process computes its share, and all end with the same weights.

        Args:
            batch: places of its examples among the inputs.

        Raises:
            TrainingError: where a loss is not finite, or not even one example fits into memory.
        """
        self.model.train()
        if self._first and self.device.type == "cuda":
            self.nondeterministic = self._nondeterministic(batch)
        self._first = False
        with fp32_products(self.recipe.precision), self._kernels_that_repeat():
            pair = self._replay(batch)
            if pair is None:
                pair = self._eager_step(batch)
        self.counters.step += 1
        self._unchecked.append(pair)
        if self.device.type == "cpu" or len(self._unchecked) == LOOK_EVERY:
            self.check()

    def check(self) -> None:
        """Look at the losses and gradients of the steps since the last check, and note them in the curve.

        Raises:
            TrainingError: for one that is not finite; names its step.
        """
        steps = torch.stack(self._unchecked).tolist() if self._unchecked else []
        self._unchecked.clear()
        for number, (loss, norm) in enumerate(steps, start=self.counters.step - len(steps) + 1):
            # In fp16 gradients overflow now and then. The scaler skips such a step; that is no error.
            wrong = [("loss", loss)] + ([] if self.scaler.is_enabled() else [("gradient", norm)])
            for what, value in wrong:
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the {what} is {value} at step {number}: the run stops here. "
                        "Try a smaller learning_rate, a longer warm-up (warmup_ratio), or precision fp32"
                    )
            self.counters.final_loss = loss
            if self.counters.curve is not None:
                rate = self._optimisation.rate(number - 1)
                self.counters.curve.add(number, loss, norm, rate, last=number == self._steps)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and the optimizer's state, which is of no use after the last step and left out then."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.counters.step < self._steps:
            tensors.update(self._optimisation.tensors())
        return tensors

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.model.load_state_dict(
            {name.removeprefix("model."): t for name, t in tensors.items() if name[:6] == "model."}
        )
        self._optimisation.load(tensors)

    # ---------------------------------------------------------------- recorded

    def _replay(self, batch: Sequence[int]) -> torch.Tensor | None:
        """Take a step by a graph: its loss and norm; ``None`` where it has to be taken eagerly."""
        if self._static is None or self._graphs is None:
            return None
        length = self._bucket(batch)
        tokens = length * self.recipe.batch_size
        if self.counters.max_tokens is not None and tokens > self.counters.max_tokens:
            return None
        self._static.load(batch, self.counters.step)
        try:
            self._graphs.run(length)
        except NotRecordableError as error:
            logger.warning("steps are not recorded as CUDA graphs: %s", error)
            self.mode, self._static, self._graphs = f"eager: {error}", None, None
            return None
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            fits = False
        else:
            fits = True
        if not fits:  # outside the handler, whose traceback would hold on to the failed attempt's tensors
            self._graphs.forget()
            self._split_from(tokens)
            return None
        self.counters.real_tokens += sum(self.inputs.lengths[index] for index in batch)
        self.counters.padded_tokens += tokens
        return self._static.latest()

    def _bucket(self, batch: Sequence[int]) -> int:
        return bucket(max(self.inputs.lengths[index] for index in batch), self._longest)

    # ---------------------------------------------------------------- eager

    def _eager_step(self, batch: Sequence[int]) -> torch.Tensor:
        """Take a step operation by operation; its loss and the norm of its gradients, ``[2]``."""
        share, weight = batch[self.world.rank :: self.world.size], 1.0
        if not share:  # a process without an example takes part in the sum all the same
            share, weight = batch[:1], 0.0
        loss = self._backward(share, weight / (self._words_per_batch or len(batch)))
        self._count(batch)
        try:
            norm = self._update()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise TrainingError("out of memory in the optimizer: it needs a device with more memory") from error
            raise
        return torch.stack([loss, norm.to(loss)])

    def _update(self) -> torch.Tensor:
        """Clip the gradients and change the weights; returns the norm that the gradients had."""
        optimisation = self._optimisation
        self.scaler.unscale_(optimisation.adamw)
        norm = optimisation.clip()
        optimisation.set_rate(self.counters.step)
        self.scaler.step(optimisation.adamw)
        self.scaler.update()
        optimisation.clear()
        return norm

    def _backward(self, share: Sequence[int], weight: float) -> torch.Tensor:
        """Gradients of the summed loss times ``weight``, from smaller microbatches each time that memory runs out.

        Gradients and loss are those of all processes.
        """
        while True:
            microbatches = self._microbatches(share)
            hopeless = None if len(microbatches) < len(share) else _NOTHING_FITS
            compute = partial(self._accumulate, microbatches, weight)
            try:
                if self._sync is None:
                    return compute()
                return self._sync.run(compute, passes=len(microbatches), hopeless=hopeless)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if hopeless is not None:
                    raise TrainingError(hopeless) from error
            # Outside the handler, whose traceback would hold on to the failed attempt's tensors.
            self._optimisation.clear()
            self._split_from(max(map(self._padded, microbatches)))

    def _split_from(self, tokens: int) -> None:
        """Halve what is computed at once, after so many subwords did not fit into memory."""
        free_memory(self.device)
        self.counters.max_tokens = tokens // 2
        logger.warning(
            "out of memory at step %d: batches of more than %d subwords are split by gradient accumulation from "
            "here on; the effective batch stays %d",
            self.counters.step + 1,
            self.counters.max_tokens,
            self.recipe.batch_size,
        )

    def _microbatches(self, share: Sequence[int]) -> list[list[int]]:
        """What is computed at once: on a GPU as much as fits, on a CPU less, so that there is little padding."""
        max_tokens, overhead = self.counters.max_tokens, None
        if self.device.type == "cpu":
            max_tokens, overhead = min(max_tokens or _CPU_MAX_TOKENS, _CPU_MAX_TOKENS), _CPU_OVERHEAD
        return split_into_microbatches(self.inputs.lengths, share, max_tokens, overhead, self._batch_rule)

    def _accumulate(self, microbatches: Sequence[Sequence[int]], weight: float) -> torch.Tensor:
        """Add up gradients over forward and backward passes of all microbatches; returns the sum of their losses."""
        total = torch.zeros((), device=self.device)
        for microbatch in microbatches:
            tensors = self._tensors(microbatch)
            with autocast(self.device, self.recipe.precision), self._kernels():
                loss = self.model(**tensors, finished=self._finished_mask)["loss"] * weight
            self.scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _tensors(self, microbatch: Sequence[int]) -> dict[str, torch.Tensor]:
        if self.device.type == "cpu":
            return collate(self.inputs, microbatch, self._pad)
        longest = max(self.inputs.lengths[index] for index in microbatch)
        return self._device_inputs.batch(to_device(microbatch, self.device), longest)

    def _takes_finished_mask(self) -> bool:
        """Whether the encoder takes one, as the longest input shows."""
        longest = self.inputs.lengths.index(self._longest)
        batch = collate(self.inputs, [longest], self._pad)
        given = {
            name: batch[name].to(self.device)
            for name in ("input_ids", "token_type_ids", "languages")
            if name in batch and (name != "token_type_ids" or self.model.reads_segments)
        }
        return takes_finished_mask(self.model.encoder, **given)

    def _kernels(self) -> AbstractContextManager[Any]:
        return training_kernels(self.device) if self._layers is None else self._layers()

    # ---------------------------------------------------------------- what a GPU can't repeat

    def _kernels_that_repeat(self) -> AbstractContextManager[None]:
        """Deterministic kernels without exception, where all that a step does has one."""
        return deterministic(strict=True) if self.nondeterministic == [] else nullcontext()

    def _nondeterministic(self, batch: Sequence[int]) -> list[str] | None:
        """What of a step has no deterministic form; ``None`` where memory does not suffice to look."""

        def attempt() -> None:
            if self._static is not None:
                self._static.load(batch, self.counters.step)
                self._static.gradients(self._bucket(batch))
                self._static.clear()
                return
            share = batch[self.world.rank :: self.world.size] or batch[:1]
            self._accumulate(self._microbatches(share), 1.0)
            self._optimisation.clear()

        try:
            with undisturbed(self.device):
                return nondeterministic(attempt)
        except torch.OutOfMemoryError:
            pass
        self._optimisation.clear()
        free_memory(self.device)
        return None

    # ---------------------------------------------------------------- counters

    def _count(self, batch: Sequence[int]) -> None:
        shares = filter(None, (batch[rank :: self.world.size] for rank in range(self.world.size)))
        splits = [self._microbatches(share) for share in shares]
        self.counters.real_tokens += sum(self.inputs.lengths[index] for index in batch)
        self.counters.padded_tokens += sum(self._padded(microbatch) for split in splits for microbatch in split)
        self.counters.batch_splits = max(self.counters.batch_splits, *map(len, splits))

    def _padded(self, microbatch: Sequence[int]) -> int:
        """Subwords of a microbatch, padding included."""
        return max(self.inputs.lengths[index] for index in microbatch) * len(microbatch)
