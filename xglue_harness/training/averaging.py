"""The mean of the weights after the last epochs, taken while they are trained (Schmidt et al. 2023, arXiv:2305.16834).

Sums are kept in float64, in a file of their own that is replaced after each epoch: nothing of them stays in memory
while steps are taken, and a training that was killed goes on with the sum that its checkpoint names. What training does
not change is the same in each epoch, and its mean is that very number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import torch

from xglue_harness.errors import StoreError
from xglue_harness.records.training_schema import EpochScores
from xglue_harness.seal import DamagedFileError
from xglue_harness.store.files import write_tensors
from xglue_harness.training.selection import Selected

if TYPE_CHECKING:
    from xglue_harness.store.trainings import Entry
    from xglue_harness.training.checkpoint import CheckpointFolder, Progress

Tensors = dict[str, torch.Tensor]


def add_epoch(
    folder: CheckpointFolder, progress: Progress, means: Collection[int], total: int, tensors: Tensors
) -> list[str]:
    """Add the epoch that has just ended to each mean that it is in, unless that was done before a run was killed.

    What it writes counts from the next `CheckpointFolder.note` on. A sum without its beginning is not begun.

    Args:
        folder: where the sums are.
        progress: of the training; it names them.
        means: the numbers of the last epochs that are averaged, above 1.
        total: epochs of the whole training.
        tensors: what the epoch ended with, as `xglue_harness.training.weights.trained_tensors` gives it.

    Returns:
        Files that ``progress`` no longer names.
    """
    done, replaced = len(progress.epochs), []
    for mean in sorted(means):
        there = done - (total - mean)  # epochs of it that have ended
        before, name, sha256 = progress.sums.get(mean, (0, "", ""))
        if there < 1 or before != there - 1 or mean in progress.averages:
            continue
        sums = _added(_read(folder, name, sha256) if before else None, tensors)
        if there == mean:
            file = f"average-{mean}.safetensors"
            progress.averages[mean] = (file, write_tensors(folder.folder / file, _divided(sums, mean, tensors)))
            progress.sums.pop(mean, None)
        else:
            file = f"sum-{mean}-{there}.safetensors"
            progress.sums[mean] = (there, file, write_tensors(folder.folder / file, sums))
        if before:
            replaced.append(name)
    return replaced


def can_go_on(progress: Progress, mean: int, total: int, *, epoch_ended: bool) -> bool:
    """Whether a training that goes on from a checkpoint will have a mean.

    Args:
        progress: of the checkpoint.
        mean: number of the last epochs that are averaged, above 1.
        total: epochs of the whole training.
        epoch_ended: whether the checkpoint is that of an epoch's end, which may not have been added yet.
    """
    there = max(len(progress.epochs) - (total - mean), 0)
    before, _, _ = progress.sums.get(mean, (0, "", ""))
    return mean in progress.averages or before == there or (epoch_ended and before == there - 1)


def has(entry: Entry, epochs: Sequence[EpochScores], weights: Selected) -> bool:
    """Whether an entry of the store has the weights that a rule leads to, or those that their mean is of.

    Args:
        entry: the training.
        epochs: all of its epochs.
        weights: what is asked for.
    """
    return weights.averaged in entry.averages or all(epoch in entry.weights for epoch in _inner(epochs, weights))


def read(entry: Entry, epochs: Sequence[EpochScores], weights: Selected) -> Tensors:
    """The trained tensors that a rule leads to; a mean that the entry lacks is taken of its epochs.

    Args:
        entry: the training.
        epochs: all of its epochs.
        weights: what is asked for; `has` holds.

    Raises:
        StoreError: where a file was removed, or can't be read.
    """
    if weights.averaged == 1:
        return entry.read(weights.epoch)
    if weights.averaged in entry.averages:
        return entry.read_average(weights.averaged)
    first, *others = (entry.read(epoch) for epoch in _inner(epochs, weights))
    sums = reduce(_added, others, _added(None, first))
    return _divided(sums, weights.averaged, first)


def _inner(epochs: Sequence[EpochScores], weights: Selected) -> list[float]:
    """The epochs that some weights are of."""
    if weights.averaged == 1:
        return [weights.epoch]
    until = [scores.epoch for scores in epochs if scores.epoch <= weights.epoch]
    return until[-weights.averaged :]


def _added(sums: Tensors | None, tensors: Tensors) -> Tensors:
    """Sums with another summand, in float64; of what are no real numbers (the rows of a table) the last counts."""
    added = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        if value.is_floating_point():
            value = value.double() if sums is None else sums[name] + value
        added[name] = value
    return added


def _divided(sums: Tensors, number: int, like: Tensors) -> Tensors:
    """Means in the type that the summands have."""
    return {
        name: (value / number).to(like[name].dtype) if value.is_floating_point() else value
        for name, value in sums.items()
    }


def _read(folder: CheckpointFolder, name: str, sha256: str) -> Tensors:
    try:
        return folder.tensors(name, sha256)
    except DamagedFileError as error:
        raise StoreError(f"{folder.folder / name}: {error}: was it removed meanwhile? Run the command again") from None
