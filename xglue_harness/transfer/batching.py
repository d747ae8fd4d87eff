"""From documents to encoder inputs, and from inputs to padded batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.encoders.heads import IGNORED
from xglue_harness.encoders.inputs import (
    Encoded,
    encode_pair,
    encode_single,
    pair_frame,
    plain_ids,
    single_frame,
    word_ids,
)
from xglue_harness.encoders.languages import reading

_CHUNK = 1000
OVERLAP = 4
"""Neighbouring windows of a long sentence share a quarter (1/4) of a window."""


@dataclass(frozen=True)
class Window:
    """A stretch of a sentence: words ``start..stop``, of which ``own_start..own_stop`` are scored in this window."""

    start: int
    stop: int
    own_start: int
    own_stop: int


@dataclass(frozen=True)
class Example:
    """One encoder input.

    Attributes:
        row: row of the data set that it comes from.
        encoded: its subwords.
        label: its class (sentences).
        positions: positions of the first subwords of the words that it answers for (tagging).
        words: indices of those words within their sentence.
        labels: their classes.
    """

    row: int
    encoded: Encoded
    label: int = IGNORED
    positions: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()


def windows(lengths: Sequence[int], room: int) -> list[Window]:
    """Cut a sentence into overlapping windows so that every word is scored once, with context on both sides.

    Args:
        lengths: subwords of each word, each at most ``room``.
        room: subwords that a window holds.

    Returns:
        Windows whose own stretches follow each other without a gap; one window where everything fits.
    """
    found: list[Window] = []
    start = own_start = 0
    while True:
        stop, held = start, 0
        while stop < len(lengths) and held + lengths[stop] <= room:
            held += lengths[stop]
            stop += 1
        if stop == len(lengths):
            return [*found, Window(start, stop, own_start, stop)]
        following, shared = stop, 0
        while following - 1 > start and shared + lengths[following - 1] <= room // OVERLAP:
            following -= 1
            shared += lengths[following]
        own_stop = (following + stop + 1) // 2
        found.append(Window(start, stop, own_start, own_stop))
        start, own_start = following, own_stop


def examples(
    spec: TaskSpec, rows: Iterable[Mapping[str, Any]], tokenizer: Any, language: str, max_length: int
) -> list[Example]:
    """Encode rows of a task in one language.

    Args:
        spec: the task.
        rows: rows with the task's columns (labels as class ids).
        tokenizer: the encoder's tokenizer; its source language is set meanwhile.
        language: language of the rows.
        max_length: most subwords of an input, special ones included.

    Returns:
        One example a row; for tagging, at least one a sentence (long ones are cut into windows).
    """
    encode = _encode_words if spec.kind is Kind.TAGGING else _encode_texts
    with reading(tokenizer, language):
        return [example for at, chunk in _chunks(rows) for example in encode(spec, chunk, at, tokenizer, max_length)]


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    chunk: list[Mapping[str, Any]] = []
    at = 0
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield at, chunk
            at += len(chunk)
            chunk = []
    if chunk:
        yield at, chunk


def _encode_texts(
    spec: TaskSpec, rows: Sequence[Mapping[str, Any]], at: int, tokenizer: Any, max_length: int
) -> Iterator[Example]:
    first = plain_ids(tokenizer, [joined(row, spec.text_a) for row in rows])
    second = plain_ids(tokenizer, [joined(row, spec.text_b) for row in rows]) if spec.text_b else None
    frame = pair_frame(tokenizer) if second else single_frame(tokenizer)
    for index, row in enumerate(rows):
        if second is None:
            encoded = encode_single(frame, first[index], max_length)
        else:
            encoded = encode_pair(frame, first[index], second[index], max_length)
        yield Example(at + index, encoded, label=row[spec.label_column])


def _encode_words(
    spec: TaskSpec, rows: Sequence[Mapping[str, Any]], at: int, tokenizer: Any, max_length: int
) -> Iterator[Example]:
    frame = single_frame(tokenizer)
    room = max_length - frame.overhead
    pieces_of_rows = word_ids(tokenizer, [row["words"] for row in rows])
    for index, (row, whole) in enumerate(zip(rows, pieces_of_rows, strict=True)):
        pieces = [piece[:room] for piece in whole]
        for window in windows([len(piece) for piece in pieces], room):
            positions: list[int] = []
            ids: list[int] = []
            for word in range(window.start, window.stop):
                if window.own_start <= word < window.own_stop:
                    positions.append(len(frame.before) + len(ids))
                ids.extend(pieces[word])
            own = range(window.own_start, window.own_stop)
            labels = tuple(row[spec.label_column][word] for word in own)
            truncated = any(len(whole[word]) > room for word in range(window.start, window.stop))
            yield Example(
                at + index,
                frame.build(ids, truncated=truncated),
                positions=tuple(positions),
                words=tuple(own),
                labels=labels,
            )


def joined(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Columns of a row as one text, with a blank between; empty columns leave none."""
    return " ".join(row[column] for column in columns if row[column])


def collate(batch: Sequence[Example], pad: int, tagging: bool) -> dict[str, torch.Tensor]:
    """Pad examples on the right.

    Args:
        batch: the examples.
        pad: id of the padding subword.
        tagging: labels belong to words.

    Returns:
        ``input_ids``, ``attention_mask`` ``[batch, length]``, ``labels`` ``[batch]`` or ``[batch, length]``, and
        ``token_type_ids`` for encoders that know segments.
    """
    longest = max(len(example.encoded.ids) for example in batch)
    shape = (len(batch), longest)
    ids = torch.full(shape, pad, dtype=torch.long)
    mask = torch.zeros(shape, dtype=torch.long)
    segments = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED, dtype=torch.long)
    for row, example in enumerate(batch):
        length = len(example.encoded.ids)
        ids[row, :length] = torch.tensor(example.encoded.ids)
        mask[row, :length] = 1
        if example.encoded.segments is not None:
            segments[row, :length] = torch.tensor(example.encoded.segments)
        if tagging:
            labels[row, list(example.positions)] = torch.tensor(example.labels, dtype=torch.long)
    result = {"input_ids": ids, "attention_mask": mask}
    if batch[0].encoded.segments is not None:
        result["token_type_ids"] = segments
    result["labels"] = labels if tagging else torch.tensor([example.label for example in batch])
    return result


POOL = 50
"""Batches among whose inputs those of similar length are sought."""


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of an epoch: inputs of similar length, in random order, new in each epoch.

    All inputs are shuffled and cut into pools of `POOL` batches; a pool is sorted by length and cut into batches; all
    batches are shuffled. So a batch's inputs are a random choice among those of its length, and the order of lengths
    in an epoch is random. An incomplete batch comes last.

    Args:
        lengths: subwords of each input.
        batch_size: inputs of a batch.
        seed: the run's.
        epoch: from 0; an epoch's batches depend on nothing else, so that training can go on in its midst.

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
