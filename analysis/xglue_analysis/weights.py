"""Single matrices out of a checkpoint, without building a model or reading the rest."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers.utils import cached_file

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.errors import AnalysisError
from xglue_analysis.roles import Place

FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Where weights may be; the first that is there counts, as in transformers."""


class Weights(Protocol):
    """Parameters that are read one matrix at a time."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters, by name."""

    def read(self, place: Place) -> torch.Tensor:
        """One matrix, ``[rows, columns]``, of the type in which it is stored, on the CPU."""


class MemoryWeights:
    """The parameters of a model that is in memory.

    Args:
        tensors: as of ``model.state_dict()``; numpy arrays will do.
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters, by name."""
        arrays = {
            name: value if hasattr(value, "shape") else tensor(value, name) for name, value in self._tensors.items()
        }
        return {name: tuple(array.shape) for name, array in arrays.items()}

    def read(self, place: Place) -> torch.Tensor:
        """One matrix, ``[rows, columns]``: a view where it lies on the CPU, so don't write into it."""
        value = self._tensors[place.name]
        return (value if isinstance(value, torch.Tensor) else tensor(value, place.name))[_rows(place)].detach().cpu()


class FileWeights:
    """The parameters of a checkpoint: :func:`open_weights` makes one.

    Of a ``.safetensors`` file only the header and the rows asked for are read. A ``.bin`` file is mapped into memory
    from when it is first asked for until `close`, or until the ``with`` block ends; one of the format before torch 1.6
    can't be mapped, and is read whole.

    Args:
        path: a file of weights, or the index of a sharded checkpoint.
        find: gives the path of a shard by the name that the index has for it.
    """

    def __init__(self, path: Path, find: Callable[[str], Path]) -> None:
        self._find = find
        self._files: dict[Path, Weights] = {}
        self._place = dict.fromkeys(self._open(path).shapes(), path) if path.suffix != ".json" else self._shards(path)

    def __enter__(self) -> FileWeights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files; they are opened anew where something is read afterwards."""
        self._files.clear()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters, by name.

        Raises:
            AnalysisError: a shard is missing, damaged, or lacks what the index says is in it.
        """
        return {name: self._of(name).shapes()[name] for name in self._place}

    def read(self, place: Place) -> torch.Tensor:
        """One matrix, ``[rows, columns]``, of the type in which it is stored; nothing else is kept.

        Raises:
            AnalysisError: as for `shapes`.
        """
        return self._of(place.name).read(place)

    def _of(self, name: str) -> Weights:
        """The file that has a parameter."""
        file = self._open(self._place[name])
        if name not in file.shapes():
            raise AnalysisError(
                f"{self._place[name]} lacks {name}, which the index says is in it: fetch the checkpoint again"
            )
        return file

    def _open(self, path: Path) -> Weights:
        if path not in self._files:
            self._files[path] = _Safetensors(path) if path.suffix == ".safetensors" else _Bin(path)
        return self._files[path]

    def _shards(self, index: Path) -> dict[str, Path]:
        """The path of the file of each parameter."""
        try:
            names: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            files = {file: self._find(file) for file in sorted(set(names.values()))}
        except (OSError, RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnalysisError(f"{index} is no index of a sharded checkpoint: fetch it again") from error
        return {name: files[file] for name, file in names.items()}


def open_weights(name: str | Path, *, revision: str = "main", subfolder: str = "") -> FileWeights:
    """Find the weights of a checkpoint.

    Args:
        name: a folder, or a repository on the Hub; its files come from transformers' cache where they are in it, and
            without a network from there alone.
        revision: branch, tag or commit on the Hub.
        subfolder: where in the folder or repository the weights are.

    Returns:
        The weights, to be used in a ``with`` block.

    Raises:
        AnalysisError: there is no checkpoint of that name, it has none of :data:`FILES`, or one of them is damaged.
    """

    def find(file: str) -> Path | None:
        try:
            path = cached_file(
                str(name), file, revision=revision, subfolder=subfolder, _raise_exceptions_for_missing_entries=False
            )
        except OSError as error:
            raise AnalysisError(f"{name} (revision {revision}) can't be read: {error}") from error
        return None if path is None else Path(path)

    def find_shard(file: str) -> Path:
        if (path := find(file)) is None:
            raise AnalysisError(f"{_where(name, subfolder)} lacks the shard {file}: fetch the checkpoint again")
        return path

    for file in FILES:
        if (path := find(file)) is not None:
            return FileWeights(path, find_shard)
    raise AnalysisError(
        f"{_where(name, subfolder)} has no weights: expected one of {', '.join(FILES)}. Of a checkpoint on the Hub "
        "they must have been fetched once where there is no network; other formats are converted by save_pretrained"
    )


def _where(name: str | Path, subfolder: str) -> str:
    return f"{name}/{subfolder}" if subfolder else str(name)


def _rows(place: Place) -> slice:
    return slice(*place.rows) if place.rows else slice(None)


class _Safetensors:
    """One ``.safetensors`` file, opened for each matrix: what has been read from an open file stays in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self._shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._shapes

    def read(self, place: Place) -> torch.Tensor:
        with self._open() as file:
            return cast(torch.Tensor, file.get_slice(place.name)[_rows(place)])

    def _open(self) -> Any:
        try:
            return safe_open(str(self._path), framework="pt")
        except (SafetensorError, OSError) as error:
            raise AnalysisError(f"{self._path} is damaged ({error}): fetch the checkpoint again") from error


class _Bin:
    """One ``.bin`` file."""

    def __init__(self, path: Path) -> None:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except pickle.UnpicklingError as error:
            raise AnalysisError(
                f"{path} is damaged, or holds more than tensors and could run code: convert it to safetensors"
            ) from error
        except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
            raise AnalysisError(f"{path} is damaged ({error}): fetch the checkpoint again") from error
        if not isinstance(content, dict):
            raise AnalysisError(f"{path} holds no parameters by name: give the file that save_pretrained writes")
        self._tensors = MemoryWeights({k: v for k, v in content.items() if isinstance(v, torch.Tensor)})
        self._shapes = self._tensors.shapes()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._shapes

    def read(self, place: Place) -> torch.Tensor:
        return self._tensors.read(place)
