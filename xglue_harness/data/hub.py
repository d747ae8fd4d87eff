"""The Hugging Face Hub: the official archive, or repositories of single tasks where a user names them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, TaskSpec
from xglue_harness.data.archive import UnpackedSource
from xglue_harness.data.cache import cached_split, split_key
from xglue_harness.data.hub_archive import describe, fetch_archive, fetch_folder
from xglue_harness.data.hub_datasets import COPY, SPLITS, HubDataset, chosen_datasets
from xglue_harness.data.hub_failures import first_line
from xglue_harness.data.manifest import manifest_rows, official_archive
from xglue_harness.data.official import Rows, rows_sha256
from xglue_harness.data.source import LoadedSplit
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    import datasets

_BATCH = 1000

logger = logging.getLogger(__name__)


class HubSource:
    """Data from the Hub; see ``Source``."""

    name = "hub"
    is_sample = False

    def __init__(self, repositories: Mapping[str, str] | None = None) -> None:
        """Choose the repositories; nothing is loaded yet.

        Args:
            repositories: by task, what its rows come from instead of the official archive (`chosen_datasets`).

        Raises:
            DataError: for an unknown task or a repository without a revision.
        """
        self._hub_datasets = chosen_datasets(repositories or {})
        named = [f"{task}: {hub_dataset}" for task, hub_dataset in self._hub_datasets.items()]
        others = [] if len(named) == len(TASKS) else [f"other tasks: {describe()}" if named else describe()]
        self.description = "; ".join([*named, *others])
        self._archive: UnpackedSource | None = None

    def load(self, task: TaskSpec, split: str, language: str) -> LoadedSplit:
        """Read one split, or take it from the cache.

        Raises:
            DataError: if the archive or the repository can't be had, or its rows are not the task's.
            KeyError: for a split or a language that is not the task's.
        """
        path = task.path(split, language)
        hub_dataset = self._hub_datasets.get(task.name)
        if hub_dataset is None:
            return self._official().load(task, split, language)
        identity = f"hub:{Path(hub_dataset.repo_id).name if hub_dataset.is_local else hub_dataset}/{language}/{split}"

        def make() -> Rows:
            rows = _rows(_fetch(hub_dataset, task, language, split), task, identity, named=hub_dataset.repo_id == COPY)
            _check_count(len(rows), task, split, language, hub_dataset)
            return rows

        if hub_dataset.is_immutable:  # so the cache can be asked without the network
            return cached_split(split_key(identity, task, split), task, path, make)
        rows = make()
        return cached_split(split_key(rows_sha256(rows), task, split), task, path, lambda: rows)

    def content(self, task: TaskSpec, split: str, language: str) -> bytes | None:
        """The bytes of the archive's file; ``None`` for a repository's rows.

        Raises:
            DataError: if the archive can't be had, or the file can't be read.
        """
        return None if task.name in self._hub_datasets else self._official().content(task, split, language)

    def available(self, task: TaskSpec, split: str = "test") -> tuple[str, ...]:
        """Languages that the source has rows in, in the task's order.

        Raises:
            DataError: if the archive can't be had or the repository can't be asked.
        """
        hub_dataset = self._hub_datasets.get(task.name)
        if hub_dataset is None:
            return self._official().available(task, split)
        languages = (SOURCE_LANGUAGE,) if split == "train" else task.languages
        if hub_dataset.is_known:
            return tuple(lang for lang in languages if manifest_rows(task, split, lang) is not None)
        names = _configurations(hub_dataset)
        return tuple(language for language in languages if language in names)

    def _official(self) -> UnpackedSource:
        if self._archive is None:
            fetch_folder()
            self._archive = UnpackedSource(
                official_archive().sha256, fetch_archive, name=self.name, description=self.description
            )
        return self._archive


def _configurations(hub_dataset: HubDataset) -> set[str]:
    if hub_dataset.is_local:
        folders = {entry.name for entry in Path(hub_dataset.repo_id).iterdir() if entry.is_dir()}
        if not (Path(hub_dataset.repo_id) / "README.md").is_file():
            return folders
    else:
        folders = set()

    def ask() -> Any:
        import datasets

        return datasets.get_dataset_config_names(hub_dataset.repo_id, revision=hub_dataset.revision or None)

    return folders | set(_load(ask, hub_dataset))


def _fetch(hub_dataset: HubDataset, task: TaskSpec, language: str, split: str) -> datasets.Dataset:
    name = SPLITS[split]

    def load() -> Any:
        import datasets

        if hub_dataset.is_local:
            folder = Path(hub_dataset.repo_id)
            if (folder / language).is_dir():
                return datasets.load_dataset(str(folder / language), split=name)
            return datasets.load_dataset(str(folder), language, split=name)
        if hub_dataset.is_known:
            # Not by configuration: that would also fetch its translated training set, 60 MB a language.
            files = {name: hub_dataset.parquet(task, split, language)}
            return datasets.load_dataset("parquet", data_files=files, split=name)
        return datasets.load_dataset(hub_dataset.repo_id, language, revision=hub_dataset.revision, split=name)

    return _load(load, hub_dataset, f"{language}/{split} of ")


def _load(call: Callable[[], Any], hub_dataset: HubDataset, what: str = "") -> Any:
    from datasets.exceptions import DatasetsError

    try:
        return call()
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = first_line(error) or type(error).__name__
        if hub_dataset.is_known:
            way_out = (
                "the first use needs the network and HF_HUB_OFFLINE unset; without a repository for the task, its rows "
                "come from the official archive"
            )
        else:
            way_out = "expected one configuration a language and the splits train, validation and test"
        raise DataError(f"cannot load {what}{hub_dataset}: {reason}; {way_out}") from error


def _rows(dataset: datasets.Dataset, task: TaskSpec, identity: str, *, named: bool) -> Rows:
    missing = [column for column in task.columns if column not in dataset.column_names]
    if missing:
        raise DataError(
            f"{identity}: no column {', '.join(missing)}; expected {', '.join(task.columns)}, found "
            f"{', '.join(dataset.column_names)}"
        )
    per_word = kind_of(task).per_word
    to_id = _label_reader(dataset.features[task.label_column], task, identity, named)
    rows = Rows({column: [] for column in task.columns[:-1]})
    columns: list[list[Any]] = [*rows.texts.values(), rows.labels]
    for number, (*texts, label) in enumerate(_tuples(dataset, task)):
        where = f"{identity}: row {number}"
        if per_word:
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


def _label_reader(feature: Any, task: TaskSpec, identity: str, named: bool) -> Callable[[Any, str], int]:
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if named and (names is None or {task.label_id(name) for name in names} != set(range(len(task.labels)))):
        raise DataError(
            f"{identity}: classes {', '.join(names) if names else 'without names'}; the official data have "
            f"{', '.join(task.labels)}: these are not the rows that were expected"
        )
    if names is not None and (unknown := [name for name in names if task.label_id(name) is None]):
        raise DataError(f"{identity}: unknown class {', '.join(unknown)}; expected {', '.join(task.labels)}")

    def to_id(label: Any, where: str) -> int:
        classes = task.labels if names is None else names
        if isinstance(label, int) and 0 <= label < len(classes):
            class_id = label if names is None else task.label_id(names[label])
        else:
            class_id = task.label_id(label) if isinstance(label, str) else None
        if class_id is None:
            expected = f"0 to {len(classes) - 1} or one of {', '.join(task.labels)}"
            raise DataError(f"{where}: label {label!r}; expected {expected}")
        return class_id

    return to_id


def _check_count(rows: int, task: TaskSpec, split: str, language: str, hub_dataset: HubDataset) -> None:
    expected = manifest_rows(task, split, language)
    if expected is None or rows == expected:
        return
    message = f"{hub_dataset}: {rows} rows in {language}/{split}; the official data has {expected}"
    if hub_dataset.is_known:
        raise DataError(
            f"{message}: this is not the revision that was checked; remove it from the Hub's cache and retry"
        )
    logger.warning("%s", message)


def _tuples(dataset: datasets.Dataset, task: TaskSpec) -> Iterator[tuple[Any, ...]]:
    for batch in dataset.select_columns(list(task.columns)).iter(_BATCH):
        yield from zip(*(batch[column] for column in task.columns), strict=True)
