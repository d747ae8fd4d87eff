"""An optimisation step whose course depends on no number, so that a GPU can record it once and replay it.

Shapes are few: a batch always holds the recipe's number of rows, and its length is rounded up (`bucket`). Places of the
batch's inputs, the step's number, the learning rate, the losses: all lie on the device, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.cpu_kernels import training_kernels
from xglue_harness.encoders.device import autocast
from xglue_harness.encoders.device_inputs import to_device
from xglue_harness.training.compiled_layers import CompiledLayers
from xglue_harness.training.working_copies import WorkingCopies

if TYPE_CHECKING:
    from xglue_harness.encoders.device_inputs import DeviceInputs
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe
    from xglue_harness.training.optimisation import Optimisation

_WIDTHS = ((64, 8), (128, 16))
"""Up to so many subwords lengths are rounded up to a multiple of so many; above, to one of `_WIDE`."""
_WIDE = 32


def bucket(length: int, longest: int) -> int:
    """The length that inputs are padded to: some dozen different ones for lengths up to 256.

    Args:
        length: subwords of a batch's longest input.
        longest: subwords of the longest input of all, which an encoder may have no position beyond.
    """
    multiple = next((multiple for limit, multiple in _WIDTHS if length <= limit), _WIDE)
    return min(-(-length // multiple) * multiple, longest)


class StaticStep:
    """Steps of one training; `load` says which comes next, `run` computes it."""

    def __init__(
        self,
        model: TransferModel,
        recipe: Recipe,
        inputs: DeviceInputs,
        optimisation: Optimisation,
        *,
        words_per_batch: float | None,
        device: torch.device,
        finished_mask: bool,
    ) -> None:
        """Nothing is computed yet.

        Args:
            model: encoder and head, on ``device``.
            recipe: batch size, precision, whether to compile.
            inputs: the training set, on ``device``.
            optimisation: what changes the weights; its learning rate lies on the device.
            words_per_batch: as in `xglue_harness.training.train_step.TrainStep`.
            device: where the model is.
            finished_mask: whether the encoder takes one (`xglue_harness.encoders.attention_mask`).
        """
        self._model, self._recipe, self._optimisation, self._device = model, recipe, optimisation, device
        self._inputs = inputs
        self._words_per_batch, self._finished_mask = words_per_batch, finished_mask
        self._order = torch.zeros(recipe.batch_size + 1, dtype=torch.long, device=device)
        self._latest = torch.zeros(2, device=device)
        self._copies = WorkingCopies(model, torch.bfloat16) if recipe.precision == "bf16" else None
        self._forward: Callable[..., Any] = model.__call__ if self._copies is None else self._copies.forward
        self._layers = CompiledLayers(model.encoder, static=True) if recipe.compile else None

    def load(self, batch: Sequence[int], step: int) -> None:
        """Say which inputs come next, and the number of their step; nothing waits for the device."""
        missing = self._recipe.batch_size - len(batch)
        self._order.copy_(to_device([*batch, *[-1] * missing, step], self._device))

    def gradients(self, length: int) -> torch.Tensor:
        """Gradients of the batch's mean loss, and that loss, ``[]``.

        Args:
            length: subwords of each row, padding included.
        """
        places = self._order[:-1]
        if self._copies is not None:
            self._copies.refresh()
        kernels = training_kernels(self._device) if self._layers is None else self._layers()
        with autocast(self._device, self._recipe.precision), kernels:
            batch = self._inputs.batch(places, length)
            total: torch.Tensor = self._forward(**batch, finished=self._finished_mask)["loss"]
        loss = total / (self._words_per_batch or (places >= 0).sum())
        loss.backward()  # type: ignore[no-untyped-call]
        if self._copies is not None:
            self._copies.take_gradients()
        return loss.detach()

    def run(self, length: int) -> None:
        """The whole step: gradients, clipping, new weights; `latest` has its loss and norm."""
        loss = self.gradients(length)
        norm = self._optimisation.update(self._order[-1])
        self._latest.copy_(torch.stack([loss.float(), norm.float()]))

    def latest(self) -> torch.Tensor:
        """Loss and norm of the gradients of the last step, ``[2]``, in memory that no later step writes to."""
        return self._latest.clone()

    def warm_up(self, length: int) -> None:
        """Start all libraries that `run` uses; no weight changes."""
        self.gradients(length)
        self.clear()
        self._optimisation.warm_up()

    def clear(self) -> None:
        """Forget the gradients."""
        self._optimisation.clear()
        if self._copies is not None:
            self._copies.clear()
