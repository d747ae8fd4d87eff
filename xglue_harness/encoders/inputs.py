"""From text to the subwords that an encoder reads.

Texts are tokenised without special tokens and put into the frame that the tokenizer itself would build around them.
That gives every family the same truncation and windows, and lets a separator be put in where a tokenizer (mBART, NLLB)
joins the two texts of a pair with nothing between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.errors import EncoderError


@dataclass(frozen=True)
class Encoded:
    """One input: subwords, segments (``None`` for encoders without), and whether text was cut off."""

    ids: list[int]
    segments: list[int] | None
    truncated: bool = False


@dataclass(frozen=True)
class Frame:
    """Special tokens around one text (``before text after``) or two (``before a between b after``)."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    segments: tuple[int, int, int, int, int] | None
    """Segment of ``before``, the first text, ``between``, the second text and ``after``."""

    def build(self, first: Sequence[int], second: Sequence[int] | None = None, truncated: bool = False) -> Encoded:
        """Put one or two texts into the frame."""
        parts = [self.before, first] + ([] if second is None else [self.between, second]) + [self.after]
        ids = [token for part in parts for token in part]
        if self.segments is None:
            return Encoded(ids, None, truncated)
        kinds = self.segments if second is not None else (self.segments[0], self.segments[1], self.segments[4])
        return Encoded(ids, [kind for kind, part in zip(kinds, parts, strict=True) for _ in part], truncated)

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
    return list(tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"])


def word_ids(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    """Subwords of each word of each sentence; a word that becomes no subword at all gets the unknown one."""
    if not sentences:
        return []
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
    if not tokenizer.is_fast or _glues_words(tokenizer):
        blank = " " if tokenizer.is_fast else ""
        spaced = ([blank + word for word in words] for words in sentences)
        return [[piece or [unknown] for piece in plain_ids(tokenizer, words)] for words in spaced]
    encoded = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        truncation=False,
        verbose=False,
    )
    result = []
    for index, words in enumerate(sentences):
        pieces: list[list[int]] = [[] for _ in words]
        for token, word in zip(encoded["input_ids"][index], encoded.word_ids(index), strict=True):
            pieces[word].append(token)
        result.append([piece or [unknown] for piece in pieces])
    return result


def _glues_words(tokenizer: Any) -> bool:
    """Whether words given one by one are read as parts of one word.

    So do byte-level tokenizers (RoBERTa, ModernBERT, BART) that do not put a blank before each word by themselves.
    """
    given = tokenizer(["a", "b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    text, spaced = plain_ids(tokenizer, ["a b", " b"])
    return bool(text != given and text[-len(spaced) :] == spaced)


def encode_single(frame: Frame, text: list[int], max_length: int) -> Encoded:
    """One text, cut at its end."""
    room = max_length - frame.overhead
    return frame.build(text[:room], truncated=len(text) > room)


def encode_pair(frame: Frame, first: list[int], second: list[int], max_length: int) -> Encoded:
    """Two texts; the longer one loses its end, subword by subword, until both fit."""
    room = max_length - frame.overhead - len(frame.between)
    a, b = len(first), len(second)
    if a + b <= room:
        return frame.build(first, second)
    half = room // 2
    if a <= half:
        b = room - a
    elif b <= half:
        a = room - b
    else:
        a, b = (half, room - half) if a <= b else (room - half, half)
    return frame.build(first[:a], second[:b], truncated=True)


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
