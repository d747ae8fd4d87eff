"""Files that are whole or absent: written aside, flushed to the disk, then put in place by one rename."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from xglue_harness.atomic import replacing
from xglue_harness.errors import StoreError
from xglue_harness.seal import DamagedFileError, seal, sealed_json

if TYPE_CHECKING:  # torch takes seconds, which `xglue-harness store ls` need not wait for
    import torch
    from typing_extensions import Buffer

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


def write_sealed(path: Path, key: str, value: Mapping[str, Any]) -> None:
    """Write JSON with its seal (`xglue_harness.seal`), whole or not at all."""
    with writing(path) as temporary:
        temporary.write_bytes(sealed_json(key, value))


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write tensors as safetensors, whole or not at all; returns their `tensors_sha256`."""
    plain: dict[str, torch.Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().cpu().contiguous()
        if plain[name].data_ptr() in places:  # tied weights: safetensors wants each its own memory
            plain[name] = plain[name].clone()
        places.add(plain[name].data_ptr())
    with writing(path) as temporary:
        save_tensors(temporary, plain)
    return tensors_sha256(plain)


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that all can read who can read other new files (safetensors 0.8 shuts them out)."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata)
    path.chmod(mode)


def read_tensors(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """All tensors of a file, mapped into memory.

    Args:
        path: of a safetensors file.
        sha256: their `tensors_sha256`.

    Raises:
        DamagedFileError: where the file is missing, damaged, or holds other tensors.
    """
    tensors, _ = open_tensors(path)
    if tensors_sha256(tensors) != sha256:
        raise DamagedFileError("its checksum is not its own")
    return tensors


def open_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a file, mapped into memory; nothing is compared.

    Raises:
        DamagedFileError: where there is no such file, or it can't be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            return tensors, file.metadata() or {}
    except FileNotFoundError:
        raise DamagedFileError("it is missing") from None
    except (OSError, SafetensorError) as error:
        raise DamagedFileError(f"it can't be read: {error}") from None


def tensors_sha256(tensors: Mapping[str, torch.Tensor], key: str = "") -> str:
    """sha256 (hex) over names, types, shapes and content of tensors, and a key: a second for 1.5 GB or so."""
    return seal(key, (part for name in sorted(tensors) for part in _parts(name, tensors[name])))


def _parts(name: str, tensor: torch.Tensor) -> Iterator[Buffer]:
    import torch

    yield f"{len(name)} {name} {tensor.dtype} {list(tensor.shape)}\n".encode()
    yield tensor.reshape(-1).view(torch.uint8).numpy().data  # numpy has no bfloat16
