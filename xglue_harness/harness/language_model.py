"""The part of lm-eval's models that is used here, for the type checker."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import torch


class LanguageModel(Protocol):
    """Any model of lm-eval: local or behind an API."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def world_size(self) -> int:
        """Number of processes."""


class LocalModel(LanguageModel, Protocol):
    """One that holds a transformers model in this process: ``hf``, ``hf-encoder``, and what is made like them."""

    model: torch.nn.Module
    tokenizer: Any

    @property
    def device(self) -> Any:
        """Where the model is: a ``torch.device`` or its name."""


def is_local(lm: LanguageModel) -> TypeGuard[LocalModel]:
    """Whether a model is a torch module of this process."""
    return isinstance(getattr(lm, "model", None), torch.nn.Module)
