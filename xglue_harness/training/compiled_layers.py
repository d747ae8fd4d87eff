"""An encoder's layers as torch.compile makes them, for training alone.

Layers are copies of one another, so the compiler works once for all of them: seconds, where a whole encoder takes
minutes, and for each shape anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_SHAPES = 64
"""Shapes that the compiler makes code for; by default it stops after the eighth, and says little."""


class CompiledLayers:
    """Forward passes of an encoder's layers, compiled at their first use."""

    def __init__(self, encoder: nn.Module, *, static: bool) -> None:
        """Nothing is compiled, and nothing of the encoder is changed.

        Args:
            encoder: whose layers stand in lists; one without any is compiled as a whole.
            static: for each shape by itself, which gives faster code; else for all.
        """
        self._modules = _layers(encoder)
        self._compiled = [torch.compile(module.forward, dynamic=not static) for module in self._modules]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The encoder's forward passes go through compiled layers in here."""
        config: Any = torch._dynamo.config
        for module, compiled in zip(self._modules, self._compiled, strict=True):
            module.forward = compiled
        try:
            with config.patch(recompile_limit=_SHAPES):
                yield
        finally:
            for module in self._modules:
                del module.forward  # what stood in front of the class's own


def _layers(encoder: nn.Module) -> list[nn.Module]:
    """The members of all lists of modules that no other such list holds, or the encoder itself."""
    layers: list[nn.Module] = []

    def look(module: nn.Module) -> None:
        for child in module.children():
            if isinstance(child, nn.ModuleList) and len(child):
                layers.extend(child)
            else:
                look(child)

    look(encoder)
    return layers or [encoder]
