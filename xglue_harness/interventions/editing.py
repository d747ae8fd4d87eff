"""Hidden states of one layer, looked at or changed while an encoder computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from xglue_analysis.erasure import Moments
from xglue_harness.encoders.pooling import pool
from xglue_harness.errors import EncoderError

if TYPE_CHECKING:
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.encoders.inputs import Inputs

Edit = Callable[[torch.Tensor], torch.Tensor]
"""States ``[batch, length, width]`` to states."""


def last_layer(encoder: Any) -> int:
    """Number of the encoder's own output, layers being counted from the embeddings, 0."""
    return int(encoder.config.num_hidden_layers)


@contextmanager
def edited(model: TransferModel, layer: int, edit: Edit) -> Iterator[None]:
    """Change the states of a layer in all forward passes in here.

    Args:
        model: its encoder is hooked.
        layer: 0 for what the embeddings give, the last one for the encoder's output, which the head reads.
        edit: changes states.

    Raises:
        EncoderError: where the encoder has no list of as many layers as its configuration says, so that it can't be
            told where a layer is; the last one can always be edited.
    """
    encoder: Any = model.encoder
    if layer == last_layer(encoder):
        handle = encoder.register_forward_hook(lambda _module, _inputs, output: _with_states(output, edit))
    else:
        handle = _layers(encoder)[layer].register_forward_pre_hook(
            lambda _module, arguments, keywords: _with_input(arguments, keywords, edit), with_kwargs=True
        )
    try:
        yield
    finally:
        handle.remove()


def _with_states(output: Any, edit: Edit) -> Any:
    output.last_hidden_state = edit(output.last_hidden_state)
    return output


def _with_input(arguments: tuple[Any, ...], keywords: dict[str, Any], edit: Edit) -> tuple[Any, dict[str, Any]]:
    if arguments:
        return (edit(arguments[0]), *arguments[1:]), keywords
    return arguments, {**keywords, "hidden_states": edit(keywords["hidden_states"])}


def _layers(encoder: Any) -> Sequence[nn.Module]:
    wanted = last_layer(encoder)
    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return list(module)
    raise EncoderError(
        f"{encoder.config.model_type} has no list of {wanted} layers, so a layer within it can't be changed: leave "
        "intervene_layer out, which changes the encoder's output"
    )


class StateMoments:
    """Takes the states of one layer, as batches go by: a recorder for `xglue_harness.prediction.predict.predict`.

    Of the last layer it takes what the head reads: the pooled vector of a text, the first subword of a word. Of others
    it takes every real subword, which is what the layers above read.
    """

    def __init__(self, model: TransferModel, inputs: Inputs, layer: int) -> None:
        """Nothing is taken yet.

        Args:
            model: the model.
            inputs: what is predicted.
            layer: whose states are taken.
        """
        self._model, self._inputs, self._layer = model, inputs, layer
        self.moments: Moments | None = None

    def begin(self, sizes: Sequence[int], firsts: np.ndarray) -> None:
        """All inputs are wanted; of equal ones, the one that is computed."""

    def wants(self, batch: np.ndarray) -> bool:
        """Yes."""
        return True

    def add(self, batch: np.ndarray, states: Sequence[torch.Tensor], mask: torch.Tensor) -> None:
        """Add a batch's states up.

        Args:
            batch: ``[batch]`` numbers of its inputs.
            states: hidden states of each layer, ``[batch, length, width]``.
            mask: ``[batch, length]``.
        """
        hidden = states[self._layer].float()
        if self._layer < len(states) - 1:
            taken = hidden[mask.bool()]
        elif self._model.tagging:
            taken = torch.cat([row[self._words(int(number))] for row, number in zip(hidden, batch, strict=True)])
        else:
            taken = pool(hidden, mask, self._model.pooling)
        found = Moments.of(taken)
        self.moments = found if self.moments is None else self.moments + found

    def finish(self) -> None:
        """Nothing is left to do."""

    def _words(self, number: int) -> torch.Tensor:
        """Places of an input's words."""
        inputs = self._inputs
        assert inputs.positions is not None
        assert inputs.word_starts is not None
        start, stop = inputs.word_starts[number : number + 2].tolist()
        return inputs.positions[start:stop]
