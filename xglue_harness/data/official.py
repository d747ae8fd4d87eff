r"""Readers of the official files: bytes in, rows out, no file system.

The format has no quoting and no escapes: a field may hold any character but a tab and a newline. So lines are split on
``\n`` alone, never with ``str.splitlines`` (it also splits on U+0085, U+2028 and a lone carriage return), and fields
on tabs alone, never with a csv reader (it eats rows that hold a quote).
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from xglue_harness.benchmark import TaskSpec
from xglue_harness.data.layouts import Report, TaggedLines, check_fields, check_word, is_document_mark
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of

READER_VERSION = 2
"""Raise it whenever the same bytes give other rows, or none: it is part of the cache's keys."""


@dataclass
class Rows:
    """Rows of one file, by column.

    Attributes:
        texts: a list for each text column: of str, or for tagging of lists of words.
        labels: class ids: an int a row, or for tagging a list as long as the row's words.
        unterminated: a tagging file whose last sentence no blank line ends.
    """

    texts: dict[str, list[str] | list[list[str]]]
    labels: list[int] | list[list[int]] = field(default_factory=list)
    unterminated: bool = False

    def __len__(self) -> int:
        return len(self.labels)


def rows_sha256(rows: Rows) -> str:
    """sha256 (hex) over rows: the same for the same texts and classes, whatever kind of file they were read from.

    Each row counts as one line of JSON: the list of its columns, the label as class id, or ids of its words' classes.
    """
    digest = hashlib.sha256()
    for row in zip(*rows.texts.values(), rows.labels, strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def read(data: bytes, task: TaskSpec, split: str, path: str) -> Rows:
    """Parse a file.

    Args:
        data: the file's bytes.
        task: the task that it belongs to.
        split: ``train``, ``dev`` or ``test``; it decides whether a header line is expected.
        path: how error messages name the file.

    Raises:
        DataError: at the first bad line, as ``PATH:LINE: what is wrong; expected what``.
    """

    def stop(line: int, message: str) -> None:
        raise DataError(f"{path}:{line}: {message}")

    return parse(data, task, split, stop)


def parse(data: bytes, task: TaskSpec, split: str, report: Report) -> Rows:
    """Parse a file and tell ``report`` of every bad line: raise there to stop at the first, return to collect all."""
    problems = 0

    def count(line: int, message: str) -> None:
        nonlocal problems
        problems += 1
        report(line, message)

    if not data.removeprefix(codecs.BOM_UTF8):
        report(1, f"the file is empty; expected {_shape(task)}")
        return Rows({column: [] for column in task.columns[:-1]})
    rows = _parse_words(data, task, count) if kind_of(task).per_word else _parse_table(data, task, split, count)
    if len(rows) == 0 and problems == 0:
        report(1, f"no row in the file; expected {_shape(task)}")
    return rows


def _parse_table(data: bytes, task: TaskSpec, split: str, report: Report) -> Rows:
    width = task.skipped_columns + len(task.columns)
    table: list[list[str]] = [[] for _ in task.columns[:-1]]
    labels: list[int] = []
    numbered = lines(data, report)
    if split in task.header:
        _check_header(next(numbered)[1], task, report)
    blank: int | None = None
    for number, line in numbered:
        if blank is not None:
            report(blank, f"blank line; expected {_shape(task)}")
            blank = None
        if line is None:
            continue
        if line == "":
            blank = number  # an error unless it turns out to be the last line
            continue
        fields = line.split("\t")
        if len(fields) != width:
            report(number, f"{len(fields)} {'field' if len(fields) == 1 else 'fields'}; expected {_shape(task)}")
            continue
        label = label_id(fields[-1], number, task, report)
        if label is None:
            continue
        if any(" " in field for field in fields[: task.skipped_columns]):
            report(number, f"an id that holds a blank: {_cut(fields[0])!r}; expected {_shape(task)}")
            continue
        for column, text in zip(table, fields[task.skipped_columns : -1], strict=True):
            column.append(text)
        labels.append(label)
    check_fields([*zip(task.columns, table, strict=False)], 2 if split in task.header else 1, report)
    return Rows(dict(zip(task.columns[:-1], table, strict=True)), labels)


def _parse_words(data: bytes, task: TaskSpec, report: Report) -> Rows:
    sentences: list[list[str]] = []
    tags: list[list[int]] = []
    words: list[str] = []
    ids: list[int] = []
    seen = TaggedLines()
    for number, line in lines(data, report):
        if line is None:
            continue
        line = line.rstrip(" ") if "\t" in line.strip(" \t") else line.rstrip(" \t")
        if line == "" or is_document_mark(line):
            seen.end_sentence()
            if words:
                sentences.append(words)
                tags.append(ids)
                words, ids = [], []
            continue
        pair = _word_and_label(line, number, task, report)
        if pair is not None:
            words.append(pair[0])
            ids.append(pair[1])
            seen.word(number, line, pair[0])
    seen.end()
    for number, message in seen.problems:
        report(number, message)
    unterminated = bool(words)
    if unterminated:
        sentences.append(words)
        tags.append(ids)
    return Rows({task.columns[0]: sentences}, tags, unterminated)


def lines(data: bytes, report: Report) -> Iterator[tuple[int, str | None]]:
    """Number and text of each line without its line end; ``None`` for one that is reported as not UTF-8.

    Args:
        data: a file's bytes; a byte order mark is left out.
        report: told of what is not UTF-8.
    """
    raws = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    if raws[-1] == b"":
        raws.pop()
    for number, raw in enumerate(raws, start=1):
        try:
            yield number, raw.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            report(
                number, f"invalid UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1}; expected UTF-8 text"
            )
            yield number, None


def _check_header(line: str | None, task: TaskSpec, report: Report) -> None:
    # Its wording is free; but a first line that ends in a label is a row, which would silently be lost.
    if line is not None and task.label_id(line.split("\t")[-1].strip(" ")) is not None:
        names = ["id"] * task.skipped_columns + list(task.columns)
        report(
            1, f"a row where the header line should be; expected a header such as {' | '.join(names)} before the rows"
        )


def _word_and_label(line: str, number: int, task: TaskSpec, report: Report) -> tuple[str, int] | None:
    # The last separator counts, for words may hold blanks ("20 000"). Only the plain blank separates: a non-breaking
    # one belongs to the word.
    if line.count("\t") > 1:
        report(number, f"{line.count(chr(9)) + 1} columns parted by tabs: {_cut(line)!r}; expected {_shape(task)}")
        return None
    word, separator, label = line.rpartition("\t" if "\t" in line else " ")
    word = word.strip(" ")
    if not separator:
        report(number, f"a word without a label: {_cut(line)!r}; expected {_shape(task)}")
        return None
    if not word:
        report(number, f"a label without a word: {_cut(label)!r}; expected {_shape(task)}")
        return None
    if problem := check_word(line, word, task):
        report(number, problem)
        return None
    class_id = label_id(label, number, task, report)
    return None if class_id is None else (word, class_id)


def label_id(text: str, number: int, task: TaskSpec, report: Report) -> int | None:
    """Class id of a label as spelt in a file; ``None`` for one that is reported as unknown.

    Args:
        text: the label; blanks round it do not count.
        number: of its line.
        task: the task that it belongs to.
        report: told of what is unknown.
    """
    # The old xglue loader stripped each line, so blanks around a label are known to be harmless.
    class_id = task.label_id(text.strip(" "))
    if class_id is None:
        names = ", ".join([*task.labels, *task.aliases])
        report(number, f"unknown label {_cut(text)!r}; expected one of {names}")
    return class_id


def _shape(task: TaskSpec) -> str:
    if kind_of(task).per_word:
        return "a word, a blank and its label on each line, and a blank line after each sentence"
    names = ["id"] * task.skipped_columns + list(task.columns)
    return f"{len(names)} fields separated by tabs: {', '.join(names)}"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
