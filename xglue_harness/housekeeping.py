"""What is kept on this machine to spare work: trainings in the store, files of the cache; whether they are sound."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from xglue_harness.errors import StoreError
from xglue_harness.seal import DamagedFileError
from xglue_harness.store.trainings import Store, last_used, read_entry
from xglue_harness.training.checkpoint import CheckpointFolder, Progress, read_progress

_DAY = 86400
_SHOWN = ("task", "learning_rate", "epochs", "seed")
"""Of a recipe, always."""


@dataclass(frozen=True)
class KeptTraining:
    """An entry of the store, or a training that was not finished; what can't be told of it is ``None``.

    Attributes:
        key: content address.
        state: what it is.
        encoder: name of the backbone that was trained.
        task: short name of the task.
        learning_rate: of its recipe.
        epochs: of its recipe.
        seed: of its recipe.
        bytes: of its files.
        last_used: seconds since 1970.
        folder: where it lies.
        facts: what else decided its weights, by name: the rest of its recipe, ``rows`` of the training set, and the
            first digits of the hashes of ``data`` and ``weights``.
    """

    key: str
    state: Literal["finished", "unfinished", "damaged"]
    encoder: str | None
    task: str | None
    learning_rate: float | None
    epochs: float | None
    seed: int | None
    bytes: int
    last_used: float
    folder: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def kept_trainings(store: Store) -> list[KeptTraining]:
    """Entries, then unfinished trainings."""
    return [_kept(folder) for kind in ("entries", "working") for folder in store.folders(kind)]


def _kept(folder: Path) -> KeptTraining:
    is_entry = folder.parent.name == "entries"
    state: Literal["finished", "unfinished", "damaged"] = "finished" if is_entry else "unfinished"
    recipe: dict[str, Any]
    more: dict[str, Any] = {}
    try:
        if is_entry:
            entry = read_entry(folder)
            name, recipe = entry.name, entry.identity["recipe"]
            weights = entry.identity.get("backbone", {}).get("weights", "")
            hashes = {"data": entry.identity.get("data", "")[:8], "weights": weights[:8]}
            more = {"rows": entry.training.get("train_rows"), **hashes}
        else:
            progress = read_progress(folder) or Progress()
            name, recipe = progress.name, progress.recipe
    except (StoreError, OSError, ValueError):
        state, name, recipe = "damaged" if is_entry else "unfinished", None, {}
    return KeptTraining(
        folder.name,
        state,
        name,
        **{key: recipe.get(key) for key in _SHOWN},
        bytes=folder_bytes(folder),
        last_used=last_used(folder),
        folder=str(folder),
        facts={**{key: value for key, value in recipe.items() if key not in _SHOWN}, **more},
    )


def telling_apart(trainings: Sequence[KeptTraining]) -> list[str]:
    """Names of the facts in which trainings of one encoder's name and one task differ; all others say nothing.

    Args:
        trainings: all that are listed.
    """
    names = dict.fromkeys(name for training in trainings for name in training.facts)
    found: dict[tuple[str, str | None, str | None], set[str]] = {}
    for training in trainings:
        for name, value in training.facts.items():
            found.setdefault((name, training.task, training.encoder), set()).add(str(value))
    several = {name for (name, _, _), values in found.items() if len(values) > 1}
    return [name for name in names if name in several]


def training_problems(folder: Path) -> list[str]:
    """What is wrong with an entry or an unfinished training, by its checksums; one that is at work now is let alone."""
    try:
        if folder.parent.name == "entries":
            return read_entry(folder).problems()
        CheckpointFolder(folder).read()
    except DamagedFileError as error:
        return [] if Store(folder.parents[1]).is_locked(folder.name) else [f"{folder}: {error}"]
    except (StoreError, OSError) as error:
        return [str(error)]
    return []


def to_prune(
    trainings: Sequence[KeptTraining],
    keys: Collection[str] = (),
    *,
    older_than: float | None = None,
    keep_gb: float | None = None,
    damaged: bool = False,
    everything: bool = False,
) -> list[KeptTraining]:
    """Those of the trainings that are to go: what any of the reasons holds for.

    Args:
        trainings: all of the store.
        keys: to go, or their first digits.
        older_than: days without use after which one goes.
        keep_gb: the least recently used go until no more is left.
        damaged: whether damaged entries go; all checksums are compared.
        everything: whether all go.

    Raises:
        StoreError: for a key that there is not.
    """
    for key in keys:
        if not any(training.key.startswith(key) for training in trainings):
            raise StoreError(f"no entry's key begins with {key!r}: see `xglue-harness store ls`")
    if damaged:
        trainings = [_compared(training) for training in trainings]
    chosen = [
        training
        for training in trainings
        if everything
        or any(training.key.startswith(key) for key in keys)
        or (damaged and training.state == "damaged")
        or (older_than is not None and training.last_used < time.time() - older_than * _DAY)
    ]
    if keep_gb is not None:
        rest = sorted((training for training in trainings if training not in chosen), key=lambda one: one.last_used)
        left = sum(training.bytes for training in rest)
        for training in rest:
            if left <= keep_gb * 1e9:
                break
            chosen.append(training)
            left -= training.bytes
    return chosen


def _compared(training: KeptTraining) -> KeptTraining:
    """With ``damaged`` where the entry's files are not what they were."""
    wrong = training.state == "finished" and training_problems(Path(training.folder))
    return replace(training, state="damaged") if wrong else training


def remove_training(store: Store, training: KeptTraining) -> bool:
    """Remove one, unless a process is at work on it, or a damaged one has been made anew meanwhile.

    Returns:
        Whether it was removed.
    """
    still = (lambda folder: bool(training_problems(folder))) if training.state == "damaged" else Path.exists
    return store.remove_unused(Path(training.folder), still=still)


def folder_bytes(folder: Path) -> int:
    """Bytes of a folder's files; a run may take one away meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def cache_checks(root: Path) -> Iterator[tuple[Path, Callable[[Path], list[str]]]]:
    """All files of the cache, and what tells the problems of each.

    Args:
        root: of the cache.
    """
    from xglue_harness.data.cache import sealed_stream
    from xglue_harness.data.unpacked import verify_unpacked
    from xglue_harness.probing.state_files import check_states
    from xglue_harness.records.prediction_cache import checked_bytes
    from xglue_harness.store.token_cache import checked_tensors

    kinds: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("arrow/*.arrow", sealed_stream),
        ("tokens/*.safetensors", checked_tensors),
        ("predictions/*.parquet", checked_bytes),
        ("states/*/layer_*.npy", check_states),
    )
    for pattern, check in kinds:
        for path in sorted(root.glob(pattern)):
            yield path, partial(_damage, check)
    for path in sorted(root.glob("archives/[!.]*/")):
        yield path, verify_unpacked


def _damage(check: Callable[[Path], object], path: Path) -> list[str]:
    try:
        check(path)
    except (DamagedFileError, OSError) as error:
        return [f"{path}: {error}"]
    return []
