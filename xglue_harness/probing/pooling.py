"""How a checkpoint wants its texts pooled: a model of sentence-transformers runs as itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from xglue_harness.encoders.loading import Checkpoint
from xglue_harness.encoders.pooling import Pooling
from xglue_harness.errors import EncoderError
from xglue_harness.files import read_json

_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "eos",
}
"""What sentence-transformers calls a pooling, and we."""
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
