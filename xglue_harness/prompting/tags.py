"""Tags of words, from the text that a language model generates.

What is asked for is strict: a line for each word, in order, of the word, a tab and its tag (`strict_answer`). What is
read is not: other separators, list marks, quotes, tables, code fences, ``word/TAG`` in a row, tags alone, words left
out, and other spellings of a tag. A word is never given a tag that the answer does not have for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_MARKS = re.compile(r"^(?:[-*•+]|\(?\d+[.):]|\|)\s+")
"""Marks of a list or a table at the beginning of a line."""
_BEFORE_A_TAG = " \t:=/|,>→_\"'`(*["
_WRAPPING = " \t`'\"“”«»*|()[]{}<>,;.!:=/_-→"
_LONGEST_TAG = 40
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[\w+-]*")
"""The first or the last line of a block of code; a word may begin so, too."""
_INLINE = re.compile(r"\S+[/_][A-Za-z-]+")
_QUOTED = re.compile(r"""[\[({|\s]*(["'`*]+)(.+?)\1[\s,:|]*["'`*]*""")


def strict_answer(words: Sequence[str], tags: Sequence[str]) -> str:
    """The answer that is asked for: ``word``, tab, ``tag`` on a line each.

    Args:
        words: ``[words]``.
        tags: ``[words]``.
    """
    return "\n".join(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True))


def read_tags(answer: str, words: Sequence[str], labels: Sequence[str], aliases: Mapping[str, str]) -> list[int | None]:
    """The tag of each word.

    Args:
        answer: what the model has generated.
        words: the sentence, ``[words]``.
        labels: classes by number.
        aliases: other spellings of a class, in upper case.

    Returns:
        A class id for each word, ``[words]``; ``None`` where the answer has none for it.
    """
    known = {label.upper(): number for number, label in enumerate(labels)}
    known = {**{alias: labels.index(name) for alias, name in aliases.items()}, **known}
    readings = [reading for line in _lines(answer) if (reading := _readings(line, known))]
    tags: list[int | None] = [None] * len(words)
    if _by_words(readings, words, tags) or not readings:
        return tags
    alone = [tag for reading in readings for head, tag in reading[:1] if not head.strip(_WRAPPING + "0123456789")]
    if len(alone) == len(readings) <= len(words):  # tags alone; where they are fewer, the last words have none
        tags[: len(alone)] = alone
    elif len(readings) == len(words):  # the model has changed all of the words
        tags = [reading[0][1] for reading in readings]
    return tags


def _lines(answer: str) -> list[str]:
    lines = [line.strip(" \r") for line in _THOUGHTS.sub("", answer).split("\n")]
    parts = []
    for line in lines:
        tokens = line.split()
        inline = len(tokens) > 1 and all(_INLINE.fullmatch(token) for token in tokens)
        parts += tokens if inline else [line]
    return [part for part in parts if part and not _FENCE.fullmatch(part)]


def _readings(line: str, known: Mapping[str, int]) -> list[tuple[str, int]]:
    """What a line can mean, the longest tag first: what stands before the tag, and the tag."""
    bare = line.rstrip(_WRAPPING)
    cuts = [i for i in range(max(0, len(bare) - _LONGEST_TAG), len(bare)) if i == 0 or bare[i - 1] in _BEFORE_A_TAG]
    tags = [(line[:cut], known.get(bare[cut:].strip(_WRAPPING).upper())) for cut in cuts]
    return [(head, tag) for head, tag in tags if tag is not None]


def _spellings(head: str) -> set[str]:
    """The words that may be meant by what stands before a tag: as it is, without list marks, without what wraps it."""
    plain = head.strip(" \t")
    unmarked = _MARKS.sub("", plain)
    spellings = {plain, unmarked, plain[:-1].rstrip(), unmarked[:-1].rstrip()}
    spellings |= {spelling.strip(_WRAPPING) for spelling in spellings}
    quoted = _QUOTED.fullmatch(unmarked)
    return {spelling.casefold() for spelling in (spellings | {quoted[2]} if quoted else spellings)} - {""}


def _by_words(readings: Sequence[Sequence[tuple[str, int]]], words: Sequence[str], tags: list[int | None]) -> int:
    """Give the words the tags of the lines that name them, in order.

    Returns:
        How far it came: 0 where no line names a word.
    """
    place = 0
    folded = [word.casefold() for word in words]
    for reading in readings:
        for head, tag in reading:
            spelt = _spellings(head)
            at = next((i for i in range(place, len(words)) if folded[i] in spelt), None)
            if at is not None:
                tags[at], place = tag, at + 1
                break
    return place
