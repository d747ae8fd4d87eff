"""How a model is used: fine-tuned or prompted; and what both ways share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch

from xglue_harness.encoders.backbone import has_decoder, is_decoder_only
from xglue_harness.errors import PromptError
from xglue_harness.harness.encoder_lm import EncoderLM

DOCUMENT = "document"
"""Column of a test set with the number of each document, from 0."""


@dataclass(frozen=True)
class Answer:
    """What a model answers for a document.

    Attributes:
        prediction: class id, or class ids of the words, or grades of the rows.
        scores: as `xglue_harness.records.predictions` keeps them, for the row, the words, or each row; or ``None``.
        metrics: the protocol's own numbers, by name: as `document_score` gives them.
    """

    prediction: Any
    scores: Any
    metrics: dict[str, Any] = field(default_factory=dict)


Scored: TypeAlias = tuple[int, Any, Any, Any]
"""A document's number, its gold labels, prediction and scores: what official scores and kept predictions are made of.

A plain tuple, for lm-eval gathers it from all processes and writes it into logged samples.
"""


def protocol_of(lm: Any, wanted: Literal["auto", "finetune", "prompt"]) -> Literal["finetune", "prompt"]:
    """How a model of lm-eval is used: an encoder, or what has one, is fine-tuned; all others are prompted.

    Args:
        lm: the model.
        wanted: the option ``protocol``.

    Raises:
        PromptError: where prompts are wanted of a model that reads in both directions: its likelihoods would be those
            of words that it has seen.
    """
    config = encoder_config(lm)
    if wanted == "finetune" or (wanted == "auto" and config is not None):
        return "finetune"
    if isinstance(lm, EncoderLM):
        raise PromptError("protocol prompt: hf-encoder holds an encoder only: use --model hf")
    if config is not None and not has_decoder(config):
        raise PromptError(
            f"protocol prompt: {config.name_or_path or config.model_type} is an encoder ({config.model_type}) and "
            "sees the words whose likelihood it is asked for: leave protocol at auto"
        )
    return "prompt"


def encoder_config(lm: Any) -> Any:
    """Configuration of a transformers model that has an encoder; ``None`` for decoders and models behind an API."""
    if isinstance(lm, EncoderLM):
        return lm.config
    model = getattr(lm, "model", None)
    config = getattr(lm, "config", None) or getattr(model, "config", None)
    if not isinstance(model, torch.nn.Module) or not hasattr(config, "model_type"):
        return None
    return None if is_decoder_only(config) else config
