"""States of texts and words from a frozen encoder, kept on disk: equal texts once.

Texts are computed in blocks: the first thousand different ones of a list, the next thousand, and so on. A block is a
unit of its own on disk. So the first rows of a test set are the same files whether a probe reads the whole of it or an
analysis its beginning, and their bits do not depend on who came first: the last bit of a state depends on the texts
that it is computed with.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from xglue_harness.encoders.inputs import Inputs
from xglue_harness.prediction.equal_inputs import first_of_equals
from xglue_harness.probing import state_files

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.probing.probes import Floats, Ints

STATES_VERSION = 2
"""To be raised whenever the same encoder and tokens give other states: it is part of the keys."""

_BLOCK = 1000
"""Inputs of a block: as many as an analysis reads of a language, unless it is told otherwise."""


@dataclass(frozen=True)
class Block:
    """Inputs whose states are computed together, and lie in files of their own.

    Attributes:
        key: hash (hex) of all that decides the states.
        inputs: places in the part's inputs, the longest input first; none equals another.
        rows: of a file: texts, or words.
    """

    key: str
    inputs: NDArray[np.int64]
    rows: int


@dataclass(frozen=True)
class Part:
    """Texts of one language, or the words of its sentences, tokenised.

    Attributes:
        title: for bars.
        inputs: what the encoder reads.
        blocks: of all inputs that differ.
        index: ``[texts or words]``, the row that has its state, of the blocks' files end to end.
        steps: last layer of the encoder and a hash (hex) of what is done with its pooled vectors, if anything is.
    """

    title: str
    inputs: Inputs
    blocks: Sequence[Block]
    index: Ints
    steps: tuple[int, str] | None = None

    def states(self, layer: int) -> Floats:
        """Vectors of all texts, or words, in a layer that was computed, ``[texts or words, width]`` float64."""
        return state_files.read([self.path(block, layer) for block in self.blocks], self.index)

    def path(self, block: Block, layer: int) -> Path:
        """Where the states of a block lie."""
        steps = self.steps[1] if self.steps is not None and self.steps[0] == layer else ""
        return state_files.path_of(block.key, layer, steps)


class Lacking(NamedTuple):
    """A block of a part, and the layers in which it is not on disk."""

    part: Part
    block: Block
    layers: list[int]


Wanted = Sequence[tuple["FrozenEncoder", Sequence[Part], Sequence[int]]]
"""Encoders, each with parts of its own and the layers of them."""


def keep_states(wanted: Wanted, *, max_disk: float | None = None, say_size: bool = True) -> None:
    """Have states on disk, computing those that are not there yet.

    Args:
        wanted: encoders, parts and layers.
        max_disk: GB that may be written.
        say_size: say before it, where bars are, how large they will be.

    Raises:
        DataError: where they would be larger, there is no room for them, or they can't be written.
        EncoderError: for states that are not finite.
    """
    lacking = _lacking(wanted)
    size = _size(lacking)
    if say_size and any(encoder.progress for encoder, _, _ in wanted):
        print(f"states: {state_files.in_gb(size)} to be computed and kept in the cache", file=sys.stderr)  # noqa: T201
    state_files.check_room(size, None if max_disk is None else int(max_disk * 1e9))
    for encoder, group in groupby(lacking, key=itemgetter(0)):
        encoder.compute([one for _, one in group])


def checked_size(wanted: Wanted) -> str:
    """The size, for humans, of the states that `keep_states` would compute.

    Args:
        wanted: encoders, parts and layers.

    Raises:
        DataError: where there is no room for them.
    """
    size = _size(_lacking(wanted))
    state_files.check_room(size, None)
    return state_files.in_gb(size)


def _lacking(wanted: Wanted) -> list[tuple[FrozenEncoder, Lacking]]:
    """What is not on disk, each block once: two names may stand for one encoder."""
    found: dict[str, tuple[FrozenEncoder, Lacking]] = {}
    for encoder, parts, layers in wanted:
        for one in encoder.missing(parts, layers):
            found.setdefault(one.block.key, (encoder, one))
    return [*found.values()]


def _size(lacking: Sequence[tuple[FrozenEncoder, Lacking]]) -> int:
    return sum(encoder.bytes_of([one]) for encoder, one in lacking)


def blocks_of(inputs: Inputs, facts: Sequence[str]) -> tuple[list[Block], Ints]:
    """The inputs that differ, block by block, and for each input its place among them.

    Args:
        inputs: texts of one language, or its sentences.
        facts: of the encoder and of what it is computed with: all beside the inputs that decides states.
    """
    firsts = _with_equal_words(inputs, first_of_equals(inputs))
    chosen = np.flatnonzero(firsts == np.arange(len(firsts)))
    lengths = np.diff(inputs.starts.numpy())
    blocks, place = [], np.zeros(len(firsts), dtype=np.int64)
    for start in range(0, max(len(chosen), 1), _BLOCK):
        own = chosen[start : start + _BLOCK]
        own = own[np.argsort(-lengths[own], kind="stable")]
        place[own] = start + np.arange(len(own))
        words = inputs.word_starts
        rows = len(own) if words is None else int(np.diff(words.numpy())[own].sum())
        blocks.append(Block(_key(inputs, facts, own), own, rows))
    return blocks, place[firsts]


def _key(inputs: Inputs, facts: Sequence[str], block: NDArray[np.int64]) -> str:
    """Of the states of some inputs: encoder, what it reads, and what it is computed with."""
    digest = hashlib.sha256(json.dumps([STATES_VERSION, *facts]).encode())
    starts = {"ids": inputs.starts, "segments": inputs.starts, "positions": inputs.word_starts, "languages": None}
    for name, begins in starts.items():
        column = getattr(inputs, name)
        if column is not None:
            places = torch.arange(len(inputs) + 1) if begins is None else begins
            pieces = [column[places[at] : places[at + 1]].numpy() for at in block.tolist()]
            digest.update(f"{name} {column.dtype} {[len(piece) for piece in pieces]}\n".encode())
            digest.update(b"".join(piece.tobytes() for piece in pieces))
    return digest.hexdigest()


def _with_equal_words(inputs: Inputs, firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of equal inputs those alone that answer for the same words: windows of a repetitive sentence may not."""
    if inputs.positions is None:
        return firsts
    found: dict[tuple[int, bytes], int] = {}
    words = [inputs.positions[inputs.words_of(index)].numpy().tobytes() for index in range(len(inputs))]
    pairs = enumerate(zip(firsts.tolist(), words, strict=True))
    return np.array([found.setdefault(pair, index) for index, pair in pairs], dtype=np.int64)
