"""Dropout of an encoder, whatever its family calls it and wherever its forward pass reads it."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from xglue_harness.errors import EncoderError

_ATTENTION_WITH_DROPOUT = frozenset({"eager", "sdpa", "flash_attention_2"})
"""Those of transformers' attention kernels; FlashAttention 3 and later leave it out without a word."""


def set_dropout(encoder: nn.Module, rate: float) -> None:
    """Let every dropout of an encoder have one rate.

    Families keep it in three places: modules (BERT, T5, DeBERTa), numbers on their layers that functional dropout and
    attention kernels read (BART, mBART, M2M100, ModernBERT, EuroBERT), and the configuration. Where ModernBERT's layers
    have an identity, because their rate was 0 when they were built, they get a dropout.

    LayerDrop skips whole layers, which is something else: it keeps its own rate, except that a ``rate`` of 0 ends it as
    well, so that nothing is random any more.

    Args:
        encoder: it is changed.
        rate: share of the activations that are set to 0 in training.
    """
    for module in list(encoder.modules()):
        if isinstance(module, _DropoutNd):
            module.p = rate
        _set_numbers(module, rate)
        for name, child in module.named_children():
            if name.endswith("drop") and isinstance(child, nn.Identity):
                setattr(module, name, nn.Dropout(rate))
        if hasattr(module, "config"):
            _set_numbers(module.config, rate)


def _set_numbers(holder: Any, rate: float) -> None:
    for name, value in vars(holder).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if "dropout" in name or name == "drop_prob" or ("layerdrop" in name and rate == 0):
            setattr(holder, name, rate)


def check_attention_dropout(encoder: Any, rate: float | None) -> None:
    """Refuse to train with an attention kernel that would lose the encoder's dropout.

    Args:
        encoder: one of transformers; its configuration names the kernel.
        rate: the recipe's dropout; ``None``: the encoder's own.

    Raises:
        EncoderError: naming kernel and rate, and what to do.
    """
    config = encoder.config
    kernel = getattr(config, "_attn_implementation", None)
    if kernel is None or kernel in _ATTENTION_WITH_DROPOUT:
        return
    numbers = {name: value for name, value in vars(config).items() if isinstance(value, float) and "dropout" in name}
    rates = [value for name, value in numbers.items() if "attention" in name] or list(numbers.values())
    lost = max(rates, default=0.0) if rate is None else rate
    if lost > 0:
        raise EncoderError(
            f"attention by {kernel} has no dropout, and the training would silently do without its {lost:g}: use "
            "attn_implementation=sdpa in --model_args, or ask for --metadata dropout=0"
        )
