"""States on disk: a file a layer, float16, memory-mapped, named by all that decides its content.

A file is a ``.npy`` array ``[rows, width + 1]``. A row is a vector divided by a power of two, so that no value is too
large for float16 and few are too small; the exponent stands in the last column. Beside it lies its checksum.
Every file can be removed at any time.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from xglue_harness.atomic import replacing
from xglue_harness.errors import DataError
from xglue_harness.files import cache_root, file_sha256, nearest_existing, unwritable_cache
from xglue_harness.seal import DamagedFileError, sealed_json, unsealed_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xglue_harness.probing.probes import Floats, Ints

logger = logging.getLogger(__name__)

_HALF = np.dtype("<f2")


def packed(vectors: NDArray[np.float32]) -> NDArray[np.float16]:
    """Vectors as a file holds them, ``[rows, width + 1]``.

    Args:
        vectors: ``[rows, width]``, finite.
    """
    _, exponents = np.frexp(np.abs(vectors).max(axis=1, keepdims=True))
    scaled = np.ldexp(vectors, -exponents)
    return np.concatenate([scaled, exponents], axis=1).astype(_HALF)


def unpacked(rows: NDArray[np.float16]) -> Floats:
    """The vectors of some rows of a file, ``[rows, width]``."""
    values: Floats = np.ldexp(rows[:, :-1].astype(np.float64), rows[:, -1:].astype(np.int32))
    return values


def bytes_of(rows: int, widths: Iterable[int]) -> int:
    """Size of the files of layers whose vectors are so wide."""
    return sum(rows * (width + 1) * _HALF.itemsize for width in widths)


def path_of(key: str, layer: int, steps: str = "") -> Path:
    """Where the states of a layer lie.

    Args:
        key: of the states.
        layer: by number.
        steps: hash (hex) of what was done with them after pooling, if anything was.
    """
    return cache_root() / "states" / key / f"layer_{layer:02d}{steps and '_'}{steps[:16]}.npy"


def is_there(path: Path) -> bool:
    """Whether states are there and sound; a damaged file is named in the log."""
    if not path.exists():
        return False
    try:
        check_states(path)
    except (DamagedFileError, OSError) as error:
        logger.warning("the cached file %s is damaged (%s); it is built anew", path, error)
        return False
    return True


def check_states(path: Path) -> None:
    """Compare a file of states with its checksum.

    Raises:
        DamagedFileError: where it is another.
        OSError: where it can't be read.
    """
    try:
        sealed = unsealed_json(_name(path), path.with_suffix(".json").read_bytes())
    except FileNotFoundError:
        raise DamagedFileError("its checksum is missing") from None
    if sealed["content"] != file_sha256(path):
        raise DamagedFileError("its checksum is not its own")


def read(paths: Sequence[Path], rows: Ints) -> Floats:
    """Vectors of a layer, ``[len(rows), width]``.

    Args:
        paths: files that are there.
        rows: of the files, end to end.
    """
    return unpacked(np.concatenate([np.load(path, mmap_mode="r") for path in paths])[rows])


def check_room(wanted: int, limit: int | None) -> None:
    """Refuse states that are larger than they may be, or than the disk has room.

    Args:
        wanted: bytes that are to be written.
        limit: bytes that may be.

    Raises:
        DataError: naming both sizes, and the way out.
    """
    folder = cache_root() / "states"
    free = shutil.disk_usage(nearest_existing(folder)).free
    way_out = (
        "take fewer rows, languages, tasks or layers (probe --layers last), or another disk (the environment variable "
        "XGLUE_CACHE)"
    )
    if limit is not None and wanted > limit:
        raise DataError(f"states would take {in_gb(wanted)}, more than --max-disk allows ({in_gb(limit)}): {way_out}")
    if wanted > free:
        raise DataError(f"states would take {in_gb(wanted)}, and {folder} has room for {in_gb(free)}: {way_out}")


def in_gb(size: int) -> str:
    """A size for humans."""
    return f"{size / 1e9:.2f} GB"


class Writer:
    """Writes the files of some layers at once, row by row; they appear whole, or not at all."""

    def __init__(self, paths: Mapping[int, Path], widths: Mapping[int, int], rows: int) -> None:
        """Nothing is written before the block begins.

        Args:
            paths: where to, by layer.
            widths: of each layer's vectors.
            rows: that there will be.
        """
        self._paths, self._shapes = paths, {layer: (rows, width + 1) for layer, width in widths.items()}
        self._stack = ExitStack()
        self._files: dict[int, tuple[BinaryIO, Any]] = {}

    def __enter__(self) -> Writer:
        try:
            for layer, shape in self._shapes.items():
                temporary = self._stack.enter_context(replacing(self._paths[layer]))
                file = self._stack.enter_context(temporary.open("wb"))
                self._files[layer] = (file, hashlib.sha256())
                header = {"descr": _HALF.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(_Summing(*self._files[layer]), header)
        except OSError as error:
            self._stack.__exit__(type(error), error, error.__traceback__)  # so that no beginning is put in place
            raise unwritable_cache(cache_root() / "states", error) from error
        return self

    def add(self, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Append rows to each layer.

        Raises:
            DataError: where the disk is full.
        """
        try:
            for layer, (file, digest) in self._files.items():
                _Summing(file, digest).write(packed(vectors[layer]).tobytes())
        except OSError as error:
            raise unwritable_cache(cache_root() / "states", error) from error

    def __exit__(self, *error: Any) -> bool | None:
        try:
            suppressed = self._stack.__exit__(*error)
            if error[0] is None:
                for layer, (_, digest) in self._files.items():
                    self._seal(self._paths[layer], digest.hexdigest())
        except OSError as problem:
            raise unwritable_cache(cache_root() / "states", problem) from problem
        return suppressed

    def _seal(self, path: Path, content: str) -> None:
        with replacing(path.with_suffix(".json")) as temporary:
            temporary.write_bytes(sealed_json(_name(path), {"content": content}))


class _Summing:
    """A file whose checksum grows with it."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"
