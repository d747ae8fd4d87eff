"""Hidden states of an encoder by language."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from xglue_analysis.representations import Pooling, states_of
from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.calling import Told
from xglue_harness.encoders.checks import device_of
from xglue_harness.encoders.languages import NLLB_CODES, reading
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.probe import position_limit, probe_padding, with_batch_rule
from xglue_harness.encoders.told_languages import language_number
from xglue_harness.errors import DataError
from xglue_harness.threads import line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xglue_harness.analyze.settings import Settings
    from xglue_harness.encoders.backbone import Backbone


def load(name: str, settings: Settings) -> Backbone:
    """An encoder on its device, `ready` to be used; on a CPU, stderr says how many threads there are.

    Args:
        name: Hub id (``@revision``) or folder.
        settings: with the device, and the most subwords of a sentence.

    Raises:
        EncoderError: where the encoder can't be loaded or used, or there is no such device.
    """
    device = device_of(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cpu":
        print(f"{name}: {line(torch.get_num_threads())}", file=sys.stderr)  # noqa: T201
    return ready(load_backbone(name, device), settings.max_length)


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


def ready(backbone: Backbone, max_length: int) -> Backbone:
    """A backbone that knows which inputs may share a batch, where they have at most so many subwords.

    Raises:
        EncoderError: where the encoder can't be used.
    """
    return with_batch_rule(backbone, probe_padding(backbone, _length(backbone, max_length)))


def _length(backbone: Backbone, max_length: int) -> int:
    return min(max_length, position_limit(backbone, max_length) or max_length)


def states_by_language(
    backbone: Backbone, texts: Mapping[str, Sequence[str]], *, pooling: Pooling, max_length: int
) -> dict[str, torch.Tensor]:
    """For each language ``[layers + 1, n, d]``, as `xglue_analysis.representations.layer_states`.

    Args:
        backbone: encoder and tokenizer, from `ready`; one that reads a language code, or is told the language, gets
            that of each language.
        texts: sentences by language.
        pooling: of the subwords.
        max_length: subwords; less where the encoder can't read as many.

    Raises:
        DataError: for a language whose code is not known, where the tokenizer reads one.
        EncoderError: for a language that the encoder would have to be told and does not know.
    """
    tokenizer: Any = backbone.tokenizer
    length = _length(backbone, max_length)
    states = {}
    for language, sentences in texts.items():
        if hasattr(tokenizer, "src_lang") and language not in NLLB_CODES:
            raise DataError(f"{backbone.name} reads a language code, and none is known for {language!r}")
        with reading(tokenizer, language):
            encoded = tokenizer(list(sentences), truncation=True, max_length=length)
        note = f"{backbone.name.rstrip('/').rsplit('/', 1)[-1]} {language}"
        number = language_number(backbone, language)
        encoder = backbone.encoder if number is None else Told(backbone.encoder, number)
        ways: Any = {"pad": tokenizer.pad_token_id, "pooling": pooling, "batches": backbone.batch_rule}
        states[language] = states_of(encoder, encoded, **ways, progress=True, note=note)
    return states


def facts_of(backbone: Backbone) -> dict[str, Any]:
    """Which encoder it is, for the record."""
    return {
        "name": backbone.name,
        "revision": backbone.revision,
        "model_type": backbone.config.model_type,
        "encoder_sha256": weights_sha256(backbone.encoder),
        "tokenizer": backbone.tokenizer.name_or_path,
        "batches": backbone.batch_rule,
    }
