"""Hidden states of an encoder by language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from xglue_analysis.representations import Pooling, states_of
from xglue_harness.encoders.languages import NLLB_CODES, reading
from xglue_harness.encoders.loading import position_limit, weights_sha256
from xglue_harness.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xglue_harness.encoders.loading import Backbone


def states_by_language(
    backbone: Backbone, texts: Mapping[str, Sequence[str]], *, pooling: Pooling, max_length: int
) -> dict[str, torch.Tensor]:
    """For each language ``[layers + 1, n, d]``, as `xglue_analysis.representations.layer_states`.

    Args:
        backbone: encoder and tokenizer; one that reads a language code gets that of each language.
        texts: sentences by language.
        pooling: of the subwords.
        max_length: subwords; less where the encoder can't read as many.

    Raises:
        DataError: for a language whose code is not known, where the tokenizer reads one.
    """
    tokenizer: Any = backbone.tokenizer
    length = min(max_length, position_limit(backbone.config, tokenizer) or max_length)
    found = {}
    for language, sentences in texts.items():
        if hasattr(tokenizer, "src_lang") and language not in NLLB_CODES:
            raise DataError(f"{backbone.name} reads a language code, and none is known for {language!r}")
        with reading(tokenizer, language):
            encoded = tokenizer(list(sentences), truncation=True, max_length=length)
        note = f"{backbone.name.rstrip('/').rsplit('/', 1)[-1]} {language}"
        pad = tokenizer.pad_token_id
        found[language] = states_of(backbone.encoder, encoded, pad=pad, pooling=pooling, progress=True, note=note)
    return found


def facts_of(backbone: Backbone) -> dict[str, Any]:
    """Which encoder it is, for the record."""
    return {
        "name": backbone.name,
        "revision": backbone.revision,
        "model_type": backbone.config.model_type,
        "encoder_sha256": weights_sha256(backbone.encoder),
        "tokenizer": backbone.tokenizer.name_or_path,
    }
