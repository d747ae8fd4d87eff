"""From text to the subwords that an encoder reads.

Texts are tokenised without special tokens and put into the frame that the tokenizer itself would build around them.
That gives every family the same truncation and windows, and lets a separator be put in where a tokenizer (mBART, NLLB)
joins the two texts of a pair with nothing between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xglue_harness.errors import EncoderError

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Texts:
    """Subwords of some texts: those of text ``i`` are ``ids[starts[i] : starts[i] + lengths[i]]``.

    Attributes:
        ids: ``[subwords]`` int32.
        starts: ``[texts]`` int64.
        lengths: ``[texts]`` int64.
    """

    ids: Numbers
    starts: Numbers
    lengths: Numbers

    @classmethod
    def one_by_one(cls, ids: Numbers, lengths: Numbers) -> Texts:
        """Texts that follow each other without a gap."""
        return cls(ids, np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Texts:
        """Texts from the subwords of each."""
        return cls.one_by_one(_flat(lists, np.int32), _sizes(lists))

    def __len__(self) -> int:
        return len(self.lengths)

    def cut(self, room: int) -> Texts:
        """Texts of at most ``room`` subwords, one after another."""
        lengths = np.minimum(self.lengths, room)
        return Texts.one_by_one(self.ids[stretches(self.starts, lengths)], lengths)

    def lists(self) -> list[list[int]]:
        """The subwords of each text."""
        pairs = zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        return [self.ids[start : start + length].tolist() for start, length in pairs]


@dataclass(frozen=True)
class Encoded:
    """What an encoder reads.

    Attributes:
        texts: the inputs, one after another, special subwords included.
        segments: ``[subwords]`` uint8; ``None`` for tokenizers without.
        truncated: ``[inputs]`` bool, whether text was cut off.
    """

    texts: Texts
    segments: Numbers | None
    truncated: Numbers


@dataclass(frozen=True)
class Frame:
    """Special tokens around one text (``before text after``) or two (``before a between b after``)."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    segments: tuple[int, int, int, int, int] | None
    """Segment of ``before``, the first text, ``between``, the second text and ``after``."""

    @property
    def overhead(self) -> int:
        """Special tokens around one text."""
        return len(self.before) + len(self.after)


def single_frame(tokenizer: Any) -> Frame:
    """The frame around one text, read off the tokenizer (with the source language that it is set to)."""
    text = plain_ids(tokenizer, ["a"])[0]
    full = tokenizer("a", return_token_type_ids=_has_segments(tokenizer))
    at = _find(full["input_ids"], text, 0, tokenizer)
    ids, types = full["input_ids"], full.get("token_type_ids")
    end = at + len(text)
    segments = None if types is None else (types[0], types[at], 0, 0, types[-1])
    return Frame(tuple(ids[:at]), (), tuple(ids[end:]), segments)


def pair_frame(tokenizer: Any) -> Frame:
    """The frame around two texts; the separator is put in where the tokenizer has nothing between them."""
    first, second = plain_ids(tokenizer, ["a", "b"])
    full = tokenizer("a", "b", return_token_type_ids=_has_segments(tokenizer))
    ids, types = full["input_ids"], full.get("token_type_ids")
    start = _find(ids, first, 0, tokenizer)
    end = start + len(first)
    other = _find(ids, second, end, tokenizer)
    stop = other + len(second)
    between = tuple(ids[end:other]) or (_separator(tokenizer),)
    segments = None
    if types is not None:
        segments = (types[0], types[start], types[end], types[other], types[-1])
    return Frame(tuple(ids[:start]), between, tuple(ids[stop:]), segments)


def plain_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Subwords of texts without special tokens; texts of any length."""
    if not texts:
        return []
    return list(tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False, **_BARE)["input_ids"])


def words_of(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> Texts:
    """Subwords of each word of all sentences; a word that becomes no subword at all gets the unknown one."""
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
    if not tokenizer.is_fast or glues_words(tokenizer):
        blank = " " if tokenizer.is_fast else ""
        words = [blank + word for sentence in sentences for word in sentence]
        distinct = {word: place for place, word in enumerate(dict.fromkeys(words))}
        texts = Texts.of([piece or [unknown] for piece in plain_ids(tokenizer, list(distinct))])
        places = np.fromiter((distinct[word] for word in words), np.int64, len(words))
        return Texts(texts.ids, texts.starts[places], texts.lengths[places])
    if not sentences:
        return Texts.of([])
    encoded = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        truncation=False,
        verbose=False,
        **_BARE,
    )
    sizes, ids = _sizes(sentences), encoded["input_ids"]
    places = _flat((encoded.word_ids(index) for index in range(len(sentences))), np.int64)
    places += np.repeat(np.cumsum(sizes) - sizes, _sizes(ids))
    lengths = np.bincount(places, minlength=int(sizes.sum()))
    bare = lengths == 0
    known = Texts.one_by_one(_flat(ids, np.int32), lengths)
    return Texts.one_by_one(np.insert(known.ids, known.starts[bare], unknown), lengths + bare)


def glues_words(tokenizer: Any) -> bool:
    """Whether words given one by one are read as parts of one word.

    So do byte-level tokenizers (RoBERTa, ModernBERT, BART) that do not put a blank before each word by themselves.
    """
    given = tokenizer(["a", "b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    text, spaced = plain_ids(tokenizer, ["a b", " b"])
    return bool(text != given and text[-len(spaced) :] == spaced)


def encode(frame: Frame, first: Texts, second: Texts | None, max_length: int) -> Encoded:
    """Put texts, or pairs of texts, into a frame.

    One text loses its end where it is too long; of a pair, the longer text does, subword by subword, until both fit.

    Args:
        frame: special tokens around one text, or around two.
        first: the texts, or the first ones.
        second: the second ones of pairs.
        max_length: most subwords of an input, special ones included.
    """
    between = () if second is None else frame.between
    second = _constant((), len(first)) if second is None else second
    a, b, truncated = _shares(first.lengths, second.lengths, max_length - frame.overhead - len(between))
    parts = [
        _constant(frame.before, len(first)),
        Texts(first.ids, first.starts, a),
        _constant(between, len(first)),
        Texts(second.ids, second.starts, b),
        _constant(frame.after, len(first)),
    ]
    lengths = np.stack([part.lengths for part in parts], axis=1)
    starts = (np.cumsum(lengths) - lengths.ravel()).reshape(lengths.shape)
    ids = np.empty(int(lengths.sum()), np.int32)
    for place, part in enumerate(parts):
        ids[stretches(starts[:, place], part.lengths)] = part.ids[stretches(part.starts, part.lengths)]
    segments = None
    if frame.segments is not None:
        segments = np.repeat(np.tile(np.array(frame.segments, np.uint8), len(first)), lengths.ravel())
    return Encoded(Texts.one_by_one(ids, lengths.sum(axis=1)), segments, truncated)


def stretches(starts: Numbers, lengths: Numbers) -> Numbers:
    """All indices from each start on, as many as its length says, one stretch after another."""
    shift = starts - (np.cumsum(lengths) - lengths)
    indices: Numbers = np.arange(int(lengths.sum())) + np.repeat(shift, lengths)
    return indices


def _shares(first: Numbers, second: Numbers, room: int) -> tuple[Numbers, Numbers, Numbers]:
    """Subwords that the texts of pairs keep, and which pairs lose some."""
    half = room // 2
    truncated = first + second > room
    cut = np.where(first <= second, half, room - half)  # both are longer than half the room
    cut = np.where(second <= half, room - second, cut)
    cut = np.where(first <= half, first, cut)
    return np.where(truncated, cut, first), np.where(truncated, room - cut, second), truncated


def _constant(tokens: Sequence[int], count: int) -> Texts:
    """The same subwords so many times."""
    return Texts(np.array(tokens, np.int32), np.zeros(count, np.int64), np.full(count, len(tokens), np.int64))


def _sizes(lists: Sequence[Sequence[Any]]) -> Numbers:
    return np.fromiter(map(len, lists), np.int64, len(lists))


def _flat(lists: Iterable[Iterable[int]], kind: Any) -> Numbers:
    return np.fromiter(chain.from_iterable(lists), kind)


_BARE = {"return_attention_mask": False, "return_token_type_ids": False}
"""What need not be built."""


def _has_segments(tokenizer: Any) -> bool:
    return "token_type_ids" in tokenizer.model_input_names


def _separator(tokenizer: Any) -> int:
    for token in (tokenizer.sep_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise EncoderError("the tokenizer has neither a separator nor an end-of-sequence token to put between two texts")


def _find(ids: Sequence[int], text: Sequence[int], start: int, tokenizer: Any) -> int:
    for at in range(start, len(ids) - len(text) + 1):
        if list(ids[at : at + len(text)]) == list(text):
            return at
    raise EncoderError(f"{type(tokenizer).__name__} changes a text when it adds special tokens: it can't be used")
