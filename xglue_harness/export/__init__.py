"""Passing on what was trained and measured: a training as a checkpoint, results as records that others read.

`load` brings a checkpoint back as the model that was scored.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xglue_harness.export.loading import ExportedModel
    from xglue_harness.recipe import ChosenPrecision


def load(folder: str | Path, *, device: str = "cpu", precision: ChosenPrecision = "fp32") -> ExportedModel:
    """A model that ``xglue-harness store export`` wrote, with the tokeniser of the benchmark around it.

    Args:
        folder: that it was written to, or a copy of it.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: arithmetic of the forward pass; the weights are in fp32. A run's own is in ``recipe.precision``.

    Raises:
        EncoderError: where the folder is no export, is incomplete, or the installed tokenizer reads text otherwise.
    """
    from xglue_harness.export.loading import load_exported

    return load_exported(Path(folder), device, precision)
