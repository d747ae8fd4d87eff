"""What of lm-eval is used here, for the type checker: it has no types that count. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

if TYPE_CHECKING:
    import torch

Function: TypeAlias = Callable[..., Any]
"""A function of lm-eval's, which has no types."""


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
    def device(self) -> torch.device | str:
        """Where the model is."""


def is_local(lm: LanguageModel) -> TypeGuard[LocalModel]:
    """Whether a model is a torch module of this process."""
    import torch

    return isinstance(getattr(lm, "model", None), torch.nn.Module)
