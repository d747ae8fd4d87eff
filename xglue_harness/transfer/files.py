"""Files that are whole or absent: written aside, flushed to the disk, then put in place by one rename."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from xglue_harness.data.folder import file_sha256
from xglue_harness.errors import StoreError

VARIABLE = "XGLUE_STORE"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary place that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        StoreError: where it can't be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes what is open for writing only
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # in a folder that can't be written there is nothing to take away either
            temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make renames within a folder survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems flush no folders
            os.fsync(handle)
    finally:
        os.close(handle)


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
        save_file(plain, temporary)
        digest = file_sha256(temporary)
    return digest  # noqa: RET504 (the file is in place only now)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, on the CPU."""
    return load_file(path)
