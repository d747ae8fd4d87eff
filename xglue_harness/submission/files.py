"""XGLUE's prediction files: ``TASK/language.prediction``, the label of the i-th row of the data on its i-th line.

There is no header line. In NER and POS each word has a line with its label and each sentence ends with a blank one, as
in the data. Bytes in, class ids out, and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from xglue_harness.benchmark import TaskSpec
from xglue_harness.data.official import label_id, lines
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of

SUFFIX = ".prediction"


def relative_path(spec: TaskSpec, language: str) -> str:
    """Path of a prediction file relative to the submission's folder, e.g. ``PAWSX/de.prediction``."""
    return f"{spec.folder}/{language}{SUFFIX}"


def spellings(spec: TaskSpec) -> list[str]:
    """Each class as the official test files spell it, by class id."""
    # XNLI has an alias as well, but only in its training file; the aliases of test files are digits.
    return [str(i) if str(i) in spec.aliases else name for i, name in enumerate(spec.labels)]


def render(spec: TaskSpec, predictions: Sequence[Any]) -> bytes:
    """The content of a prediction file; labels are spelt as in the task's test files.

    Args:
        spec: the task.
        predictions: class ids, one a row of the data, or for tagging a list of one a word.
    """
    kind, names = kind_of(spec), spellings(spec)
    return "".join(f"{line}\n" for predicted in predictions for line in kind.official_lines(predicted, names)).encode()


def read(data: bytes, spec: TaskSpec, sizes: Sequence[int], path: str) -> list[Any]:
    """Parse a prediction file.

    Every spelling of a label that the data may have will do, as will blanks round it, CRLF, a byte order mark, a last
    line without its end, and blank lines at the end. Nothing else is repaired, and nothing filled up.

    Args:
        data: the file's bytes.
        spec: the task.
        sizes: labels that each row of the data has: 1, or for tagging its number of words.
        path: how error messages name the file.

    Returns:
        Class ids, one a row of the data, or for tagging a list of one a word.

    Raises:
        DataError: at the first bad line, as ``PATH:LINE: what is wrong; expected what``.
    """

    def stop(line: int, message: str) -> NoReturn:
        raise DataError(f"{path}:{line}: {message}")

    numbered = [(number, (line or "").strip(" \t")) for number, line in lines(data, stop)]
    while numbered and not numbered[-1][1]:
        numbered.pop()
    parse = _sentences if kind_of(spec).per_word else _rows
    return parse(numbered, spec, sizes, stop)


def _rows(numbered: list[tuple[int, str]], spec: TaskSpec, sizes: Sequence[int], stop: Any) -> list[Any]:
    ids = []
    for number, text in numbered[: len(sizes)]:
        if not text:
            stop(number, "an empty line; expected a label")
        ids.append(label_id(text, number, spec, stop))
    expected = "expected one a row of the data, and no header line"
    if len(numbered) > len(sizes):
        stop(len(sizes) + 1, f"{len(numbered)} labels for {len(sizes)} rows; {expected}")
    if len(numbered) < len(sizes):
        stop(len(numbered) + 1, f"the file ends after {len(numbered)} of {len(sizes)} labels; {expected}")
    return ids


def _sentences(numbered: list[tuple[int, str]], spec: TaskSpec, sizes: Sequence[int], stop: Any) -> list[Any]:
    sentences: list[Any] = []
    ids: list[Any] = []
    end = len(numbered) + 1
    for number, text in [*numbered, (end, "")] if numbered else []:
        if len(sentences) == len(sizes):
            stop(number, f"a sentence after the last one; expected {len(sizes)}, as many as the data have")
        size = sizes[len(sentences)]
        if text and len(ids) == size:
            stop(number, f"more labels than words in sentence {len(sentences) + 1}; expected a blank line after {size}")
        elif text:
            ids.append(label_id(text, number, spec, stop))
        elif not ids:
            stop(number, f"an empty line; expected the first label of sentence {len(sentences) + 1}")
        elif len(ids) < size:
            stop(number, f"sentence {len(sentences) + 1} ends after {len(ids)} of {size} labels; expected one a word")
        else:
            sentences.append(ids)
            ids = []
    if len(sentences) < len(sizes):
        stop(end, f"the file ends after {len(sentences)} of {len(sizes)} sentences; expected as many as the data have")
    return sentences
