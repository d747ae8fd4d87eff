"""The encoder after each epoch of its training, for diagnostics that look at how it changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xglue_harness.encoders.heads import TransferModel

NOT_KEPT = (
    'its weights were not kept, for no rule of select leads to it; "keep_epochs": "all" keeps those of every epoch '
    "(and trains again where the store lacks some)"
)


@dataclass(frozen=True)
class Epoch:
    """An epoch of the training that was scored.

    Attributes:
        epoch: passes over the training set at its end; a last one need not be whole.
        dev: dev scores (0..1) with its weights, by language, as far as they were asked for.
        test: test scores (0..1) with its weights, by language, where a rule of ``select`` leads to it.
        missing: why its weights can't be looked at; ``None``: they can.
        scored: whether its weights are those of the encoder ``finetuned``.
    """

    epoch: float
    dev: Mapping[str, float]
    test: Mapping[str, float]
    missing: str | None = None
    scored: bool = False

    @property
    def name(self) -> str:
        """What the encoder with its weights is called, for `DiagnosticContext.states`: ``epoch 2``."""
        return f"epoch {self.epoch:g}"


class EpochModels:
    """All epochs of a training, and the one model that takes the weights of each in turn."""

    def __init__(self, epochs: Sequence[Epoch], load: Callable[[Epoch], TransferModel]) -> None:
        """Load nothing yet.

        Args:
            epochs: in their order.
            load: a model with the weights of an epoch, in all processes at once. It is no other model's: the scored
                one stays as it is.
        """
        self.epochs, self._load = tuple(epochs), load
        self._loaded: tuple[Epoch, TransferModel] | None = None

    def model(self, epoch: Epoch) -> TransferModel:
        """A model with the weights of an epoch, until it is called for another one."""
        if self._loaded is None or self._loaded[0] != epoch:
            self._loaded = None
            self._loaded = epoch, self._load(epoch)
        return self._loaded[1]
