"""The two files of a fairseq model: its checkpoint, which is a pickle, and its dictionary."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xglue_harness.errors import EncoderError
from xglue_harness.files import open_regular, read_regular

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""What stands before the first line of every dictionary, with the ids 0 to 3."""

_POINTER = b"version https://git-lfs"
_OVERWRITE = "#fairseq:overwrite"


@dataclass(frozen=True)
class FairseqModel:
    """What a checkpoint holds of a model.

    Attributes:
        options: the options that it was trained with, of model and task.
        weights: tensors by their names in fairseq.
    """

    options: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]


def read_model(path: Path) -> FairseqModel:
    """Read a checkpoint without running anything that it holds.

    torch's weights-only unpickler builds tensors, containers of Python and numbers; to these come
    ``argparse.Namespace``, which fairseq keeps options in, and numbers of numpy, which it keeps in its statistics.
    Optimizer state stays on the disk, where the file is of the form that can be mapped.

    Raises:
        EncoderError: where the file is not there, is damaged, names anything else (which could run code), or is no
            checkpoint of fairseq.
    """
    try:
        with open_regular(path) as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise EncoderError(f"{path}: is a pointer of Git LFS, not the file: fetch it with git lfs pull")
            mapped = zipfile.is_zipfile(file)
    except OSError as error:
        raise EncoderError(f"{path}: {error.strerror or error}") from None
    try:
        with torch.serialization.safe_globals(_allowed()):
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except pickle.UnpicklingError as error:
        raise EncoderError(f"{path}: {_refused(error)}") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderError(f"{path}: can't be read as a checkpoint of torch ({reason}): fetch it again") from None
    return _model(path, state)


def read_dictionary(path: Path) -> list[str]:
    """Symbols by their ids: `SPECIAL`, then one for each line ``symbol count``.

    Raises:
        EncoderError: where it can't be read; the message names the line.
    """
    try:
        text = read_regular(path).decode("utf-8")
    except OSError as error:
        raise EncoderError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise EncoderError(f"{path}: is not UTF-8 ({error}): is it the dict.txt of the model?") from None
    places = {symbol: index for index, symbol in enumerate(SPECIAL)}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        symbol, _, count = line.removesuffix("\r").removesuffix(f" {_OVERWRITE}").rpartition(" ")
        if not symbol or not count.isdecimal():
            raise EncoderError(f"{path}, line {number}: {line[:80]!r}; expected a symbol, a blank and a count")
        if symbol in places:
            raise EncoderError(f"{path}, line {number}: {symbol!r} stands there a second time: ids would be ambiguous")
        places[symbol] = len(places)
    return list(places)


def _allowed() -> list[Any]:
    """What the unpickler may build beside tensors."""
    import numpy as np

    allowed: list[Any] = [argparse.Namespace, np.dtype, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8"))]
    with suppress(AttributeError):
        scalar = np.float64(0).__reduce__()[0]
        allowed += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return allowed


def _refused(error: Exception) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found is None:
        return "is damaged, or no checkpoint of torch: fetch it again"
    return (
        f"wants to build {found[1]} when it is read, which no checkpoint of weights needs: it is refused, for it could "
        "run any code"
    )


def _model(path: Path, state: Any) -> FairseqModel:
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise EncoderError(f"{path}: has no 'model', so it is no checkpoint of fairseq")
    weights = state["model"]
    if wrong := [name for name, tensor in weights.items() if not isinstance(tensor, torch.Tensor)]:
        raise EncoderError(f"{path}: model: {wrong[0]} is no tensor")
    return FairseqModel(_options(path, state), weights)


def _options(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Options of model and task: ``args`` until fairseq 0.10, since then ``cfg``."""
    parts = [state["args"]] if state.get("args") is not None else []
    if isinstance(whole := state.get("cfg"), dict):
        parts += [whole.get("task"), whole.get("model")]
    options: dict[str, Any] = {}
    for part in parts:
        values = vars(part) if isinstance(part, argparse.Namespace) else part
        options |= {str(key): value for key, value in (values or {}).items()}
    if not options:
        raise EncoderError(f"{path}: has neither 'args' nor 'cfg', so nothing says how the model is built")
    options.setdefault("task", options.get("_name"))
    return options
