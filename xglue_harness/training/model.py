"""The model that is trained: a copy of a backbone's encoder with a new head."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import TaskSpec
from xglue_harness.encoders.backbone import widened
from xglue_harness.encoders.dropout import set_dropout
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.told_languages import keep_languages
from xglue_harness.encoders.trimmed_embedding import trim
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.recipe import Recipe


def build_model(backbone: Backbone, spec: TaskSpec, recipe: Recipe, used: Iterable[int] | None = None) -> TransferModel:
    """A copy of the encoder, in fp32, with a new head (torch's global seed counts).

    Args:
        backbone: the pretrained encoder.
        spec: the task.
        recipe: its pooling and dropout count here.
        used: the embedding rows to train; the table itself then stays the backbone's and is not copied. ``None``: all.
    """
    shared: dict[int, Any] = {}
    if used is not None:
        table: Any = backbone.encoder.get_input_embeddings().weight  # type: ignore[operator]
        shared[id(table)] = torch.nn.Parameter(table.detach())
    encoder = widened(copy.deepcopy(backbone.encoder, shared))
    encoder.requires_grad_(True)
    keep_languages(encoder)
    if used is not None:
        trim(encoder, used)
    if recipe.dropout is not None:
        set_dropout(encoder, recipe.dropout)
    head_dropout = {} if recipe.dropout is None else {"dropout": recipe.dropout}
    tagging = kind_of(spec).per_word
    return TransferModel(encoder, len(spec.labels), tagging=tagging, pooling=recipe.pooling, **head_dropout)
