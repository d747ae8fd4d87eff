"""Sentences by language, from text files or from a task's test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.analyze.output import DataMark, Kind
from xglue_harness.benchmark import TASKS, task
from xglue_harness.data import open_source, unofficial
from xglue_harness.data.parallel import parallel_lines
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of


@dataclass(frozen=True)
class Texts:
    """Sentences to analyse.

    Attributes:
        by_language: the same number in each language; if ``parallel``, sentence i is the same in all.
        parallel: whether they are translations of each other, line by line.
        description: where they come from.
        files: sha256 (hex) by path.
        data: what sort of data they are.
        samples: which texts are options of one sample, by its number: pairs of XNLI that share their premise; ``None``
            where none do.
    """

    by_language: dict[str, list[str]]
    parallel: bool
    description: str
    files: dict[str, str]
    data: DataMark
    samples: list[int] | None = None


def chosen_texts(
    text: Path | None, data: str | None, task: str | None, languages: Sequence[str] | None, rows: int
) -> Texts:
    """The sentences that a user has asked for: `read_texts` or `task_texts`.

    Args:
        text: a file or a folder; then neither ``data`` nor ``task``.
        data: as the option ``data`` of a run.
        task: short name of the task.
        languages: those wanted; ``None``: all that there are.
        rows: the first ones of each language.

    Raises:
        DataError: as those two, and where both or neither is asked for.
    """
    if text is not None and (data is not None or task is not None):
        raise DataError("give --text, or --task with --data, not both")
    if text is not None:
        return read_texts(text, languages, rows)
    if task is None:
        raise DataError("no sentences: give --text FILE_OR_FOLDER, or --task nc (xnli, ...) with --data")
    return task_texts(task, data, languages, rows)


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
    sentences, sums = parallel_lines(path, languages)
    chosen = {language: lines[:rows] for language, lines in sentences.items()}
    return Texts(chosen, len(sentences) > 1, str(path), sums, DataMark("text"))


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
    texts: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    unlike: list[str] = []
    firsts: list[str] = []
    for language in languages or there:
        loaded = source.load(spec, "test", language)
        unlike += unofficial(source, spec, "test", language, len(loaded.dataset))
        chosen = loaded.dataset if rows is None else loaded.dataset.select(range(min(rows, len(loaded.dataset))))
        texts[language] = [*map(kind_of(spec).row_text, chosen)]
        if not firsts and spec.parallel and spec.text_b:
            firsts = [" ".join(row[column] for column in spec.text_a) for row in chosen]
        files.update(loaded.files)
    least = min(map(len, texts.values()))
    kind: Kind = "SAMPLE" if source.is_sample else "UNOFFICIAL" if unlike else "XGLUE"
    return Texts(
        {language: sentences[:least] for language, sentences in texts.items()},
        spec.parallel,
        f"{spec.title} test, {source.name}: {source.description}",
        files,
        DataMark(kind, unlike),
        _samples(firsts[:least]),
    )


def _samples(firsts: Sequence[str]) -> list[int] | None:
    """Numbers of the samples of pairs that share their first text."""
    numbers: dict[str, int] = {}
    samples = [numbers.setdefault(text, len(numbers)) for text in firsts]
    return samples if len(numbers) < len(samples) else None
