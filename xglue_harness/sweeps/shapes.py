"""How large an encoder is, by its configuration or its description: its weights need not be on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xglue_harness.leaderboard.contributions.backbones import Backbone

_LAYERS = ("encoder_layers", "num_encoder_layers", "num_hidden_layers", "num_layers", "n_layers", "n_layer")
_WIDTH = ("d_model", "hidden_size", "dim", "n_embd")
_INNER = ("encoder_ffn_dim", "intermediate_size", "d_ff", "hidden_dim")
"""What families call these in ``config.json``; an encoder's own name before one that a decoder may share."""
_GATED = ("modernbert", "nomic_bert", "eurobert", "gte")
"""Families whose feed-forward parts have a third matrix."""


@dataclass(frozen=True)
class Shape:
    """Numbers of parameters.

    Attributes:
        body: of the layers: those that every subword is multiplied with.
        embedding: of the table of word embeddings.
        width: of the hidden states.
        source: where they come from, in words.
    """

    body: int
    embedding: int
    width: int
    source: str


def shape_of(pretrained: str, revision: str | None) -> Shape | None:
    """The shape of an encoder; ``None`` where neither its configuration nor a description is on this machine.

    Args:
        pretrained: a folder, or an id on the Hub.
        revision: on the Hub.
    """
    described = descriptions().get(pretrained)
    if described is not None:
        numbers = described.parameters
        return Shape(numbers.encoder - numbers.embedding, numbers.embedding, described.width, "the leaderboard's YAML")
    config = config_of(pretrained, revision)
    return None if config is None else from_config(config)


def config_of(pretrained: str, revision: str | None) -> Mapping[str, Any] | None:
    """What the ``config.json`` of a checkpoint says; ``None`` where it is not on this machine, or no JSON.

    Args:
        pretrained: a folder, or an id on the Hub.
        revision: on the Hub.
    """
    own = Path(pretrained, "config.json")
    path = own if own.is_file() else _cached(pretrained, revision)
    try:
        config = None if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def from_config(config: Mapping[str, Any]) -> Shape | None:
    """The shape by a ``config.json``; ``None`` where it does not tell.

    A layer has four square matrices for attention, and two of width times inner width, or three where they are gated;
    biases and norms are less than a hundredth of that.
    """
    layers, width = _first(config, _LAYERS), _first(config, _WIDTH)
    if layers is None or width is None:
        return None
    inner = _first(config, _INNER) or 4 * width
    gated = str(config.get("feed_forward_proj", "")).startswith("gated") or config.get("model_type") in _GATED
    body = layers * (4 * width**2 + (3 if gated else 2) * width * inner)
    embedding = int(config.get("vocab_size") or 0) * int(config.get("embedding_size") or width)
    return Shape(body, embedding, width, "config.json")


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), None)


def _cached(hub: str, revision: str | None) -> Path | None:
    """The configuration in the cache of the Hub; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(hub, "config.json", revision=revision)
    except ValueError:  # no id of the Hub
        return None
    return Path(found) if isinstance(found, str) else None


@cache
def descriptions() -> dict[str, Backbone]:
    """The backbones that this version's leaderboard describes, by their id on the Hub."""
    from xglue_harness.resources import published_tree

    return {item.hub: item for item in backbones_in(published_tree()) if item.hub is not None}


def backbones_in(tree: Path) -> Iterator[Backbone]:
    """The backbones that a tree of contributions describes."""
    from xglue_harness.leaderboard.contributions.backbones import read_backbone

    return (read_backbone(path) for path in sorted((tree / "backbones").glob("*.yaml")))
