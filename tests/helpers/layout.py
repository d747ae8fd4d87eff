"""Writes tiny folders and archives in the layout of the official XGLUE archive."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from xglue_harness.benchmark import TASKS, Kind, TaskSpec

ROWS = 4
"""Rows of every file, unless told otherwise."""


def spelling(task: TaskSpec, label_id: int) -> str:
    """A label as the official files of the task spell it, e.g. ``1`` for PAWS-X."""
    name = task.labels[label_id]
    return next((alias for alias, meant in task.aliases.items() if meant == name), name)


def sentence_file(task: TaskSpec, split: str, language: str, rows: int = ROWS) -> bytes:
    """A file of a sentence task; labels go round, and two rows in turn share the first text (a query of WPR)."""
    lines = []
    if split in task.header:
        lines.append("\t".join(["id"] * task.skipped_columns + list(task.columns)))
    for number in range(rows):
        fields = [f"{number}"] * task.skipped_columns
        fields += [f"{task.columns[0]} {language} {split} {number // 2}"]
        fields += [f"{column} {language} {split} {number}" for column in task.columns[1:-1]]
        lines.append("\t".join([*fields, spelling(task, number % len(task.labels))]))
    return ("\n".join(lines) + "\n").encode()


def tagging_file(task: TaskSpec, split: str, language: str, rows: int = ROWS) -> bytes:
    """A file of a tagging task: sentences of three words, their labels going round, each with its blank line."""
    lines = []
    for number in range(rows):
        for position in range(3):
            label = task.labels[(3 * number + position) % len(task.labels)]
            lines.append(f"{language}{split}{number}.{position} {label}")
        lines.append("")
    return ("\n".join(lines) + "\n").encode()


def write_file(folder: Path, task: TaskSpec, split: str, language: str, content: bytes) -> Path:
    """Write one file at its official place below ``folder``."""
    path = folder / task.path(split, language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_task(folder: Path, task: TaskSpec, languages: Iterable[str] | None = None, rows: int = ROWS) -> None:
    """Write the training file and the dev and test files of some languages (all, where not given)."""
    make = tagging_file if task.kind is Kind.TAGGING else sentence_file
    chosen = set(task.languages if languages is None else languages)
    for split, language, _ in task.files():
        if split == "train" or language in chosen:
            write_file(folder, task, split, language, make(task, split, language, rows))


def write_layout(folder: Path, tasks: Iterable[TaskSpec] | None = None) -> Path:
    """Write every file of some tasks (all eight, where not given)."""
    for task in TASKS.values() if tasks is None else tasks:
        write_task(folder, task)
    return folder


def pack(archive: Path, folder: Path, extra: Mapping[str, bytes] | None = None) -> Path:
    """Pack a folder as the official archive is packed, with more members by name where given."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname="xglue_full_dataset")
        for name, content in (extra or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive
