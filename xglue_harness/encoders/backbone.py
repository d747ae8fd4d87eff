"""Which part of a checkpoint is the encoder, and what it can take."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from xglue_harness.encoders.calling import check_arguments
from xglue_harness.errors import EncoderError

BatchRule = Literal["any length", "one length", "one input"]
"""Inputs that may share a batch with one without changing what the encoder gives for it."""


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder with its tokenizer, as it came; fine-tuning works on a copy.

    ``batch_rule`` says which inputs may share a batch (`xglue_harness.encoders.probe`).
    """

    encoder: nn.Module
    tokenizer: Any
    config: Any
    device: torch.device
    name: str
    revision: str | None = None
    batch_rule: BatchRule = "any length"


def has_decoder(config: Any) -> bool:
    """Whether a configuration is that of a sequence-to-sequence model.

    ``T5EncoderModel`` and its kin are saved with ``is_encoder_decoder`` off, and loaded as whole models all the same.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as SEQ2SEQ

    if getattr(config, "is_encoder_decoder", False):
        return True
    return config.model_type in SEQ2SEQ and not getattr(config, "is_decoder", False)


def is_decoder_only(config: Any) -> bool:
    """Whether a configuration is that of a model that reads left to right and has no encoder.

    One that says ``xglue_reads_as_encoder`` is taken for an encoder: `xglue_harness.conversion` writes that into
    language models of the size and data of encoders, which are to be compared with these.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    if has_decoder(config) or getattr(config, "xglue_reads_as_encoder", False) is True:
        return False
    family = config.model_type
    return bool(getattr(config, "is_decoder", False)) or (family in CAUSAL and family not in MASKED)


def refuse_decoder_only(config: Any) -> None:
    """Refuse a model that has no encoder; its configuration tells.

    Raises:
        EncoderError: saying what to give instead.
    """
    if is_decoder_only(config):
        family = config.model_type
        raise EncoderError(
            f"{config.name_or_path or family} is a decoder-only model ({family}): it reads left to right and can't be "
            "fine-tuned as an encoder. Give an encoder (BERT, XLM-R, ModernBERT, ...) or an encoder-decoder (mBART, "
            "NLLB, mT5, ...)"
        )


def encoder_of(model: Any) -> nn.Module:
    """The encoder within a transformers model.

    Of a sequence-to-sequence model only the encoder counts; of any other the body without its head. The body is taken
    by ``base_model``: on ``BertLMHeadModel``, ``get_encoder()`` loses the embeddings.

    Raises:
        EncoderError: for a decoder-only model.
    """
    refuse_decoder_only(model.config)
    if has_decoder(model.config):
        return model.get_encoder()  # type: ignore[no-any-return]
    return model.base_model  # type: ignore[no-any-return]


def merged(model: Any) -> Any:
    """A model with its peft adapter merged into the weights; the model itself where it has none.

    A copy is merged: whoever holds ``model`` keeps it as it is.

    Raises:
        EncoderError: for an adapter that is no change of weights (prompt and prefix tuning).
    """
    if not hasattr(model, "peft_config"):
        return model
    if not hasattr(model, "merge_and_unload"):
        kinds = ", ".join(sorted(str(config.peft_type.value) for config in model.peft_config.values()))
        raise EncoderError(f"a {kinds} adapter can't be merged into an encoder: use LoRA or one of its kin")
    return copy.deepcopy(model).merge_and_unload()


def check_trainable(encoder: Any, whole: Any = None) -> None:
    """Refuse an encoder whose weights can't be trained as they lie (`merged` comes first).

    Args:
        encoder: the encoder.
        whole: the model that it is a part of, which knows of quantisation and devices; ``None``: it is by itself.

    Raises:
        EncoderError: for quantised weights, weights spread over devices, or an encoder that needs more than text gives
            (`check_arguments`).
    """
    check_arguments(encoder)
    model = encoder if whole is None else whole
    places = {str(place) for place in (getattr(model, "hf_device_map", None) or {}).values()}
    if getattr(model, "is_quantized", False):
        raise EncoderError("quantised weights can't be fine-tuned: load the model without quantisation")
    if len(places) > 1:
        raise EncoderError(
            f"the model is spread over {', '.join(sorted(places))}: load it on one device (no parallelize)"
        )


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer that can't serve.

    transformers makes an empty tokenizer of the model's family where a checkpoint has none.

    Raises:
        EncoderError: where it has no vocabulary, no padding token, or a ``model_max_length`` that is no number.
    """
    known = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens) - set(tokenizer.get_added_vocab())
    if len(known) <= 1:  # a blank may be there
        raise EncoderError(
            f"{tokenizer.name_or_path} has no tokenizer: name the checkpoint that has one (tokenizer=...), or put its "
            "files beside the weights"
        )
    if tokenizer.pad_token_id is None:
        raise EncoderError(f"the tokenizer of {tokenizer.name_or_path} has no padding token")
    length = getattr(tokenizer, "model_max_length", None)
    if length is not None and (isinstance(length, bool) or not isinstance(length, (int, float)) or not length >= 1):
        raise EncoderError(
            f"{tokenizer.name_or_path}: tokenizer_config.json has model_max_length: {length!r}, which has to be a "
            "number"
        )


def in_fp32(encoder: nn.Module) -> nn.Module:
    """An encoder whose weights are in fp32: itself, or a copy of one that is stored in another type."""
    if all(one.dtype == torch.float32 for one in encoder.parameters() if one.is_floating_point()):
        return encoder
    return widened(copy.deepcopy(encoder))


def widened(encoder: nn.Module) -> nn.Module:
    """The same encoder, changed to fp32, its positions as they are where it is loaded in fp32.

    M2M100 and NLLB compute sinusoids when they are built, and store them in no file: in half precision they would keep
    its rounding for good.
    """
    encoder.float()
    for module in encoder.modules():
        remake, table = getattr(module, "make_weights", None), getattr(module, "weights", None)
        if callable(remake) and isinstance(table, torch.Tensor):
            remake(table.shape[0], module.embedding_dim, module.padding_idx)
    return encoder


def weights_sha256(encoder: nn.Module) -> str:
    """SHA-256 over names, shapes, types and bytes of all weights: two encoders with one hash are the same encoder."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
