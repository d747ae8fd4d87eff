"""Train only the embedding rows that the training text uses.

A multilingual vocabulary has hundreds of thousands of rows of which English training sets use a few thousand. A row
that no input uses has gradient 0, so AdamW without weight decay never moves it, and gradient clipping does not see it:
training the used rows alone gives the same weights, with a fraction of the parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class TrimmedEmbedding(nn.Module):
    """An embedding of which only some rows are parameters; the others are read from the frozen full table.

    It takes the same ids as the embedding that it stands for, so that positions counted from padding stay as they are.
    """

    full: torch.Tensor
    place: torch.Tensor

    def __init__(self, embedding: nn.Embedding, used: Iterable[int]) -> None:
        """Stand for ``embedding`` with the rows ``used`` trainable (the padding row is always among them)."""
        super().__init__()
        padding = embedding.padding_idx
        rows = torch.tensor(sorted({*used} | ({padding} if padding is not None else set())))
        full = embedding.weight.detach()
        place = torch.full((full.shape[0],), -1, dtype=torch.long)
        place[rows] = torch.arange(len(rows))
        self.register_buffer("full", full, persistent=False)
        self.register_buffer("place", place.to(full.device), persistent=False)
        self.register_buffer("rows", rows.to(full.device), persistent=False)
        self.weight = nn.Parameter(full[rows.to(full.device)].clone())
        self.scale = float(getattr(embedding, "embed_scale", 1.0))
        self.padding_idx = None if padding is None else int(place[padding])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Look ids up; in training all of them must be among the used ones."""
        place = self.place[ids]
        vectors = nn.functional.embedding(place.clamp(min=0), self.weight, padding_idx=self.padding_idx)
        if not self.training:
            frozen = nn.functional.embedding(ids, self.full)
            vectors = torch.where((place >= 0).unsqueeze(-1), vectors, frozen)
        return vectors * self.scale if self.scale != 1.0 else vectors


def why_not_trimmable(encoder: Any, weight_decay: float) -> str | None:
    """Why trimming would not be exact for an encoder; ``None`` where it is."""
    if weight_decay:
        return "weight decay moves rows that no text uses"
    try:
        embedding = encoder.get_input_embeddings()
    except NotImplementedError:  # CANINE reads characters by hashes
        embedding = None
    plain = isinstance(embedding, nn.Embedding) and (
        type(embedding).forward is nn.Embedding.forward or hasattr(embedding, "embed_scale")
    )
    if embedding is None or not plain or embedding.max_norm is not None:
        return f"{type(embedding).__name__} is not a plain table"
    if sum(parameter is embedding.weight for _, parameter in encoder.named_parameters(remove_duplicate=False)) > 1:
        return "the table is tied to another weight"
    return None


def trim(encoder: Any, used: Iterable[int]) -> None:
    """Put a `TrimmedEmbedding` into ``encoder``, with the rows ``used`` trainable."""
    encoder.set_input_embeddings(TrimmedEmbedding(encoder.get_input_embeddings(), used))
