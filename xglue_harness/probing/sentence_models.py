"""A checkpoint of sentence-transformers runs as itself: with its own pooling, and with what it does after that."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.loading import Checkpoint
from xglue_harness.encoders.pooling import Pooling
from xglue_harness.errors import EncoderError
from xglue_harness.files import read_json

if TYPE_CHECKING:
    import torch
    from torch import nn

_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "eos",
}
"""What sentence-transformers calls a pooling, and we."""
_POOLED = 2
"""Modules up to the pooling: the transformer, and it."""
_NAMES = {"mean": "mean", "cls": "first", "max": "max", "lasttoken": "eos"}


def pooling_of(name: str, wanted: str = "auto") -> str:
    """The pooling of an encoder.

    Args:
        name: Hub id (``@revision``) or folder.
        wanted: of the user; ``auto``: that of the sentence-transformers model that the checkpoint is, else the mean.

    Raises:
        EncoderError: for a pooling that we don't have.
    """
    if wanted != "auto":
        return wanted
    config = _file(Checkpoint.of(name), "1_Pooling/config.json")
    if config is None:
        return "mean"
    settings = read_json(config)
    mode = settings.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else mode or []
    chosen = [_NAMES.get(one, one) for one in modes]
    chosen += [ours for theirs, ours in _MODES.items() if settings.get(theirs) is True]
    strange = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    strange = [key for key in strange if key not in _MODES]
    if len(chosen) != 1 or strange or chosen[0] not in get_args(Pooling):
        raise EncoderError(f"{name} pools by {', '.join([*chosen, *strange]) or 'nothing'}: choose one by --pooling")
    return str(chosen[0])


def steps_of(name: str, device: torch.device) -> nn.Module | None:
    """What a model of sentence-transformers does with its pooled vectors: dense layers, normalisation, ...

    Args:
        name: Hub id (``@revision``) or folder.
        device: where to.

    Returns:
        A module that takes and gives a mapping with ``sentence_embedding``; ``None`` where there is nothing to do.

    Raises:
        EncoderError: where there is, and sentence-transformers is not installed or can't load the model.
    """
    checkpoint = Checkpoint.of(name)
    modules = _file(checkpoint, "modules.json")
    if modules is None or len(read_json(modules)) <= _POOLED:
        return None
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError:
        raise EncoderError(
            f"{name} is a model of sentence-transformers with modules after its pooling: pip install "
            "'xglue-harness[mteb]', or probe the bare encoder by pooling mean"
        ) from None
    from torch import nn

    try:
        model = SentenceTransformer(checkpoint.name, revision=checkpoint.revision, device=str(device))
    except Exception as error:  # whatever its modules raise
        raise EncoderError(f"{name} can't be loaded by sentence-transformers: {error}") from error
    return nn.Sequential(*list(model)[_POOLED:]).eval()


def steps_sha256(steps: nn.Module) -> str:
    """Hash (hex) of what `steps_of` gives: classes, settings and weights."""
    return hashlib.sha256(f"{steps} {weights_sha256(steps)}".encode()).hexdigest()


def _file(checkpoint: Checkpoint, path: str) -> Path | None:
    """A file of a checkpoint; ``None`` where it has none, or it can't be had."""
    if Path(checkpoint.name).is_dir():
        found = Path(checkpoint.name) / path
        return found if found.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    places: Any = {"revision": checkpoint.revision}
    try:
        return Path(hf_hub_download(checkpoint.name, path, **places))
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return None
