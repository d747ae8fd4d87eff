"""The store of fine-tuned encoders, by content: the same training is done once on a machine.

An entry's key is a hash of all that decides its weights. An entry holds ``entry.json``, a manifest with the checksum of
every file and of itself, and the weights of the epochs that a selection rule may want. It is put together in a working
folder, where an interrupted training goes on, and appears by one rename.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from xglue_harness.atomic import flush_folder
from xglue_harness.errors import StoreError
from xglue_harness.exclusive import is_locked, locked
from xglue_harness.files import cache_root, variable_path
from xglue_harness.seal import DamagedFileError, unsealed_json
from xglue_harness.store.files import VARIABLE, read_tensors, unwritable, write_sealed

if TYPE_CHECKING:  # torch takes seconds, which `xglue-harness store ls` need not wait for
    import torch

logger = logging.getLogger(__name__)

FORMAT = 2
MANIFEST = "entry.json"


def store_root() -> Path:
    """``$XGLUE_STORE``, else ``store`` in the cache folder (``$XGLUE_CACHE``, ``~/.cache/xglue_harness``)."""
    chosen = os.environ.get(VARIABLE)
    return variable_path(VARIABLE, chosen) if chosen else cache_root() / "store"


def content_key(identity: Mapping[str, Any]) -> str:
    """Key of a training (32 hex digits): SHA-256 over all that decides its weights."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, allow_nan=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Entry:
    """A finished fine-tuning in the store.

    Attributes:
        folder: where it lies; its name is the key.
        name: of the backbone that was trained first, for people.
        identity: all that decides its weights.
        training: the record of its training (`xglue_harness.records.training_schema.Training`).
        weights: file name and sha256 of the weights of each kept epoch.
        averages: the same of the mean of the last epochs' weights, by the number of epochs in it.
    """

    folder: Path
    name: str
    identity: dict[str, Any]
    training: dict[str, Any]
    weights: dict[float, tuple[str, str]]
    averages: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The content address."""
        return self.folder.name

    def read(self, epoch: float) -> dict[str, torch.Tensor]:
        """Trained tensors of a kept epoch.

        Raises:
            StoreError: where the file was removed, or can't be read.
        """
        return self._read(*self.weights[epoch])

    def read_average(self, epochs: int) -> dict[str, torch.Tensor]:
        """The mean of the trained tensors after the last epochs.

        Args:
            epochs: that are in it; one of ``averages``.

        Raises:
            StoreError: as for `read`.
        """
        return self._read(*self.averages[epochs])

    def files(self) -> list[tuple[str, str]]:
        """Name and sha256 of every file with weights."""
        return [*self.weights.values(), *self.averages.values()]

    def _read(self, name: str, sha256: str) -> dict[str, torch.Tensor]:
        try:
            return read_tensors(self.folder / name, sha256)
        except DamagedFileError as error:
            raise StoreError(
                f"{self.folder / name}: {error}: was it pruned, or changed, meanwhile? Run the command again"
            ) from None

    def problems(self) -> list[str]:
        """What is wrong with the files, by their checksums; empty for a sound entry."""
        problems = []
        for name, sha256 in self.files():
            try:
                read_tensors(self.folder / name, sha256)
            except DamagedFileError as error:
                problems.append(f"{self.folder / name}: {error}")
        return problems


class Store:
    """A folder of fine-tuned encoders; safe for any number of processes."""

    def __init__(self, root: Path | None = None) -> None:
        """Use ``root``, or what `store_root` says; nothing is written before there is something to keep."""
        self.root = root or store_root()

    def entry_folder(self, key: str) -> Path:
        """Where a finished entry lies."""
        return self.root / "entries" / key

    def working_folder(self, key: str) -> Path:
        """Where an unfinished training keeps its checkpoints."""
        return self.root / "working" / key

    def _lock(self, key: str) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def find(self, key: str) -> Entry | None:
        """The sound entry of a key; ``None`` where there is none, or only a damaged one, which the log names."""
        folder = self.entry_folder(key)
        if not folder.is_dir():
            return None
        try:
            entry = read_entry(folder)
            problems = entry.problems()
        except (StoreError, OSError) as error:
            problems = [str(error)]
        if problems:
            logger.warning("store: %s; the encoder is fine-tuned anew", "; ".join(problems))
            return None
        _tidy(entry)
        with suppress(OSError):  # a store that can only be read
            os.utime(folder / MANIFEST)  # the time of the last use, for `store prune`
        return entry

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the one lock of a key; a process that waits says so. A killed process's lock is free.

        Raises:
            StoreError: where the store can't be written.
        """
        path = self._lock(key)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path, f"store: another process trains {key}; waiting for it"))
            except OSError as error:
                raise unwritable(path, error) from error
            yield

    def finish(
        self,
        key: str,
        name: str,
        identity: Mapping[str, Any],
        training: Any,
        weights: Mapping[float, tuple[str, str]],
        averages: Mapping[int, tuple[str, str]] | None = None,
    ) -> Entry:
        """Turn a working folder into an entry.

        Args:
            key: its content address.
            name: of the backbone, for people.
            identity: all that decides the weights.
            training: the record of the training, as JSON.
            weights: file name (within the working folder) and sha256 of each kept epoch.
            averages: the same of each mean, by the number of epochs in it.
        """
        working, folder = self.working_folder(key), self.entry_folder(key)
        manifest = {
            "format": FORMAT,
            "name": name,
            "identity": dict(identity),
            "training": training,
            "weights": {str(epoch): list(file) for epoch, file in weights.items()},
            "averages": {str(epochs): list(file) for epochs, file in (averages or {}).items()},
        }
        write_sealed(working / MANIFEST, key, manifest)
        try:
            if folder.exists():  # a damaged one
                self.remove(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            working.replace(folder)
            flush_folder(folder.parent)
        except OSError as error:
            raise unwritable(folder, error) from error
        entry = read_entry(folder)
        _tidy(entry)
        return entry

    def folders(self, kind: str) -> list[Path]:
        """All folders of ``entries`` or ``working``."""
        place = self.root / kind
        return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def remove(self, folder: Path) -> None:
        """Take a folder away: at once under its name, then from the disk."""
        trash = self.root / "trash" / uuid.uuid4().hex
        try:
            trash.parent.mkdir(parents=True, exist_ok=True)
            folder.replace(trash)
        except OSError as error:
            raise StoreError(f"cannot remove {folder}: {error.strerror or error}") from error
        shutil.rmtree(trash, ignore_errors=True)

    def remove_unused(self, folder: Path, *, still: Callable[[Path], bool] = Path.exists) -> bool:
        """Take a folder away, unless a process is training it, or it has changed since it was chosen.

        Args:
            folder: an entry, or a training that was not finished.
            still: whether it is still to go; asked once no other process can change it.

        Returns:
            Whether it was removed.
        """
        path = self._lock(folder.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path, timeout=0):
                if not still(folder):
                    return False
                self.remove(folder)
        except Timeout:
            return False
        except OSError as error:
            raise unwritable(path, error) from error
        return True

    def is_locked(self, key: str) -> bool:
        """Whether a process trains a key right now."""
        return is_locked(self._lock(key))

    def empty_trash(self) -> None:
        """Remove what a killed `remove` left."""
        for folder in self.folders("trash"):
            shutil.rmtree(folder, ignore_errors=True)


def _tidy(entry: Entry) -> None:
    """Remove the checkpoints of an entry's training, and whatever else it does not name."""
    keep = {MANIFEST, *(name for name, _ in entry.files())}
    with suppress(OSError):
        for path in entry.folder.iterdir():
            if path.name not in keep:
                path.unlink(missing_ok=True)


def read_entry(folder: Path) -> Entry:
    """Read a manifest.

    Raises:
        StoreError: where it is missing, damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        manifest = unsealed_json(folder.name, path.read_bytes())
        if manifest["format"] != FORMAT:
            raise StoreError(f"{path} has format {manifest['format']}, not {FORMAT}")
        if content_key(manifest["identity"]) != folder.name:
            raise StoreError(f"{path} is of another training: what it says of it does not lead to its key")
        weights = {float(epoch): (name, sha256) for epoch, (name, sha256) in manifest["weights"].items()}
        averages = {
            int(epochs): (name, sha256)
            for epochs, (name, sha256) in manifest.get("averages", {}).items()
            if (folder / name).exists()  # versions that know no means tidy them away
        }
        return Entry(folder, manifest["name"], manifest["identity"], manifest["training"], weights, averages)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged: {error}") from None


def last_used(folder: Path) -> float:
    """When an entry was last used, or a working folder got its last checkpoint, in seconds since 1970."""
    times = [path.stat().st_mtime for path in (folder / MANIFEST, folder / "progress.json", folder) if path.exists()]
    return times[0] if times else time.time()
