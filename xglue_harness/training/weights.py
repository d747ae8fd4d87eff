"""The weights that a training changed: out of its model into the store, and back into a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xglue_harness.encoders.trimmed_embedding import TrimmedEmbedding

if TYPE_CHECKING:
    import torch

    from xglue_harness.encoders.heads import TransferModel


def trained_tensors(model: TransferModel) -> dict[str, torch.Tensor]:
    """All that fine-tuning changed. Of a trimmed embedding table that is the trained rows, with their numbers."""
    tensors = dict(model.state_dict())
    for name, module in model.named_modules():
        if isinstance(module, TrimmedEmbedding):
            tensors[f"{name}.rows"] = module.get_buffer("rows")
    return tensors


def load_trained(model: TransferModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put what `trained_tensors` gave into a model around the same pretrained encoder with its whole table."""
    weights = dict(tensors)
    for name in [name for name in weights if name.endswith(".rows")]:
        weight = f"{name.removesuffix('rows')}weight"
        table: torch.Tensor = model.state_dict()[weight]
        table[weights.pop(name).to(table.device)] = weights.pop(weight).to(table.device)
        weights[weight] = table
    model.load_state_dict(weights)
