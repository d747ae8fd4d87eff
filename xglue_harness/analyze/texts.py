"""Sentences by language, from text files or from a task's test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.benchmark import TASKS, Kind, task
from xglue_harness.data import open_source
from xglue_harness.data.folder import file_sha256
from xglue_harness.errors import DataError
from xglue_harness.transfer.tokenising import joined


@dataclass(frozen=True)
class Texts:
    """Sentences to analyse.

    Attributes:
        by_language: as many of each language; where ``parallel``, sentence i is the same in all.
        parallel: whether they are translations of each other, line by line.
        description: where they come from.
        files: sha256 (hex) by path.
    """

    by_language: dict[str, list[str]]
    parallel: bool
    description: str
    files: dict[str, str]


def read_texts(path: Path, languages: Sequence[str] | None, rows: int | None) -> Texts:
    """Lines of text files.

    Args:
        path: a folder with a file ``<language>.txt`` for each language, the same sentences line by line; or one file,
            whose name says its language (``de.txt``; else English is taken).
        languages: those wanted; ``None``: all that are there.
        rows: the first lines of each; ``None``: all.

    Raises:
        DataError: for a missing file, an empty line, or files of different lengths.
    """
    if path.is_file():
        language = path.stem if path.stem in _known() else "en"
        files = {(languages or [language])[0]: path}
    elif path.is_dir():
        there = {file.stem: file for file in sorted(path.glob("*.txt")) if file.stem in _known() or languages}
        missing = [language for language in languages or () if language not in there]
        if missing or not there:
            raise DataError(f"{path} has no {', '.join(f'{name}.txt' for name in missing or ['<language>'])}")
        files = {language: there[language] for language in languages or there}
    else:
        raise DataError(f"{path}: no such file or folder; give <language>.txt, or a folder of them")
    found = {language: _lines(file, rows) for language, file in files.items()}
    counts = {language: len(lines) for language, lines in found.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"{path}: the files have different numbers of lines, so they are not parallel: {counts}")
    sums = {str(file.name): file_sha256(file) for file in files.values()}
    return Texts(found, len(found) > 1, str(path), sums)


def task_texts(name: str, data: str | None, languages: Sequence[str] | None, rows: int | None) -> Texts:
    """Texts of a task's test sets: a row's columns joined by blanks, a tagged sentence's words.

    Args:
        name: short name of the task.
        data: as the option ``data`` of a run.
        languages: those wanted; ``None``: all that the data have.
        rows: the first rows of each; ``None``: as many as all of them have.

    Raises:
        DataError: where the data are missing or malformed.
    """
    if name not in TASKS:
        raise DataError(f"no task {name!r}; there are {', '.join(TASKS)}")
    spec, source = task(name), open_source(data)
    there = source.available(spec)
    missing = [language for language in languages or () if language not in there]
    if missing or not there:
        raise DataError(
            f"{source.description} has no test set of {spec.title} in {', '.join(missing) or 'any language'}"
        )
    found: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for language in languages or there:
        loaded = source.load(spec, "test", language)
        chosen = loaded.dataset if rows is None else loaded.dataset.select(range(min(rows, len(loaded.dataset))))
        found[language] = (
            [" ".join(words) for words in chosen["words"]]
            if spec.kind is Kind.TAGGING
            else [joined(row, (*spec.text_a, *spec.text_b)) for row in chosen]
        )
        files.update(loaded.files)
    least = min(len(texts) for texts in found.values())
    return Texts(
        {language: texts[:least] for language, texts in found.items()},
        spec.parallel,
        f"{spec.title} test, {source.name}: {source.description}",
        files,
    )


def _known() -> set[str]:
    return {language for spec in TASKS.values() for language in spec.languages}


def _lines(path: Path, rows: int | None) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read: {error}") from error
    lines = lines if rows is None else lines[:rows]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise DataError(f"{path} line {number} is empty: line by line, every file needs its sentence")
    return lines
