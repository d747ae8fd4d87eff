"""One optimisation step after another: AdamW, linear warm-up and decay, mixed precision, several processes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.batching import split_into_microbatches
from xglue_harness.encoders.cpu_kernels import training_kernels
from xglue_harness.encoders.device import autocast, free_memory, is_out_of_memory
from xglue_harness.encoders.inputs import Inputs, collate
from xglue_harness.errors import TrainingError
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.distributed import World

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Company
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe

logger = logging.getLogger(__name__)

_CHECK_EVERY = 16
"""Steps after which a GPU's losses are looked at: each look waits for the GPU."""

_CPU_ROOM = 1024
"""Subwords, padding included, that a CPU computes at once: its caches hold little more."""

_CPU_OVERHEAD = 96
"""Subwords that a CPU computes in about the time that one more part of a batch takes (adding up its gradients)."""


def lr_multiplier(step: int, warmup: int, steps: int) -> float:
    """Share of the peak learning rate at a step (from 0): linear up to ``warmup``, then linear down to 0."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (steps - step) / max(1, steps - warmup))


class TrainStep:
    """A model in training; all that it needs to go on is in `tensors` and the counters."""

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
        company: Company = "any length",
    ) -> None:
        """Train ``model`` for ``steps`` steps.

        Args:
            model: encoder and head, on ``device``.
            recipe: hyperparameters.
            inputs: what it learns from.
            steps: of the whole training; the learning rate ends at 0.
            words_per_batch: mean number of labelled words of a batch (tagging); a batch's loss is divided by it, so
                that a word of a short sentence weighs as much as one of a long sentence.
            pad: id of the padding subword.
            device: where the model is.
            world: the processes that share each batch.
            counters: what has been done; kept up to date.
            company: which inputs may share what is computed at once.
        """
        self.model, self.recipe, self.inputs, self.counters = model, recipe, inputs, counters
        self.device, self.world, self._company = device, world, company
        self._steps, self._pad, self._words_per_batch = steps, pad, words_per_batch
        self._warmup = math.ceil(recipe.warmup_ratio * steps)
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(_groups(model, recipe.weight_decay), lr=recipe.learning_rate, fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self._seen: list[torch.Tensor] = []

    def step(self, batch: Sequence[int]) -> None:
        """Learn one batch (places among the inputs); each process takes its share, and all end with the same weights.

        Raises:
            TrainingError: where a loss is not finite, or not even one example fits into memory.
        """
        share, weight = batch[self.world.rank :: self.world.size], 1.0
        if not share:  # a process without an example still has its part in the sum
            share, weight = batch[:1], 0.0
        loss = self._backward(share, weight / (self._words_per_batch or len(batch)))
        self._count(batch)
        try:
            self._add_up_gradients(loss)
            norm = self._update()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise TrainingError("out of memory in the optimizer: it needs a device with more memory") from error
            raise
        self.counters.step += 1
        self._seen.append(torch.stack([loss, norm.to(loss)]))
        if self.device.type == "cpu" or len(self._seen) == _CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Look at the losses and gradients since the last look.

        Raises:
            TrainingError: for one that is not finite; names its step.
        """
        seen = torch.stack(self._seen).tolist() if self._seen else []
        self._seen.clear()
        for place, (loss, norm) in enumerate(seen):
            # In fp16 gradients overflow now and then: the scaler leaves such a step out, and that is no error.
            wrong = [("loss", loss)] + ([] if self.scaler.is_enabled() else [("gradient", norm)])
            for what, value in wrong:
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the {what} is {value} at step {self.counters.step - len(seen) + place + 1}: the run stops "
                        "here. Try a smaller learning_rate, a longer warm-up (warmup_ratio), or precision fp32"
                    )
            self.counters.final_loss = loss

    def _add_up_gradients(self, loss: torch.Tensor) -> None:
        """Sum gradients and loss over all processes; LayerDrop leaves each without those of other layers."""
        if self.world.size == 1:
            return
        present = torch.tensor([float(p.grad is not None) for p in self._parameters], device=self.device)
        self.world.all_reduce([present])
        wanted = [p for p, count in zip(self._parameters, present.tolist(), strict=True) if count]
        for parameter in wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.world.all_reduce([*(parameter.grad for parameter in wanted if parameter.grad is not None), loss])

    def _update(self) -> torch.Tensor:
        """Clip, and change the weights; returns the norm of the gradients."""
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
        """Weights and the optimizer's state; the state is not needed any more after the last step."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.counters.step < self._steps:
            for name, parameter in self.model.named_parameters():
                for key, value in self._optimizer.state.get(parameter, {}).items():
                    found[f"optimizer.{key}.{name}"] = value
        return found

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
        """Gradients of the summed loss times ``weight``; in parts, where the whole does not fit into memory."""
        while True:
            parts = self._parts(share)
            try:
                return self._pass(parts, weight)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(parts) >= len(share):
                    raise TrainingError(
                        "out of memory with a single example: try a smaller max_length, precision bf16, or a device "
                        "with more memory"
                    ) from error
            # Outside the handler, whose traceback would hold on to the failed attempt's tensors.
            self._optimizer.zero_grad()
            free_memory(self.device)
            self.counters.room = max(map(self._padded, parts)) // 2
            logger.warning(
                "out of memory at step %d: batches of more than %d subwords are split by gradient accumulation from "
                "here on; the effective batch stays %d",
                self.counters.step + 1,
                self.counters.room,
                self.recipe.batch_size,
            )

    def _parts(self, share: Sequence[int]) -> list[list[int]]:
        """What is computed at once: on a GPU as much as fits, on a CPU also so that there is little padding."""
        room, overhead = self.counters.room, None
        if self.device.type == "cpu":
            room, overhead = _CPU_ROOM if room is None else min(room, _CPU_ROOM), _CPU_OVERHEAD
        return split_into_microbatches(self.inputs.lengths, share, room, overhead, self._company)

    def _pass(self, parts: Sequence[Sequence[int]], weight: float) -> torch.Tensor:
        self.model.train()
        total = torch.zeros((), device=self.device)
        for part in parts:
            tensors = collate(self.inputs, part, self._pad)
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
        parts = [self._parts(share) for share in shares]
        self.counters.real_tokens += sum(self.inputs.lengths[index] for index in batch)
        self.counters.padded_tokens += sum(self._padded(part) for share in parts for part in share)
        self.counters.batch_splits = max(self.counters.batch_splits, *map(len, parts))

    def _padded(self, part: Sequence[int]) -> int:
        """Subwords of a part, padding included."""
        return max(self.inputs.lengths[index] for index in part) * len(part)


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without decay: biases and norms have none, as in BERT's own optimizer."""
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and "bias" not in name else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
