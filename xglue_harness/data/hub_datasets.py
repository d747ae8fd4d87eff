"""Repositories on the Hugging Face Hub that hold tasks of XGLUE in a form that ``datasets`` can load.

By default every task comes from the official archive (`hub_archive`); these are taken where a user names them.
``SetFit/xglue_nc`` is not listed: its ``create_dataset.py`` drops the titles of NC's articles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.manifest import manifest_key
from xglue_harness.errors import DataError
from xglue_harness.files import is_folder, user_path

SPLITS: Mapping[str, str] = MappingProxyType({"train": "train", "dev": "validation", "test": "test"})
"""Our splits' names in these repositories."""

COPY = "hgissbkh/xglue"
"""A copy of all eight tasks as Parquet, as the old ``xglue`` loader read them: without POS in Portuguese."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BY_LANGUAGE = "{language}/{split}-*.parquet"


@dataclass(frozen=True)
class HubDataset:
    """A repository with one configuration a language and the splits ``train``, ``validation`` and ``test``.

    Attributes:
        repo_id: id on the Hub, or path of a local folder.
        revision: commit, tag or branch; empty for a local folder.
        files: for one of our own list: where the Parquet files of a split are, with the fields ``task`` (the old
            loader's name), ``language``, ``split`` and ``part`` (``train``, ``validation.de``). Its rows must be as
            many, and its classes the same, as the manifest says.
    """

    repo_id: str
    revision: str = ""
    files: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return not self.revision

    @property
    def is_immutable(self) -> bool:
        """Whether the revision is a commit, whose content can't change."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def is_known(self) -> bool:
        """Whether it is one of our own list, held to the manifest."""
        return bool(self.files)

    def parquet(self, task: TaskSpec, split: str, language: str) -> str:
        """Pattern of a split's files in a known repository, for ``datasets``."""
        name = SPLITS[split]
        part = name if split == "train" else f"{name}.{language}"
        path = self.files.format(task=manifest_key(task), language=language, split=name, part=part)
        return f"hf://datasets/{self}/{path}"

    def __str__(self) -> str:
        return self.repo_id if self.is_local else f"{self.repo_id}@{self.revision}"


_COPY = HubDataset(COPY, "de1926389545bc73d13a5b850f2596bdaf463f72", "{task}/{part}-*.parquet")

KNOWN: Mapping[str, tuple[HubDataset, ...]] = MappingProxyType(
    dict.fromkeys(TASKS, (_COPY,))
    | {
        "xnli": (HubDataset("facebook/xnli", "b8dd5d7af51114dbda02c0e3f6133f332186418e", _BY_LANGUAGE), _COPY),
        "pawsx": (
            HubDataset("google-research-datasets/paws-x", "4cd8187c404bda33cb1f62b49b001115862acf37", _BY_LANGUAGE),
            _COPY,
        ),
    }
)
"""By task, the repositories that need no revision, for they are pinned here."""


def chosen_datasets(repositories: Mapping[str, str]) -> dict[str, HubDataset]:
    """The repositories that a user names.

    Args:
        repositories: by short name of the task: one of `KNOWN`, ``repo/id@revision``, or a local folder.

    Raises:
        DataError: for an unknown task, or a repository that is neither a folder nor known and has no revision.
    """
    chosen = {}
    for name, text in repositories.items():
        if name not in TASKS:
            raise DataError(f"data: no XGLUE task {name!r}; expected one of {', '.join(TASKS)}")
        known = {form: dataset for dataset in KNOWN[name] for form in (dataset.repo_id, str(dataset))}
        repository, _, revision = text.rpartition("@")
        if (folder := _folder(name, text)) is not None:
            chosen[name] = HubDataset(str(folder))
        elif text in known:
            chosen[name] = known[text]
        elif repository and revision:
            chosen[name] = HubDataset(repository, revision)
        else:
            raise DataError(
                f"data: {name}: {text!r} is not a folder and names no revision; expected 'repo/id@revision' (best a "
                "commit, for results that can be repeated), the path of a folder, or one of "
                f"{', '.join(dataset.repo_id for dataset in KNOWN[name])}"
            )
    return chosen


def _folder(name: str, text: str) -> Path | None:
    try:
        path = user_path(text)
        return path if is_folder(path) else None
    except OSError as error:
        raise DataError(f"data: {name}: {text[:200]}: {error.strerror}") from error
