"""From the rows of a task to encoder inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch

from xglue_harness.bars import progress_bar
from xglue_harness.benchmark import TaskSpec
from xglue_harness.encoders.inputs import Inputs, concatenated
from xglue_harness.encoders.languages import reading
from xglue_harness.encoders.subwords import Encoded, Frame, Texts, encode, pair_frame, plain_ids, single_frame, words_of
from xglue_harness.kinds import kind_of
from xglue_harness.kinds.base import one_text

if TYPE_CHECKING:
    from datasets import Dataset

    Rows: TypeAlias = Sequence[Mapping[str, Any]] | Dataset

_CHUNK = 2000
"""Rows that a fast tokenizer gets at once, to share among all cores."""
_PARALLEL = "TOKENIZERS_PARALLELISM"
OVERLAP = 4
"""Neighbouring windows of a long sentence share a quarter (1/4) of a window."""


class Window(NamedTuple):
    """A stretch of a sentence: words ``start..stop``, of which it scores ``scored_start..scored_stop``."""

    start: int
    stop: int
    scored_start: int
    scored_stop: int


def windows(lengths: Sequence[int], room: int) -> list[Window]:
    """Cut a sentence into overlapping windows so that every word is scored once, with context on both sides.

    Args:
        lengths: subwords of each word, each at most ``room``.
        room: subwords that a window holds.

    Returns:
        Windows whose scored stretches follow each other without a gap; one window where everything fits.
    """
    cut: list[Window] = []
    start = scored_start = 0
    while True:
        stop, held = start, 0
        while stop < len(lengths) and held + lengths[stop] <= room:
            held += lengths[stop]
            stop += 1
        if stop == len(lengths):
            return [*cut, Window(start, stop, scored_start, stop)]
        following, shared = stop, 0
        while following - 1 > start and shared + lengths[following - 1] <= room // OVERLAP:
            following -= 1
            shared += lengths[following]
        scored_stop = (following + stop + 1) // 2
        cut.append(Window(start, stop, scored_start, scored_stop))
        start, scored_start = following, scored_stop


def tokenised(
    spec: TaskSpec, rows: Rows, tokenizer: Any, language: str, max_length: int, *, progress: bool = False
) -> Inputs:
    """Encode rows of a task in one language.

    Args:
        spec: the task.
        rows: rows with the task's columns (labels as class ids).
        tokenizer: the encoder's tokenizer; its source language is set meanwhile.
        language: language of the rows.
        max_length: most subwords of an input, special ones included.
        progress: show a bar where it takes long.

    Returns:
        One input a row; for tagging, at least one a sentence (long ones are cut into windows).
    """
    make = _of_words if kind_of(spec).per_word else _of_texts
    title = f"{spec.title} {language}: tokenising"
    bar = progress_bar(len(rows), title, "row", wanted=progress)
    parts = []
    with reading(tokenizer, language), on_all_cores(), bar:
        frame = frame_of(spec, tokenizer, language)
        for number, columns in enumerate(chunks(rows, spec, _CHUNK)):
            parts.append(make(spec, columns, number * _CHUNK, tokenizer, frame, max_length))
            bar.update(len(columns[spec.label_column]))
    return concatenated(parts)


def frame_of(spec: TaskSpec, tokenizer: Any, language: str) -> Frame:
    """The special tokens around a task's texts in a language."""
    with reading(tokenizer, language):
        return pair_frame(tokenizer) if spec.text_b else single_frame(tokenizer)


def chunks(rows: Rows, spec: TaskSpec, size: int) -> Iterator[dict[str, list[Any]]]:
    """The columns that a task reads, some rows at a time; empty ones, once, where there is no row."""
    for start in range(0, max(len(rows), 1), size):
        chunk: Any = rows[start : start + size]
        if isinstance(chunk, Mapping):  # a data set gives columns
            yield {name: chunk[name] for name in spec.columns}
        else:
            yield {name: [row[name] for row in chunk] for name in spec.columns}


@contextmanager
def on_all_cores() -> Iterator[None]:
    """Let fast tokenizers use all cores, which lm_eval's command line forbids (for the sake of processes that fork)."""
    before = os.environ.get(_PARALLEL)
    os.environ[_PARALLEL] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PARALLEL]
        else:
            os.environ[_PARALLEL] = before


def _of_texts(
    spec: TaskSpec, columns: Mapping[str, list[Any]], at: int, tokenizer: Any, frame: Frame, max_length: int
) -> Inputs:
    def texts(names: Sequence[str]) -> Texts:
        rows = zip(*(columns[name] for name in names), strict=True)
        return Texts.of(plain_ids(tokenizer, list(map(one_text, rows))))

    encoded = encode(frame, texts(spec.text_a), texts(spec.text_b) if spec.text_b else None, max_length)
    return _inputs(encoded, encoded.truncated, np.arange(at, at + len(encoded.texts)), columns[spec.label_column])


def _of_words(
    spec: TaskSpec, columns: Mapping[str, list[Any]], at: int, tokenizer: Any, frame: Frame, max_length: int
) -> Inputs:
    room = max_length - frame.overhead
    sentences = columns[spec.text_a[0]]
    whole = words_of(tokenizer, sentences)
    words = whole.cut(room)
    place, rows, cut = 0, [], []
    for row, sentence in enumerate(sentences):
        lengths = words.lengths[place : place + len(sentence)]
        fits = lengths.sum() <= room
        parts = [Window(0, len(sentence), 0, len(sentence))] if fits else windows(lengths.tolist(), room)
        rows.extend([(at + row, place)] * len(parts))
        cut.extend(parts)
        place += len(sentence)
    row, first = np.array(rows, np.int64).reshape(-1, 2).T  # first word of the sentence, among those of all
    start, stop, scored_start, scored_stop = np.array(cut, np.int64).reshape(-1, 4).T
    ends, cuts = _ends(words.lengths), _ends(whole.lengths > room)
    begin, end = ends[first + start], ends[first + stop]
    encoded = encode(frame, Texts(words.ids, begin, end - begin), None, max_length)
    sizes = scored_stop - scored_start
    positions = len(frame.before) + words.starts - np.repeat(begin, sizes)
    return _inputs(
        encoded,
        cuts[first + stop] > cuts[first + start],
        row,
        list(chain.from_iterable(columns[spec.label_column])),
        positions=_tensor(positions, np.int32),
        word_starts=_tensor(_ends(sizes), np.int64),
        first_words=_tensor(scored_start, np.int32),
    )


def _inputs(encoded: Encoded, truncated: Any, rows: Any, labels: list[int], **words: torch.Tensor) -> Inputs:
    segments = {} if encoded.segments is None else {"segments": _tensor(encoded.segments, np.uint8)}
    return Inputs(
        ids=_tensor(encoded.texts.ids, np.int32),
        starts=_tensor(_ends(encoded.texts.lengths), np.int64),
        rows=_tensor(rows, np.int32),
        truncated=_tensor(truncated, np.bool_),
        labels=_tensor(np.array(labels), np.int32),
        **segments,
        **words,
    )


def _ends(sizes: Any) -> Any:
    """0, and where each of some stretches ends."""
    return np.concatenate([[0], np.cumsum(sizes)])


def _tensor(column: Any, kind: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(column, dtype=kind))
