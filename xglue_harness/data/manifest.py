"""The official archive as published: its name, size, sha256, and the rows of every split."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.resources import PACKAGE

_KEYS = {"pawsx": "paws-x"}
_SPLITS = {"dev": "validation", "test": "test"}


@dataclass(frozen=True)
class OfficialArchive:
    """The published archive: file name, size in bytes, sha256 (hex)."""

    file: str
    bytes: int
    sha256: str


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((PACKAGE / "data" / "manifest.json").read_text(encoding="utf-8"))
    return facts


def official_archive() -> OfficialArchive:
    """Name, size and sha256 of the official archive."""
    return OfficialArchive(**_facts()["archive"])


def manifest_key(task: TaskSpec) -> str:
    """The task's name in the manifest, which is its configuration of the old ``xglue`` loader, e.g. ``paws-x``."""
    return _KEYS.get(task.name, task.name)


def manifest_rows(task: TaskSpec, split: str, language: str) -> int | None:
    """Rows of a split according to the old ``xglue`` loader; ``None`` where it had no such split (POS pt).

    That loader dropped the last sentence of a tagging file that does not end in a blank line: such a file has one more.
    """
    name = "train" if split == "train" else f"{_SPLITS[split]}.{language}"
    rows: int | None = _facts()["tasks"][manifest_key(task)]["rows"].get(name)
    return rows
