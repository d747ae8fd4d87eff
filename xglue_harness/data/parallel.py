"""Parallel sentences: a folder of text files, a language each, the same sentences line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from xglue_harness.benchmark import TASKS
from xglue_harness.data.official import lines
from xglue_harness.errors import DataError
from xglue_harness.files import is_folder, is_regular, read_regular


def parallel_lines(path: Path, languages: Sequence[str] | None) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Lines of text files.

    Args:
        path: a folder with a file ``<language>.txt`` for each language, the same sentences line by line; or one file,
            whose name says its language (``de.txt``; else English is taken).
        languages: those wanted; ``None``: all that are there.

    Returns:
        The lines of each language, as many in each, and the sha256 (hex) of each file by its name.

    Raises:
        DataError: for a missing file, an empty line, or files of different lengths.
    """
    if _is(is_regular, path):
        language = path.stem if path.stem in _known() else "en"
        files = {(languages or [language])[0]: path}
    elif _is(is_folder, path):
        regular = (file for file in sorted(path.glob("*.txt")) if _is(is_regular, file))
        there = {file.stem: file for file in regular if file.stem in _known() or languages}
        missing = [language for language in languages or () if language not in there]
        if missing or not there:
            raise DataError(f"{path} has no {', '.join(f'{name}.txt' for name in missing or ['<language>'])}")
        files = {language: there[language] for language in languages or there}
    else:
        raise DataError(f"{path}: no such file or folder; give <language>.txt, or a folder of them")
    contents = {language: _content(file) for language, file in files.items()}
    sentences = {language: _sentences(content, files[language]) for language, content in contents.items()}
    counts = {language: len(lines) for language, lines in sentences.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"{path}: the files have different numbers of lines, so they are not parallel: {counts}")
    sums = {files[language].name: hashlib.sha256(content).hexdigest() for language, content in contents.items()}
    return sentences, sums


def _known() -> set[str]:
    return {language for spec in TASKS.values() for language in spec.languages}


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    try:
        return kind(path)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error


def _sentences(content: bytes, path: Path) -> list[str]:
    """Lines, split as in the official files. None may be missing: all sentences after it would be off by one."""

    def stop(line: int, message: str) -> NoReturn:
        raise DataError(f"{path}:{line}: {message}")

    sentences = []
    for number, line in lines(content, stop):
        if not line or not line.strip():
            stop(number, "is empty: line by line, every file needs its sentence")
        sentences.append(line)
    if not sentences:
        stop(1, "is empty: a sentence a line is expected")
    return sentences
