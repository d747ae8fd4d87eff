"""Half-precision copies of the matrices, made and read back all at once.

Under autocast each linear layer casts its weight and its bias on the way in, and their gradients on the way out: some
300 small kernels a step of a base encoder. Here all copies are cast together, the layers work with them, and their
gradients are cast back together; every number is that of autocast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call


class WorkingCopies:
    """The trained weights of all linear layers in a lower precision; the weights themselves stay as they are."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Make the copies.

        Args:
            model: whose linear layers compute in ``dtype`` under autocast.
            dtype: of the copies.
        """
        self._model = model
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        names = {id(weight): name for name, weight in weights.items()}
        linear = [module for module in model.modules() if type(module) is nn.Linear]
        wanted = {id(weight) for module in linear for weight in module.parameters(recurse=False)}
        for module in model.modules():  # a weight that something else reads too, such as a tied table
            if type(module) is not nn.Linear:
                wanted -= {id(weight) for weight in module.parameters(recurse=False)}
        chosen = [weights[names[key]] for key in names if key in wanted]
        self._weights: list[torch.Tensor] = [weight.detach() for weight in chosen]
        self._parameters = chosen
        self._copies = [weight.to(dtype).requires_grad_() for weight in self._weights]
        self._by_name = {names[id(weight)]: copy for weight, copy in zip(chosen, self._copies, strict=True)}

    def refresh(self) -> None:
        """Cast the weights as they are now."""
        with torch.no_grad():
            torch._foreach_copy_(self._copies, self._weights)

    def forward(self, **tensors: Any) -> Any:
        """Call the model with the copies in place of its own weights."""
        return functional_call(self._model, self._by_name, kwargs=tensors)

    def take_gradients(self) -> None:
        """Give the weights the gradients of their copies."""
        pairs = [(p, c.grad) for p, c in zip(self._parameters, self._copies, strict=True) if c.grad is not None]
        gradients = [torch.empty_like(parameter) for parameter, _ in pairs]
        torch._foreach_copy_(gradients, [half for _, half in pairs])
        for (parameter, _), gradient in zip(pairs, gradients, strict=True):
            parameter.grad = gradient
        self.clear()

    def clear(self) -> None:
        """Forget the copies' gradients."""
        for copy in self._copies:
            copy.grad = None
