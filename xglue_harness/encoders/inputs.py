"""What an encoder reads, in columns: the subwords of all inputs end to end, and where each input begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import accumulate

import torch

from xglue_harness.encoders.heads import IGNORED


@dataclass(frozen=True)
class Inputs:
    """The encoder inputs of a data set.

    Of tagging tasks an input is a sentence, or a window of a long one, that answers for some consecutive words.

    Attributes:
        ids: ``[subwords]`` int32, input by input.
        starts: ``[inputs + 1]`` int64, where an input's subwords begin; the last one is where all end.
        rows: ``[inputs]`` int32, the row of the data set that each comes from.
        truncated: ``[inputs]`` bool, whether text was cut off.
        labels: ``[inputs]`` int32 classes; of tagging ``[words]``, those of the words that the inputs answer for.
        segments: ``[subwords]`` uint8, for tokenizers that know segments.
        positions: tagging: ``[words]`` int32, place of each word's first subword within its input.
        word_starts: tagging: ``[inputs + 1]`` int64, where an input's words begin in ``labels`` and ``positions``.
        first_words: tagging: ``[inputs]`` int32, index within its sentence of the first word that an input answers for.
        languages: ``[inputs]`` int32, the encoder's own number of its language, for an encoder that is told it.
    """

    ids: torch.Tensor
    starts: torch.Tensor
    rows: torch.Tensor
    truncated: torch.Tensor
    labels: torch.Tensor
    segments: torch.Tensor | None = None
    positions: torch.Tensor | None = None
    word_starts: torch.Tensor | None = None
    first_words: torch.Tensor | None = None
    languages: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tagging(self) -> bool:
        """Labels belong to words."""
        return self.positions is not None

    @property
    def subwords(self) -> int:
        """Subwords of all inputs, without padding."""
        return len(self.ids)

    @cached_property
    def lengths(self) -> list[int]:
        """Subwords of each input."""
        lengths: list[int] = self.starts.diff().tolist()
        return lengths

    def subwords_of(self, index: int) -> torch.Tensor:
        """Subwords of one input."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def told(self, language: int | None) -> Inputs:
        """The same inputs, with the encoder's number of the language that they are all in (``None``: it has none)."""
        if language is None:
            return self
        return replace(self, languages=torch.full((len(self),), language, dtype=torch.int32))

    def words_of(self, index: int) -> slice:
        """Where one input's words lie in ``labels`` and ``positions`` (tagging)."""
        assert self.word_starts is not None
        return slice(int(self.word_starts[index]), int(self.word_starts[index + 1]))

    def tensors(self) -> dict[str, torch.Tensor]:
        """All columns that there are, by name; ``Inputs(**tensors)`` is the same again."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column for name, column in columns.items() if column is not None}


def collate(inputs: Inputs, batch: Sequence[int], pad: int) -> dict[str, torch.Tensor]:
    """Pad some inputs on the right.

    Args:
        inputs: all inputs.
        batch: those of the batch.
        pad: id of the padding subword.

    Returns:
        ``input_ids``, ``attention_mask`` ``[batch, length]``, ``labels`` ``[batch]`` or ``[batch, length]``, and
        ``token_type_ids`` for tokenizers that know segments, ``languages`` ``[batch]`` for encoders that are told them.
    """
    places = torch.tensor(batch)
    starts = inputs.starts[places]
    lengths = inputs.starts[places + 1] - starts
    span = torch.arange(int(lengths.max()))
    mask = span < lengths.unsqueeze(1)
    where = (starts.unsqueeze(1) + span)[mask]
    ids = torch.full(mask.shape, pad, dtype=torch.long)
    ids[mask] = inputs.ids[where].long()
    result = {"input_ids": ids, "attention_mask": mask.long()}
    if inputs.segments is not None:
        segments = torch.zeros(mask.shape, dtype=torch.long)
        segments[mask] = inputs.segments[where].long()
        result["token_type_ids"] = segments
    if inputs.languages is not None:
        result["languages"] = inputs.languages[places].long()
    if inputs.positions is None:
        result["labels"] = inputs.labels[places].long()
        return result
    labels = torch.full(mask.shape, IGNORED, dtype=torch.long)
    for row, index in enumerate(batch):
        words = inputs.words_of(index)
        labels[row, inputs.positions[words].long()] = inputs.labels[words].long()
    result["labels"] = labels
    return result


def concatenated(parts: Sequence[Inputs]) -> Inputs:
    """Several data sets as one; ``rows`` and ``first_words`` stay as they are within each."""
    columns = [part.tensors() for part in parts if len(part)] or [parts[0].tensors()]
    joint: dict[str, torch.Tensor] = {}
    for name in columns[0]:
        pieces = [column[name] for column in columns]
        if name in ("starts", "word_starts"):
            ends = list(accumulate(int(piece[-1]) for piece in pieces))
            pieces = [pieces[0], *(piece[1:] + end for piece, end in zip(pieces[1:], ends, strict=False))]
        joint[name] = torch.cat(pieces)
    return Inputs(**joint)
