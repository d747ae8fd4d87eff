"""Whether a configuration can be that of an encoder at all, before anything of its size is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xglue_harness.errors import EncoderError

_LAYERS = ("num_hidden_layers", "encoder_layers", "num_encoder_layers", "num_layers", "n_layers", "n_layer")
_WIDTHS = ("hidden_size", "d_model", "dim", "emb_dim", "n_embd")
_INNER = ("intermediate_size", "encoder_ffn_dim", "ffn_dim", "d_ff", "hidden_dim", "d_inner")
_HEADS = (
    "num_attention_heads",
    "encoder_attention_heads",
    "num_encoder_attention_heads",
    "n_heads",
    "n_head",
    "num_heads",
)
_ROWS = ("vocab_size", "max_position_embeddings")

_MOST_LAYERS = 10_000
_SLACK = 4e9
"""Bytes that an encoder may take whatever its files hold."""
_RATIO = 100
"""Bytes of weights for each that is stored: ALBERT shares its layers, others store 4 bits."""
_MOST = 4e12
"""Bytes that one may take whose files are not here yet."""


def check_sizes(config: Any, name: str) -> None:
    """Refuse sizes that are no counts, or that would take terabytes.

    Args:
        config: a configuration.
        name: of its checkpoint: a folder, or a Hub id.

    Raises:
        EncoderError: naming the checkpoint, config.json and the key.
    """
    for key in (*_LAYERS, *_WIDTHS, *_INNER, *_HEADS, *_ROWS):
        value = getattr(config, key, None)
        if value is None or isinstance(value, (list, tuple)):  # of vision models, by stage
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise EncoderError(f"{_place(name)} has {key}: {value!r}, which has to be a whole number of 1 or more")
    for key in _LAYERS:
        value = getattr(config, key, None)
        if isinstance(value, int) and value > _MOST_LAYERS:
            raise EncoderError(f"{_place(name)} has {key}: {value}: no encoder has more than {_MOST_LAYERS} layers")
    size, stored = _bytes(config), _stored(name)
    if size > (_MOST if stored is None else _RATIO * stored + _SLACK):
        beside = "" if stored is None else f", and its files hold {stored / 1e9:.3g} GB"
        shown = {key: getattr(config, key) for key in (*_LAYERS, *_WIDTHS, *_INNER, *_ROWS) if _known(config, key)}
        raise EncoderError(
            f"{_place(name)} names sizes that would take {size / 1e9:,.0f} GB{beside}: "
            f"{', '.join(f'{key} {value}' for key, value in shown.items())}"
        )


def _known(config: Any, key: str) -> bool:
    return isinstance(getattr(config, key, None), int)


def _largest(config: Any, keys: tuple[str, ...]) -> int:
    return max((getattr(config, key) for key in keys if _known(config, key)), default=0)


def _bytes(config: Any) -> float:
    """About what the weights of a configuration take in fp32."""
    layers, width, inner = (float(_largest(config, keys)) for keys in (_LAYERS, _WIDTHS, _INNER))
    rows = sum(float(getattr(config, key)) for key in _ROWS if _known(config, key))
    return 4 * (rows * width + layers * (4 * width * width + 2 * width * inner))


def _stored(name: str) -> float | None:
    """Bytes of the weights in a folder; ``None`` where it is none, or holds none."""
    folder = Path(name)
    if not folder.is_dir():
        return None
    kinds = ("*.safetensors", "*.bin", "*.gguf")
    sizes = [path.stat().st_size for kind in kinds for path in folder.rglob(kind) if path.is_file()]
    return float(sum(sizes)) if sizes else None


def _place(name: str) -> str:
    return f"{name}: config.json"
