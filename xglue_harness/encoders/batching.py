"""Which inputs share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch

from xglue_harness.encoders.backbone import BatchRule

POOL = 50
"""Batches whose inputs are sorted by length together."""


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of an epoch: inputs of similar length, in random order, new in each epoch.

    All inputs are shuffled and cut into pools of `POOL` batches; a pool is sorted by length and cut into batches; all
    batches are shuffled. So a batch's inputs are a random choice among those of its length, and the order of lengths
    in an epoch is random. An incomplete batch comes last.

    Args:
        lengths: subwords of each input.
        batch_size: inputs of a batch.
        seed: the run's.
        epoch: from 0; an epoch's batches depend on nothing else, so that training can resume in the middle of one.

    Returns:
        Places in ``lengths``, batch by batch.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    complete = len(order) - len(order) % batch_size
    batches: list[list[int]] = []
    for start in range(0, complete, batch_size * POOL):
        pool = sorted(order[start : min(start + batch_size * POOL, complete)], key=lambda i: lengths[i])
        batches.extend(pool[at : at + batch_size] for at in range(0, len(pool), batch_size))
    shuffled = [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
    return shuffled + ([order[complete:]] if complete < len(order) else [])


def budget_batches(lengths: np.ndarray, subwords: int, batch_rule: BatchRule = "any length") -> list[np.ndarray]:
    """Inputs in order of length, the longest first, as many a batch as hold ``subwords`` with their padding.

    Args:
        lengths: ``[inputs]``, subwords of each.
        subwords: of a batch, padding included; an input that is longer is a batch of its own.
        batch_rule: which inputs may share a batch.

    Returns:
        Places in ``lengths``, batch by batch; in each the longest input comes first.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        longest = ordered[start]
        stop = start + (1 if batch_rule == "one input" else max(1, subwords // int(longest)))
        if batch_rule == "one length":
            stop = min(stop, int(np.searchsorted(-ordered, -longest, side="right")))
        batches.append(order[start:stop])
        start = stop
    return batches


def split_into_microbatches(
    lengths: Sequence[int],
    batch: Sequence[int],
    max_tokens: int | None,
    overhead: int | None,
    batch_rule: BatchRule = "any length",
) -> list[list[int]]:
    """Split a batch into microbatches that are computed one after the other, at the least cost.

    A microbatch costs its subwords with padding and ``overhead`` more. Summed gradients do not depend on the split.

    Args:
        lengths: subwords of each input.
        batch: places in ``lengths``.
        max_tokens: subwords of a microbatch, padding included (a longer input is one of its own); ``None``: any number.
        overhead: subwords that could be computed in the time that one more microbatch takes; ``None``: as few
            microbatches as ``max_tokens`` allows.
        batch_rule: which inputs may share a microbatch.

    Returns:
        The microbatches, the longest inputs first.
    """
    order = sorted(batch, key=lambda i: -lengths[i])
    if batch_rule == "one input":
        return [[index] for index in order]
    if batch_rule == "one length":
        alike = [list(group) for _, group in groupby(order, key=lambda i: lengths[i])]
        splits = [split_into_microbatches(lengths, group, max_tokens, overhead) for group in alike]
        return [microbatch for split in splits for microbatch in split]
    if max_tokens is None and overhead is None:
        return [order]
    each = overhead if overhead is not None else sum(lengths[i] for i in order) * len(order) + 1
    best, cuts = [0.0], [0]  # least cost of the first inputs, and where their last microbatch begins
    for stop in range(1, len(order) + 1):
        options: list[tuple[float, int]] = []
        for start in reversed(range(stop)):
            held = lengths[order[start]] * (stop - start)
            if max_tokens is not None and held > max_tokens and options:
                break
            options.append((best[start] + held + each, start))
        cost, start = min(options)
        best.append(cost)
        cuts.append(start)
    microbatches: list[list[int]] = []
    stop = len(order)
    while stop:
        microbatches.append(order[cuts[stop] : stop])
        stop = cuts[stop]
    return microbatches[::-1]
