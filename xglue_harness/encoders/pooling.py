"""From the vectors of a sentence's subwords to one vector.

| family | in front stands | default | reason |
| --- | --- | --- | --- |
| BERT, XLM-R, RoBERTa, ... | ``[CLS]``, ``<s>`` | first | their authors fine-tune so (Devlin et al. 2019, section 4) |
| DeBERTa-v2 and v3, mDeBERTa | ``[CLS]`` | first | its own ``ContextPooler`` reads the first vector |
| ModernBERT, mmBERT | ``[CLS]`` | first | ``classifier_pooling`` is ``cls`` in its configuration class |
| EuroBERT | a start token | mean | its own classifier averages over the subwords |
| mBART, NLLB, M2M100 | the language code | mean | the code differs between training and test languages |
| T5, mT5, umT5 | a word | mean | nothing stands for the sentence (Ni et al. 2022: the mean is better) |
| XGLM (converted from fairseq) | the end of a sentence | mean | the first subword sees no other |
| BART, other encoder-decoders | ``<s>``, a word | mean | what sums a sentence up is the decoder's part in them |
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from xglue_harness.encoders.backbone import has_decoder

Pooling = Literal["first", "mean", "max", "eos"]

_MEAN = {"eurobert", "xglm"}
"""Encoders without a decoder that have no token for the sentence, or whose first subword sees no other."""


def default_pooling(config: Any) -> Pooling:
    """Pooling of an encoder's family: the first subword, or the mean where no subword stands for the sentence."""
    return "mean" if has_decoder(config) or config.model_type in _MEAN else "first"


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
