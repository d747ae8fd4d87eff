"""One optimisation step after another: AdamW, linear warm-up and decay, mixed precision, several processes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.batching import split_into_microbatches
from xglue_harness.encoders.cpu_kernels import training_kernels
from xglue_harness.encoders.device import autocast, free_memory, is_out_of_memory
from xglue_harness.encoders.inputs import Inputs, collate
from xglue_harness.errors import TrainingError
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.distributed import World
from xglue_harness.training.gradient_sync import GradientSync

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import BatchRule
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe

logger = logging.getLogger(__name__)

_CHECK_EVERY = 16
"""Steps after which a GPU's losses are looked at: each look waits for the GPU."""

_CPU_MAX_TOKENS = 1024
"""Subwords of a microbatch on a CPU, padding included: its caches hold little more."""

_CPU_OVERHEAD = 96
"""Subwords that a CPU computes in about the time that one more microbatch takes (adding up its gradients)."""

_NOTHING_FITS = (
    "out of memory with a single example: try a smaller max_length, precision bf16, or a device with more memory"
)


def lr_multiplier(step: int, warmup: int, steps: int) -> float:
    """Share of the peak learning rate at a step (from 0): linear up to step ``warmup``, then linear down to 0."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (steps - step) / max(1, steps - warmup))


class TrainStep:
    """A model in training, one batch after another; `tensors` and the counters are all it needs to go on later."""

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
        """
        self.model, self.recipe, self.inputs, self.counters = model, recipe, inputs, counters
        self.device, self.world, self._batch_rule = device, world, batch_rule
        self._steps, self._pad, self._words_per_batch = steps, pad, words_per_batch
        self._warmup = math.ceil(recipe.warmup_ratio * steps)
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate, fused=True
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self._sync = GradientSync(self._parameters, world, device) if world.size > 1 else None
        self._unchecked: list[torch.Tensor] = []  # loss and norm of the gradients, step by step

    def step(self, batch: Sequence[int]) -> None:
        """Learn one batch; each process computes its share, and all end with the same weights.

        Args:
            batch: places of its examples among the inputs.

        Raises:
            TrainingError: where a loss is not finite, or not even one example fits into memory.
        """
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
        self.counters.step += 1
        self._unchecked.append(torch.stack([loss, norm.to(loss)]))
        if self.device.type == "cpu" or len(self._unchecked) == _CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Look at the losses and gradients of the steps since the last check.

        Raises:
            TrainingError: for one that is not finite; names its step.
        """
        steps = torch.stack(self._unchecked).tolist() if self._unchecked else []
        self._unchecked.clear()
        for place, (loss, norm) in enumerate(steps):
            # In fp16 gradients overflow now and then. The scaler skips such a step; that is no error.
            wrong = [("loss", loss)] + ([] if self.scaler.is_enabled() else [("gradient", norm)])
            for what, value in wrong:
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the {what} is {value} at step {self.counters.step - len(steps) + place + 1}: the run stops "
                        "here. Try a smaller learning_rate, a longer warm-up (warmup_ratio), or precision fp32"
                    )
            self.counters.final_loss = loss

    def _update(self) -> torch.Tensor:
        """Clip the gradients and change the weights; returns the norm that the gradients had."""
        self.scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.recipe.max_grad_norm)
        factor = lr_multiplier(self.counters.step, self._warmup, self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * factor
        self.scaler.step(self._optimizer)
        self.scaler.update()
        self._optimizer.zero_grad()
        return norm

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and the optimizer's state, which is of no use after the last step and left out then."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.counters.step < self._steps:
            for name, parameter in self.model.named_parameters():
                for key, value in self._optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{key}.{name}"] = value
        return tensors

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.model.load_state_dict(
            {name.removeprefix("model."): t for name, t in tensors.items() if name[:6] == "model."}
        )
        for name, parameter in self.model.named_parameters():
            state = {
                key: tensors[f"optimizer.{key}.{name}"].to(parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"optimizer.{key}.{name}" in tensors
            }
            if state:
                self._optimizer.state[parameter] = state

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
            self._optimizer.zero_grad()
            free_memory(self.device)
            self.counters.max_tokens = max(map(self._padded, microbatches)) // 2
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
        self.model.train()
        total = torch.zeros((), device=self.device)
        for microbatch in microbatches:
            tensors = collate(self.inputs, microbatch, self._pad)
            tensors = {name: tensor.to(self.device, non_blocking=True) for name, tensor in tensors.items()}
            with autocast(self.device, self.recipe.precision), self._kernels():
                loss = self.model(**tensors)["loss"] * weight
            self.scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _kernels(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.recipe.compile else training_kernels(self.device)

    def _count(self, batch: Sequence[int]) -> None:
        shares = filter(None, (batch[rank :: self.world.size] for rank in range(self.world.size)))
        splits = [self._microbatches(share) for share in shares]
        self.counters.real_tokens += sum(self.inputs.lengths[index] for index in batch)
        self.counters.padded_tokens += sum(self._padded(microbatch) for split in splits for microbatch in split)
        self.counters.batch_splits = max(self.counters.batch_splits, *map(len, splits))

    def _padded(self, microbatch: Sequence[int]) -> int:
        """Subwords of a microbatch, padding included."""
        return max(self.inputs.lengths[index] for index in microbatch) * len(microbatch)


def _parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay and without: biases and norms have none, as in BERT's own optimizer."""
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and "bias" not in name else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
