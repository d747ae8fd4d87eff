"""Files that are whole or absent: written aside, flushed to the disk, then put in place by one rename."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from xglue_harness.data.cache import replacing
from xglue_harness.data.folder import file_sha256
from xglue_harness.errors import StoreError

if TYPE_CHECKING:  # torch takes seconds, which `xglue-harness store ls` need not wait for
    import torch

VARIABLE = "XGLUE_STORE"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary place that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        StoreError: where it can't be written; nothing is left behind.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: Exception) -> StoreError:
    """The error for a place of the store that can't be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return StoreError(
        f"cannot write {path} ({reason}): free some room (xglue-harness store prune) or set the environment variable "
        f"{VARIABLE} to a folder that can be written and has room; the run goes on from its last checkpoint"
    )


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write tensors as safetensors, whole or not at all; returns the file's sha256 (hex)."""
    plain: dict[str, torch.Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().cpu().contiguous()
        if plain[name].data_ptr() in places:  # tied weights: safetensors wants each its own memory
            plain[name] = plain[name].clone()
        places.add(plain[name].data_ptr())
    with writing(path) as temporary:
        save_tensors(temporary, plain)
        digest = file_sha256(temporary)
    return digest  # noqa: RET504 (the file is in place only now)


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that those can read who can read a new file here (safetensors 0.8 lets no one else)."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata)
    path.chmod(mode)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, on the CPU."""
    from safetensors.torch import load_file

    return load_file(path)
