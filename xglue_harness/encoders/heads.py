"""An encoder with a head: the model that is fine-tuned."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from xglue_harness.encoders.attention_mask import finished_mask
from xglue_harness.encoders.calling import call, reads_segments
from xglue_harness.encoders.pooling import Pooling, pool

IGNORED = -100
"""Label of positions that count neither in the loss nor in a score."""


class TransferModel(nn.Module):
    """Encoder and classification head.

    Sentences: pooled vector -> dropout -> dense + tanh -> dropout -> linear, as in BERT's and RoBERTa's own sequence
    classifiers. Words: dropout -> linear on the first subword of each word (Devlin et al. 2019, section 5.3).
    """

    def __init__(
        self, encoder: nn.Module, classes: int, *, tagging: bool, pooling: Pooling, dropout: float = 0.1
    ) -> None:
        """Put a freshly initialised head on ``encoder`` (weights N(0, 0.02²), biases 0; torch's global seed counts)."""
        super().__init__()
        config: Any = encoder.config
        width = int(getattr(config, "hidden_size", None) or config.d_model)
        self.encoder = encoder
        self.pooling = pooling
        self.tagging = tagging
        self.reads_segments = reads_segments(encoder)
        self.dense = None if tagging else nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, classes)
        for layer in (self.dense, self.classifier):
            if layer is not None:
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        languages: torch.Tensor | None = None,
        *,
        finished: bool = False,
        output_hidden_states: bool = False,
    ) -> dict[str, Any]:
        """Score classes.

        Args:
            input_ids: ``[batch, length]`` subwords, padded on the right.
            attention_mask: ``[batch, length]``, 1 for real subwords.
            token_type_ids: ``[batch, length]`` segments; an encoder that was trained without does not see them.
            labels: ``[batch]`` classes, or ``[batch, length]`` for words (`IGNORED` where no word begins).
            languages: ``[batch]`` numbers of languages, for an encoder that is told them.
            finished: give the encoder a finished mask, of which it asks nothing; for one that takes it
                (`xglue_harness.encoders.attention_mask.takes_finished_mask`).
            output_hidden_states: also give those of all layers.

        Returns:
            ``logits`` ``[batch, classes]`` or ``[batch, length, classes]``, and the summed cross-entropy as ``loss``
            where labels are given; the trainer, which knows the whole batch, divides it. Under ``hidden_states``
            layers + 1 tensors ``[batch, length, width]``, from the embeddings to what the head reads.
        """
        options: dict[str, Any] = {"output_hidden_states": True} if output_hidden_states else {}
        segments = token_type_ids if self.reads_segments else None
        mask = finished_mask(attention_mask) if finished else attention_mask
        output = call(self.encoder, input_ids, mask, segments, languages, **options)
        hidden = output.last_hidden_state
        result: dict[str, Any] = {}
        if output_hidden_states:
            result["hidden_states"] = (*output.hidden_states[:-1], hidden)
        if self.dense is not None:
            vector = self.dropout(pool(hidden, attention_mask, self.pooling))
            hidden = torch.tanh(self.dense(vector))
        result["logits"] = logits = self.classifier(self.dropout(hidden))
        if labels is not None:
            flat, target = logits.flatten(0, -2).float(), labels.flatten()
            result["loss"] = nn.functional.cross_entropy(flat, target, ignore_index=IGNORED, reduction="sum")
        return result
