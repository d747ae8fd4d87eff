"""The learning curve of a training, put together as its losses are looked at."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from xglue_harness.records.training_schema import Curve

LOOK_EVERY = 16
"""Steps after which a GPU's losses are looked at: each look waits for the GPU."""

MOST_POINTS = 200
"""Points of a curve, whatever the length of the training: the record of each language holds all of them."""

_DIGITS = 6


class LearningCurve(BaseModel):
    """The points so far, and the sums that the next one is made of; as JSON it goes through a checkpoint unchanged."""

    model_config = ConfigDict(extra="forbid")

    every: int = Field(ge=1)
    """Steps from one point to the next."""
    points: Curve
    steps: int = Field(0, ge=0)
    """Steps since the last point."""
    losses: float = 0.0
    """Sum of their losses."""
    norms: float = 0.0
    """Sum of the finite norms of their gradients."""
    finite: int = Field(0, ge=0)
    """How many of these there are."""

    @classmethod
    def of(cls, steps: int) -> LearningCurve:
        """The empty curve of a training of so many steps."""
        every = LOOK_EVERY * max(1, math.ceil(steps / (LOOK_EVERY * MOST_POINTS)))
        return cls(every=every, points=Curve(step=[], loss=[], learning_rate=[], gradient_norm=[]))

    def add(self, step: int, loss: float, norm: float, rate: float, *, last: bool) -> None:
        """Add a step.

        Args:
            step: its number, from 1; steps come one after the other.
            loss: its loss.
            norm: of its gradients, before they were clipped.
            rate: its learning rate.
            last: whether it is the training's last one.
        """
        self.steps += 1
        self.losses += loss
        if math.isfinite(norm):
            self.norms += norm
            self.finite += 1
        if step % self.every and not last:
            return
        points = self.points
        points.step.append(step)
        points.loss.append(_short(self.losses / self.steps))
        points.learning_rate.append(_short(rate))
        points.gradient_norm.append(_short(self.norms / self.finite) if self.finite else None)
        self.steps, self.losses, self.norms, self.finite = 0, 0.0, 0.0, 0


def _short(value: float) -> float:
    """A number as it is written down: losses are in single precision, and no reader needs more digits."""
    return float(f"{value:.{_DIGITS}g}")
