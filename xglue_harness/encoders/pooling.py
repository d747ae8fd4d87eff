"""From the vectors of a sentence's subwords to one vector."""

from __future__ import annotations

from typing import Any, Literal

import torch

Pooling = Literal["first", "mean", "max", "eos"]

_BY_FAMILY: dict[str, Pooling] = {
    # Encoders trained with a classification token in front (BERT, XLM-R and their kin) carry the sentence there.
    # Encoders of sequence-to-sequence models have no such token: their first subword is a language code or a word.
    "mbart": "mean",
    "m2m_100": "mean",
    "bart": "mean",
    "t5": "mean",
    "mt5": "mean",
    "umt5": "mean",
}


def default_pooling(config: Any) -> Pooling:
    """Pooling of an encoder's family: the first subword, or the mean where no subword stands for the sentence."""
    fallback: Pooling = "mean" if getattr(config, "is_encoder_decoder", False) else "first"
    return _BY_FAMILY.get(getattr(config, "model_type", ""), fallback)


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Pool hidden states.

    Args:
        hidden: ``[batch, length, width]``.
        mask: ``[batch, length]``, 1 for real subwords; padding stands on the right.
        pooling: ``first`` subword, ``mean`` or ``max`` over the real ones, or the last real one (``eos``).

    Returns:
        ``[batch, width]``.
    """
    if pooling == "first":
        return hidden[:, 0]
    if pooling == "eos":
        last = mask.sum(dim=1) - 1
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
    real = mask.unsqueeze(-1).to(torch.bool)
    if pooling == "max":
        return hidden.masked_fill(~real, float("-inf")).amax(dim=1)
    return (hidden * real).sum(dim=1) / real.sum(dim=1).to(hidden.dtype)
