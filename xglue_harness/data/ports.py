"""Repositories on the Hugging Face Hub that hold a task of XGLUE in a form that today's ``datasets`` can load.

``microsoft/xglue`` itself is a loading script, which ``datasets`` 4 and later refuse. Only ports that were seen to be
faithful are listed. ``SetFit/xglue_nc`` is not: its ``create_dataset.py`` drops the titles of NC's articles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.manifest import HOMEPAGE, official_archive
from xglue_harness.errors import DataError

SPLITS: Mapping[str, str] = MappingProxyType({"train": "train", "dev": "validation", "test": "test"})
"""Our splits' names in the ports."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Port:
    """A repository with one configuration a language and the splits ``train``, ``validation`` and ``test``.

    Attributes:
        repository: id on the Hub, or path of a local folder.
        revision: commit, tag or branch; empty for a local folder.
        faithful: one of our own list: its rows must be as many as the manifest says, and it is parquet with files named
            ``<language>/<split>-*.parquet``.
    """

    repository: str
    revision: str = ""
    faithful: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return not self.revision

    @property
    def is_immutable(self) -> bool:
        """Whether the revision is a commit, whose content can't change."""
        return _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return self.repository if self.is_local else f"{self.repository}@{self.revision}"


PORTS: Mapping[str, Port] = MappingProxyType(
    {
        "xnli": Port("facebook/xnli", "b8dd5d7af51114dbda02c0e3f6133f332186418e", faithful=True),
        "pawsx": Port("google-research-datasets/paws-x", "4cd8187c404bda33cb1f62b49b001115862acf37", faithful=True),
    }
)
"""The faithful ports by task."""

_WHY_NOT = {"nc": " (the port SetFit/xglue_nc lacks the titles)"}


def chosen_ports(repositories: Mapping[str, str]) -> dict[str, Port]:
    """The faithful ports, overridden by a user's own.

    Args:
        repositories: ``repo/id@revision`` or a local folder, by short name of the task.

    Raises:
        DataError: for an unknown task, or a repository that is neither a folder nor has a revision.
    """
    ports = dict(PORTS)
    for name, text in repositories.items():
        if name not in TASKS:
            raise DataError(f"data: no XGLUE task {name!r}; expected one of {', '.join(TASKS)}")
        repository, _, revision = text.rpartition("@")
        if Path(text).expanduser().is_dir():
            ports[name] = Port(str(Path(text).expanduser()))
        elif repository and revision:
            ports[name] = Port(repository, revision)
        else:
            raise DataError(
                f"data: {name}: {text!r} is not a folder and names no revision; "
                "expected 'repo/id@revision' (best a commit, for results that can be repeated) or the path of a folder"
            )
    return ports


def not_on_the_hub(task: TaskSpec) -> DataError:
    """The error for a task without a port: where the official archive is to be had and how to point to it."""
    official = official_archive()
    return DataError(
        f"{task.title} has no faithful port on the Hugging Face Hub{_WHY_NOT.get(task.name, '')}; get the official "
        f"archive {official.file} ({official.bytes} bytes, sha256 {official.sha256}) from {HOMEPAGE} and point to it: "
        f'--metadata \'{{"data": "/path/{official.file}"}}\' or XGLUE_DATA=/path/{official.file}'
    )
