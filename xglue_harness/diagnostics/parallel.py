"""Rows that are translations of each other, for an alignment loss beside a task's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, TEXTS, TaskSpec
from xglue_harness.data.parallel import parallel_lines
from xglue_harness.errors import RecipeError

if TYPE_CHECKING:
    from xglue_harness.data import Source

DEV = "dev"
"""Value of the option `gradients` that asks for the task's own dev sets."""
LEAST = 8
"""Rows without which gradients say nothing."""


@dataclass(frozen=True)
class ParallelRows:
    """Rows that are translations of each other.

    Attributes:
        name: as the option names them.
        spec: how a row is read.
        by_language: as many rows in each language, English among them.
        files: sha256 by path.
    """

    name: str
    spec: TaskSpec
    by_language: Mapping[str, Sequence[Mapping[str, Any]]]
    files: Mapping[str, str]


def parallel_rows(name: str, source: Source, spec: TaskSpec) -> ParallelRows:
    """The parallel texts that the option `gradients` names.

    Args:
        name: `DEV`, or a folder of ``<language>.txt``.
        source: of the task's data.
        spec: the task.

    Raises:
        DataError: for a folder that holds none, or whose files differ in length.
        RecipeError: for `DEV` where dev sets are no translations, and for less than two languages, or too few rows.
    """
    if name == DEV:
        rows, files = _dev_rows(source, spec)
        found = ParallelRows(name, spec, rows, files)
    else:
        lines, files = parallel_lines(Path(name).expanduser(), None)
        texts = {language: [{"text": text, "label": 0} for text in own] for language, own in lines.items()}
        found = ParallelRows(name, TEXTS, texts, files)
    if SOURCE_LANGUAGE not in found.by_language or len(found.by_language) < 2:
        there = ", ".join(found.by_language) or "none"
        raise RecipeError(f"gradients {name}: needs English and another language; there are: {there}")
    count, least = len(found.by_language[SOURCE_LANGUAGE]), LEAST
    if count < least:
        raise RecipeError(f"gradients {name}: has {count} rows of each language; at least {least} are needed")
    return found


def _dev_rows(source: Source, spec: TaskSpec) -> tuple[dict[str, Sequence[Mapping[str, Any]]], dict[str, str]]:
    way_out = "give a folder of <language>.txt, the same sentences line by line"
    if not spec.parallel:
        raise RecipeError(f"gradients dev: the dev sets of {spec.title} are no translations of each other; {way_out}")
    rows: dict[str, Sequence[Mapping[str, Any]]] = {}
    files: dict[str, str] = {}
    labels: dict[str, list[Any]] = {}
    for language in source.available(spec, "dev"):
        loaded = source.load(spec, "dev", language)
        rows[language], labels[language] = loaded.dataset, list(loaded.dataset[spec.label_column])
        files.update(loaded.files)
    if differ := [language for language in labels if labels[language] != labels.get(SOURCE_LANGUAGE)]:
        raise RecipeError(
            f"gradients dev: {spec.title} in {', '.join(differ)} has other labels than in English, so rows are no "
            f"translations; {way_out}"
        )
    return rows, files
