"""Ports of some tasks on the Hugging Face Hub, at pinned revisions, or a user's own repositories of the same shape."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, Kind, TaskSpec
from xglue_harness.data.cache import cached_split, split_key
from xglue_harness.data.manifest import manifest_rows, official_archive
from xglue_harness.data.official import Rows
from xglue_harness.data.ports import SPLITS, Port, chosen_ports, not_on_the_hub
from xglue_harness.data.source import LoadedSplit
from xglue_harness.errors import DataError

if TYPE_CHECKING:
    import datasets

_BATCH = 1000

logger = logging.getLogger(__name__)


class HubSource:
    """Data from repositories with one configuration a language; see ``Source``."""

    name = "hub"
    is_sample = False

    def __init__(self, repositories: Mapping[str, str] | None = None) -> None:
        """Choose the repositories; nothing is loaded yet.

        Args:
            repositories: ``repo/id@revision`` or a local folder by task, in place of or beside the faithful ports.

        Raises:
            DataError: for an unknown task or a repository without a revision.
        """
        self._ports = chosen_ports(repositories or {})
        self.description = ", ".join(f"{task}: {port}" for task, port in self._ports.items())

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split, or take it from the cache.

        ``files`` holds one entry, ``hub:<repository>@<revision>/<language>/<split>``, and a sha256 over the rows.

        Raises:
            DataError: if the task has no port, or the port can't be loaded, or its rows are not the task's.
            KeyError: for a split or a language that is not the task's.
        """
        task.path(split, language)
        port = self._ports.get(task.name)
        if port is None:
            raise not_on_the_hub(task)
        identity = f"hub:{Path(port.repository).name if port.is_local else port}/{language}/{split}"

        def make() -> Rows:
            rows = _rows(_fetch(port, language, split), task, identity)
            _check_count(len(rows), task, split, language, port)
            return rows

        if port.is_immutable:  # found in the cache without the network
            dataset = cached_split(split_key(identity, task, split), task, make)
        else:
            rows = make()
            content = _digest(zip(*(rows.texts[c] for c in task.columns[:-1]), rows.labels, strict=True))
            dataset = cached_split(split_key(content, task, split), task, lambda: rows)
        return LoadedSplit(dataset, {identity: _digest(_tuples(dataset, task))})

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages of the task's port, in the task's order; empty for a task without one.

        Raises:
            DataError: if the repository can't be asked.
        """
        port = self._ports.get(task.name)
        if port is None:
            return ()
        languages = (SOURCE_LANGUAGE,) if split == "train" else task.languages
        if port.faithful:
            return languages
        names = _configurations(port)
        return tuple(language for language in languages if language in names)


def _configurations(port: Port) -> set[str]:
    if port.is_local:
        folders = {entry.name for entry in Path(port.repository).iterdir() if entry.is_dir()}
        if not (Path(port.repository) / "README.md").is_file():
            return folders
    else:
        folders = set()

    def ask() -> Any:
        import datasets

        return datasets.get_dataset_config_names(port.repository, revision=port.revision or None)

    return folders | set(_guarded(ask, port))


def _fetch(port: Port, language: str, split: str) -> datasets.Dataset:
    name = SPLITS[split]

    def load() -> Any:
        import datasets

        if port.is_local:
            folder = Path(port.repository)
            if (folder / language).is_dir():
                return datasets.load_dataset(str(folder / language), split=name)
            return datasets.load_dataset(str(folder), language, split=name)
        if port.faithful:
            # Not by configuration, which would fetch its translated training set as well: 60 MB a language.
            files = f"hf://datasets/{port}/{language}/{name}-*.parquet"
            return datasets.load_dataset("parquet", data_files={name: files}, split=name)
        return datasets.load_dataset(port.repository, language, revision=port.revision, split=name)

    return _guarded(load, port, f"{language}/{split} of ")


def _guarded(call: Callable[[], Any], port: Port, what: str = "") -> Any:
    from datasets.exceptions import DatasetsError

    try:
        return call()
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if port.faithful:
            way_out = (
                "the first use needs the network and HF_HUB_OFFLINE unset; without it, "
                f"point to the official archive, e.g. XGLUE_DATA=/path/{official_archive().file}"
            )
        else:
            way_out = "expected one configuration a language and the splits train, validation and test"
        raise DataError(f"cannot load {what}{port}: {reason}; {way_out}") from error


def _rows(dataset: datasets.Dataset, task: TaskSpec, identity: str) -> Rows:
    missing = [column for column in task.columns if column not in dataset.column_names]
    if missing:
        raise DataError(
            f"{identity}: no column {', '.join(missing)}; expected {', '.join(task.columns)}, found "
            f"{', '.join(dataset.column_names)}"
        )
    to_id = _label_reader(dataset.features[task.label_column], task, identity)
    rows = Rows({column: [] for column in task.columns[:-1]})
    columns: list[list[Any]] = [*rows.texts.values(), rows.labels]
    for number, (*texts, label) in enumerate(_tuples(dataset, task)):
        where = f"{identity}: row {number}"
        if task.kind is Kind.TAGGING:
            _check_words(texts[0], label, where)
            value: Any = [to_id(part, where) for part in label]
        else:
            if not all(isinstance(text, str) for text in texts):
                raise DataError(
                    f"{where}: a text that is no string; expected strings in {', '.join(task.columns[:-1])}"
                )
            value = to_id(label, where)
        for column, part in zip(columns, [*texts, value], strict=True):
            column.append(part)
    return rows


def _check_words(words: Any, labels: Any, where: str) -> None:
    if not isinstance(words, list) or not isinstance(labels, list) or len(words) != len(labels):
        raise DataError(f"{where}: words and labels do not match; expected two lists of one length")
    if not words or not all(isinstance(word, str) and word for word in words):
        raise DataError(f"{where}: no word, or a word that is empty or no string; expected strings")


def _label_reader(feature: Any, task: TaskSpec, identity: str) -> Callable[[Any, str], int]:
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if names is not None and (unknown := [name for name in names if task.label_id(name) is None]):
        raise DataError(f"{identity}: unknown class {', '.join(unknown)}; expected {', '.join(task.labels)}")

    def to_id(label: Any, where: str) -> int:
        classes = task.labels if names is None else names
        if isinstance(label, int) and 0 <= label < len(classes):
            found = label if names is None else task.label_id(names[label])
        else:
            found = task.label_id(label) if isinstance(label, str) else None
        if found is None:
            expected = f"0 to {len(classes) - 1} or one of {', '.join(task.labels)}"
            raise DataError(f"{where}: label {label!r}; expected {expected}")
        return found

    return to_id


def _check_count(found: int, task: TaskSpec, split: str, language: str, port: Port) -> None:
    expected = manifest_rows(task, split, language)
    if expected is None or found == expected:
        return
    message = f"{port}: {found} rows in {language}/{split}; the official data has {expected}"
    if port.faithful:
        raise DataError(
            f"{message}: this is not the revision that was checked; remove it from the Hub's cache and retry"
        )
    logger.warning("%s", message)


def _tuples(dataset: datasets.Dataset, task: TaskSpec) -> Iterator[tuple[Any, ...]]:
    for batch in dataset.select_columns(list(task.columns)).iter(_BATCH):
        yield from zip(*(batch[column] for column in task.columns), strict=True)


def _digest(rows: Iterable[tuple[Any, ...]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
