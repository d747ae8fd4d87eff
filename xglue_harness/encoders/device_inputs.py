"""Encoder inputs that live on the device: a batch is gathered there, and the host is not asked for anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from xglue_harness.encoders.heads import IGNORED
from xglue_harness.encoders.inputs import Inputs


class DeviceInputs:
    """All inputs of a data set, on the device; XNLI's 392,000 training rows are 65 MB."""

    def __init__(self, inputs: Inputs, pad: int, device: torch.device) -> None:
        """Copy the columns.

        Args:
            inputs: all inputs.
            pad: id of the padding subword.
            device: where batches are wanted.
        """
        self._pad = pad
        self._tagging = inputs.tagging
        self._starts = inputs.starts.to(device)
        self._ids = inputs.ids.to(device)
        self._labels = (_labels_of_subwords(inputs) if inputs.tagging else inputs.labels).to(device)
        self._segments = None if inputs.segments is None else inputs.segments.to(device)
        self._languages = None if inputs.languages is None else inputs.languages.to(device)

    def batch(self, places: torch.Tensor, length: int) -> dict[str, torch.Tensor]:
        """Gather some inputs, padded on the right.

        Args:
            places: ``[batch]`` int64 on the device; at a negative one stands no input, and the row has a single
                subword, which an attention must have, and no label.
            length: subwords of each row, padding included; no input of the batch is longer.

        Returns:
            What `xglue_harness.encoders.inputs.collate` gives for these inputs, ``length`` wide.
        """
        active = places >= 0
        inputs = places.clamp(min=0)
        starts = self._starts[inputs].unsqueeze(1)
        lengths = (self._starts[inputs + 1].unsqueeze(1) - starts).masked_fill(~active.unsqueeze(1), 1)
        span = torch.arange(length, device=places.device)
        mask = span < lengths
        where = (starts + span).masked_fill(~mask, 0)
        ids = self._ids[where].long().masked_fill(~mask, self._pad)
        result = {"input_ids": ids, "attention_mask": mask.long()}
        if self._segments is not None:
            result["token_type_ids"] = self._segments[where].long().masked_fill(~mask, 0)
        if self._languages is not None:
            result["languages"] = self._languages[inputs].long()
        if self._tagging:
            labelled = mask & active.unsqueeze(1)
            result["labels"] = self._labels[where].long().masked_fill(~labelled, IGNORED)
        else:
            result["labels"] = self._labels[inputs].long().masked_fill(~active, IGNORED)
        return result


def to_device(numbers: Sequence[int] | np.ndarray, device: torch.device) -> torch.Tensor:
    """Numbers of the host as int64 on the device, without waiting for it."""
    return torch.tensor(numbers, pin_memory=device.type == "cuda").to(device, non_blocking=True)


def _labels_of_subwords(inputs: Inputs) -> torch.Tensor:
    """``[subwords]`` int32: the label of the word that begins there, `IGNORED` elsewhere."""
    assert inputs.positions is not None
    assert inputs.word_starts is not None
    labels = torch.full((inputs.subwords,), IGNORED, dtype=torch.int32)
    owners = torch.repeat_interleave(inputs.starts[:-1], inputs.word_starts.diff())
    labels[owners + inputs.positions] = inputs.labels.int()
    return labels
