"""Pooled states of sentences by language and layer, which `xglue_harness.probing.states` computes and keeps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.checks import device_of
from xglue_harness.encoders.languages import NLLB_CODES
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import DataError
from xglue_harness.probing.opening import frozen_encoder
from xglue_harness.threads import line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xglue_harness.analyze.settings import Settings
    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.probing.states import Part

_POOLING = {"last": "eos"}
"""What the last real subword is called where states are computed."""


def load(name: str, settings: Settings) -> FrozenEncoder:
    """An encoder on its device; on a CPU, stderr says how many threads there are.

    Args:
        name: Hub id (``@revision``) or folder.
        settings: device, pooling, and the most subwords of a sentence; fewer where the encoder can't read as many.

    Raises:
        EncoderError: where the encoder can't be loaded or used, or there is no such device.
    """
    device = device_of(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cpu":
        print(f"{name}: {line(torch.get_num_threads())}", file=sys.stderr)  # noqa: T201
    ways: Any = {"pooling": _POOLING.get(settings.pooling, settings.pooling), "max_length": settings.max_length}
    return frozen_encoder(load_backbone(name, device), name, **ways, progress=True)


def layer_or_last(layer: int | None, last: int) -> int:
    """A layer that an encoder has.

    Args:
        layer: that is wanted; ``None``: the last.
        last: number of the last one.

    Raises:
        DataError: where there is no such layer.
    """
    if layer is not None and not 0 <= layer <= last:
        raise DataError(f"--layer {layer}: the encoder has layers 0 to {last}")
    return last if layer is None else layer


def parts_of(encoder: FrozenEncoder, texts: Mapping[str, Sequence[str]]) -> dict[str, Part]:
    """Sentences by language, tokenised; nothing is computed.

    Args:
        encoder: one that reads a language code, or is told the language, gets that of each language.
        texts: sentences by language.

    Raises:
        DataError: for a language whose code is not known, where the tokenizer reads one.
        EncoderError: for a language that the encoder would have to be told and does not know.
    """
    backbone = encoder.backbone
    short = backbone.name.rstrip("/").rsplit("/", 1)[-1]
    for language in texts:
        if hasattr(backbone.tokenizer, "src_lang") and language not in NLLB_CODES:
            raise DataError(f"{backbone.name} reads a language code, and none is known for {language!r}")
    return {language: encoder.texts(lines, language, f"{short} {language}") for language, lines in texts.items()}


def every_layer(encoder: FrozenEncoder, part: Part) -> torch.Tensor:
    """States that are on disk, ``[layers + 1, n, d]`` float32, as `xglue_analysis.layer_states` gives them."""
    layers = [part.states(layer).astype(np.float32) for layer in range(encoder.last + 1)]
    return torch.from_numpy(np.stack(layers))


def facts_of(encoder: FrozenEncoder) -> dict[str, Any]:
    """Which encoder it is, for the record."""
    backbone = encoder.backbone
    return {
        "name": backbone.name,
        "revision": backbone.revision,
        "model_type": backbone.config.model_type,
        "encoder_sha256": weights_sha256(backbone.encoder),
        "tokenizer": backbone.tokenizer.name_or_path,
        "batches": backbone.batch_rule,
    }
