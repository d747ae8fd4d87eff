"""How much room a training takes in the store, by the numbers that it trains."""

from __future__ import annotations

BYTES = 4
"""Of a number: weights and the optimizer's states are kept in fp32."""


def epoch_bytes(parameters: int) -> int:
    """The weights of one epoch, which are kept where a selection rule may want them.

    Args:
        parameters: numbers that are trained; of an embedding table only some rows are
            (`xglue_harness.encoders.trimmed_embedding`).
    """
    return BYTES * parameters


def checkpoint_bytes(parameters: int) -> int:
    """A checkpoint: weights and two states of the optimizer."""
    return 3 * BYTES * parameters


def sum_bytes(parameters: int) -> int:
    """The sum of the weights of several epochs, whose mean a selection rule takes: it is kept in fp64."""
    return 2 * epoch_bytes(parameters)


def working_bytes(parameters: int, epochs: float) -> int:
    """The most that a training's checkpoints take at once, with the weights of one epoch and a sum beside them.

    The next checkpoint is written before the last one goes.

    Args:
        parameters: as for `epoch_bytes`.
        epochs: of the training; of one there is no sum.
    """
    there = 2 * checkpoint_bytes(parameters) + epoch_bytes(parameters)
    return there + sum_bytes(parameters) if epochs > 1 else there
