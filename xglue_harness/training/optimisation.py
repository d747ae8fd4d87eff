"""AdamW with linear warm-up and decay, and gradients clipped to a norm (Loshchilov & Hutter 2019, algorithm 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from xglue_harness.recipe import Recipe

_STATE = ("step", "exp_avg", "exp_avg_sq")


def lr_multiplier(step: int, warmup: int, steps: int) -> float:
    """Share of the peak learning rate at a step (from 0): linear up to step ``warmup``, then linear down to 0."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (steps - step) / max(1, steps - warmup))


class Optimisation:
    """What makes new weights of gradients, from the first step to the last."""

    def __init__(self, model: torch.nn.Module, recipe: Recipe, steps: int, *, on_device: bool) -> None:
        """Nothing is changed yet.

        Args:
            model: its parameters that need a gradient are trained.
            recipe: learning rate, warm-up, weight decay, norm of the gradients.
            steps: of the whole training, at whose end the learning rate is 0.
            on_device: the learning rate is a number on the device, so that a step can be recorded and replayed there.
        """
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._names = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._peak, self._max_norm = recipe.learning_rate, recipe.max_grad_norm
        self._steps, self._warmup = steps, math.ceil(recipe.warmup_ratio * steps)
        device = self.parameters[0].device
        self._rate = torch.zeros((), device=device) if on_device else None
        self.adamw = self._adamw(_parameter_groups(self._names, recipe.weight_decay))
        self._number = torch.nn.Parameter(torch.zeros(1, device=device))
        self._number.grad = torch.zeros_like(self._number)
        self._spare = self._adamw([{"params": [self._number]}])  # here, since making one looks at the rate
        if on_device:  # at a first step AdamW would make its state within what is recorded, and so again at each replay
            for parameter in self.parameters:
                step, zeros = torch.zeros((), device=device), torch.zeros_like(parameter)
                self.adamw.state[parameter] = {"step": step, "exp_avg": zeros, "exp_avg_sq": zeros.clone()}

    def _adamw(self, groups: list[dict[str, Any]]) -> torch.optim.AdamW:
        """The optimizer; on a GPU one whose steps can be recorded."""
        if self._rate is None:
            return torch.optim.AdamW(groups, lr=self._peak, fused=True)
        adamw: Any = torch.optim.AdamW(groups, lr=self._rate, fused=True, capturable=self._rate.is_cuda)
        adamw._warned_capturable_if_run_uncaptured = True  # what does not fit into memory is not recorded: no surprise
        return adamw  # type: ignore[no-any-return]

    def clip(self) -> torch.Tensor:
        """Scale the gradients to the recipe's norm where theirs is larger; returns the norm that they had."""
        return torch.nn.utils.clip_grad_norm_(self.parameters, self._max_norm)

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0), which nobody has to ask the device for."""
        return self._peak * lr_multiplier(step, self._warmup, self._steps)

    def set_rate(self, step: int) -> None:
        """Use the learning rate of a step (from 0)."""
        rate = self.rate(step)
        if self._rate is not None:
            self._rate.fill_(rate)
            return
        for group in self.adamw.param_groups:
            group["lr"] = rate

    def clear(self) -> None:
        """Forget the gradients."""
        self.adamw.zero_grad()

    def update(self, step: torch.Tensor) -> torch.Tensor:
        """Clip and change the weights without asking the device for anything.

        Args:
            step: number of the step (from 0), ``[]`` int64 on the device.

        Returns:
            The norm that the gradients had, ``[]``.
        """
        assert self._rate is not None
        self._rate.copy_(self._peak * _lr_multiplier(step.double(), self._warmup, self._steps))
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        # AdamW's kernel divides each gradient as it reads it, which saves a pass over all of them. The constant is
        # that of `clip_grad_norm_`.
        adamw: Any = self.adamw
        adamw.grad_scale = ((norm + 1e-6) / self._max_norm).clamp(min=1.0)
        try:
            adamw.step()
        finally:
            del adamw.grad_scale
        self.clear()
        return norm

    def warm_up(self) -> None:
        """Start the kernels of `update`, on a number that nobody needs."""
        spare: Any = self._spare
        spare.grad_scale = torch.nn.utils.get_total_norm([torch.zeros_like(self._number)]).clamp(min=1.0)
        spare.step()

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """AdamW's state by names of parameters."""
        for name, parameter in self._names.items():
            for key, value in self.adamw.state.get(parameter, {}).items():
                yield f"optimizer.{key}.{name}", value

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave."""
        for name, parameter in self._names.items():
            state = {
                key: tensors[f"optimizer.{key}.{name}"].to(parameter.device)
                for key in _STATE
                if f"optimizer.{key}.{name}" in tensors
            }
            if state:
                self.adamw.state[parameter] = state


def _lr_multiplier(step: torch.Tensor, warmup: int, steps: int) -> torch.Tensor:
    """`lr_multiplier` on the device."""
    rising, falling = step / max(1, warmup), (steps - step) / max(1, steps - warmup)
    return torch.where(step < warmup, rising, falling.clamp(min=0.0))


def _parameter_groups(parameters: Mapping[str, torch.nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay and without: biases and norms have none, as in BERT's own optimizer."""
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in parameters.items():
        (decayed if parameter.ndim > 1 and "bias" not in name else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
