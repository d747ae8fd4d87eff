"""Tokenised data sets as memory-mapped files, by content: the same text is tokenised once on a machine.

A file's name is a hash of all that decides the tokens: the rows' text and labels, the tokenizer's rules, the special
tokens around a text of that language, the length, and `TOKENS_VERSION`. So subsets of a data set are files of their
own, and encoders that share a tokenizer share them, whatever their names. Every file can be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from xglue_harness.atomic import replacing
from xglue_harness.benchmark import TaskSpec
from xglue_harness.encoders.checks import check_ids
from xglue_harness.encoders.fingerprint import subwords_sha256
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.encoders.tokenising import chunks, frame_of, tokenised
from xglue_harness.encoders.told_languages import language_number
from xglue_harness.files import cache_root, unwritable_cache
from xglue_harness.records.provenance import versions
from xglue_harness.seal import DamagedFileError
from xglue_harness.store.files import open_tensors, save_tensors, tensors_sha256

if TYPE_CHECKING:
    import torch

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.tokenising import Rows

logger = logging.getLogger(__name__)

TOKENS_VERSION = 1
"""To be raised whenever the same rows and tokenizer give other tokens or labels, or the columns of `Inputs` change: it
is part of the keys. What it can't undo are trainings on the former tokens, so that ``TRAINING_VERSION`` rises with it.
"""

_CHUNK = 10_000
_SHA256 = "sha256"
_LIBRARIES = ("tokenizers", "transformers", "sentencepiece")


def encoder_inputs(
    backbone: Backbone,
    spec: TaskSpec,
    rows: Rows,
    language: str,
    max_length: int,
    *,
    what: str | None = None,
    progress: bool = False,
) -> Inputs:
    """All that an encoder reads of some rows: their tokens, from the cache or anew, and the language that it is told.

    Args:
        backbone: encoder and tokenizer.
        spec: the task.
        rows: as for `tokenised`.
        language: language of the rows.
        max_length: most subwords of an input, special ones included.
        what: whose text it is, for an error's message; by default that of the task in that language.
        progress: show a bar where it takes long.

    Raises:
        DataError: if the cache can't be written.
        EncoderError: for ids that the encoder has no row for, or a language that it has to be told and does not know.
    """
    number = language_number(backbone, language)
    inputs = cached(spec, rows, backbone.tokenizer, language, max_length, progress=progress)
    check_ids(backbone.encoder, backbone.tokenizer, inputs.ids, what or f"{spec.title} {language}")
    return inputs.told(number)


def cached(
    spec: TaskSpec, rows: Rows, tokenizer: Any, language: str, max_length: int, *, progress: bool = False
) -> Inputs:
    """What `tokenised` gives for the same arguments, from the cache where it was asked for before.

    A damaged file is built anew, with a warning.

    Raises:
        DataError: if the cache can't be written.
    """
    key = tokens_key(spec, rows, tokenizer, language, max_length)
    path = cache_root() / "tokens" / f"{key}.safetensors"
    if (inputs := _read(path)) is not None:
        logger.info("%s %s: the tokens of %d rows come from the cache", spec.title, language, len(rows))
        return inputs
    inputs = tokenised(spec, rows, tokenizer, language, max_length, progress=progress)
    tensors = inputs.tensors()
    try:
        with replacing(path) as temporary:
            save_tensors(temporary, tensors, {_SHA256: tensors_sha256(tensors, key)})
    except (OSError, SafetensorError) as error:
        raise unwritable_cache(path.parent, error) from error
    return inputs


def tokens_key(spec: TaskSpec, rows: Rows, tokenizer: Any, language: str, max_length: int) -> str:
    """Hash (hex) of all that decides the tokens of some rows."""
    frame = astuple(frame_of(spec, tokenizer, language))
    task = (spec.name, spec.kind.value, spec.text_a, spec.text_b, spec.columns)
    facts = [task, _rows_sha256(spec, rows), subwords_sha256(tokenizer), frame, max_length]
    facts += [TOKENS_VERSION, _libraries()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _rows_sha256(spec: TaskSpec, rows: Rows) -> str:
    """Hash (hex) of the texts and labels: half a second for XNLI's 392 702 rows."""
    digest = hashlib.sha256()
    for columns in chunks(rows, spec, _CHUNK):
        for part in chain.from_iterable(map(_parts, columns.values())):
            digest.update(part)
    return digest.hexdigest()


def _parts(values: Sequence[Any]) -> list[Any]:
    """Bytes of a column's values, with all lengths in front, so that no two columns have the same."""
    if not values or not isinstance(values[0], Sequence):
        return [len(values).to_bytes(8, "little"), np.array(values, np.int64)]
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    if isinstance(values[0], str):
        return [len(values).to_bytes(8, "little"), sizes, "".join(values).encode("utf-8", "surrogatepass")]
    return [len(values).to_bytes(8, "little"), sizes, *_parts(list(chain.from_iterable(values)))]


@cache
def _libraries() -> list[str]:
    installed = versions()
    return [f"{name} {installed[name]}" for name in _LIBRARIES]


def _read(path: Path) -> Inputs | None:
    """The tokens in a file, mapped into memory; ``None`` where there is none, or a damaged one, which the log names."""
    if not path.exists():
        return None
    try:
        return Inputs(**checked_tensors(path))
    except DamagedFileError as error:
        logger.warning("the cached file %s is damaged (%s); it is built anew", path, error)
        return None


def checked_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The columns in a cached file, mapped into memory.

    Raises:
        DamagedFileError: where it is missing, damaged or of another key.
    """
    tensors, metadata = open_tensors(path)
    if metadata != {_SHA256: tensors_sha256(tensors, path.stem)}:
        raise DamagedFileError("its checksum is not its own")
    return tensors
