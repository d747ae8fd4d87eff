"""Adapters of the peft library, merged into the weights that they change."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from xglue_harness.encoders.backbone import encoder_of, merged
from xglue_harness.encoders.checks import check_finite
from xglue_harness.encoders.loading import explained
from xglue_harness.errors import EncoderError

logger = logging.getLogger(__name__)


def adapted_encoder(model: Any, adapter: str, *, vocabulary: int, revision: str = "main") -> nn.Module:
    """The encoder of a whole model with an adapter merged into it.

    As in lm-eval's ``hf``, the embedding table is cut or grown to the tokenizer's size first: adapters with tokens of
    their own are trained so. Unlike there, an adapter that was trained on the body without a head is put on the body,
    and one that does not fit is an error.

    Args:
        model: the whole model, with decoder and head; it is changed.
        adapter: Hub id or folder of the adapter.
        vocabulary: entries of the tokenizer.
        revision: branch, tag or commit of the adapter on the Hub.

    Raises:
        EncoderError: where peft is not installed, or the adapter can't be read, does not fit, can't be merged, or
            is not finite.
    """
    try:
        from peft import PeftModel, load_peft_weights
    except ImportError:
        raise EncoderError("the model's argument peft needs the peft library: pip install peft") from None

    if model.config.vocab_size != vocabulary:
        logger.info("the embedding table is resized from %d to the tokenizer's %d", model.config.vocab_size, vocabulary)
        model.resize_token_embeddings(vocabulary)
    with explained(adapter, "adapter"):
        stored = [name.removeprefix("base_model.model.") for name in load_peft_weights(adapter, revision=revision)]
        body = model.base_model
        whole = any(name.partition(".")[0] in dict(model.named_children()) for name in stored)
        wrapped = PeftModel.from_pretrained(model if whole else body, adapter, revision=revision)
    check_placed(wrapped, adapter, revision=revision)
    encoder = encoder_of(merged(wrapped))
    check_finite(encoder, f"{model.config.name_or_path} with the adapter {adapter}")
    return encoder


def check_placed(wrapped: Any, adapter: str, *, revision: str = "main") -> None:
    """Refuse an adapter that has weights for places that the model lacks, or none for a place that it adapts.

    peft itself only warns, and leaves such places as they were: a score of the bare encoder under the adapter's name.

    Args:
        wrapped: a peft model with that adapter.
        adapter: Hub id or folder of the adapter.
        revision: branch, tag or commit of the adapter on the Hub.

    Raises:
        EncoderError: naming one of the weights.
    """
    with explained(adapter, "adapter"):  # it is read once more, for what has no counterpart
        report = wrapped.load_adapter(adapter, "default", revision=revision)
    if unplaced := sorted({*report.missing_keys, *report.unexpected_keys}):
        model = wrapped.get_base_model()
        raise EncoderError(
            f"the adapter {adapter} does not fit {model.config.name_or_path} ({type(model).__name__}): {len(unplaced)} "
            f"weights have no counterpart, {unplaced[0]} for one; if it was trained on the body without a head, "
            "use --model hf-encoder"
        )
