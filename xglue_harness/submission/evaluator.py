"""How XGLUE's own evaluator reads prediction files and scores them: ``xglue-harness score --as-official``.

``xglue_evaluate.py`` (microsoft/XGLUE) looks at less than `xglue_harness.submission.files.read` does: it strips each
line and compares it as text with the gold label's, fills short sentences up with ``O``, and counts on where sentences
are too long. Where it stops with a traceback, so does this with an error, for then there is no number.

Gold labels are compared as the official test files spell them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xglue_harness import metrics
from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.official_metrics import (
    SEQEVAL_0,
    SEQEVAL_1,
    Official,
    chunk_f1,
    chunk_precision,
    filled,
)
from xglue_harness.submission.files import spellings

if TYPE_CHECKING:
    from datasets import Dataset

_STOPS = "XGLUE's evaluator stops here, too: there is no number"


@dataclass(frozen=True)
class Reading:
    """What the evaluator makes of a prediction file.

    Attributes:
        items: of each document that counts, as `xglue_harness.transfer.scoring.document_score`.
        official: the scores.
        labels: as they were read, one a row, or for tagging a list of one a word.
        single_row_queries: queries of one row; ``None``: not a ranking task.
    """

    items: list[Any]
    official: Official
    labels: list[Any]
    single_row_queries: int | None = None


def evaluate(data: bytes, spec: TaskSpec, dataset: Dataset, path: str) -> Reading:
    """Read and score a prediction file.

    Args:
        data: the file's bytes.
        spec: the task.
        dataset: the rows with their gold labels.
        path: how error messages name the file.

    Raises:
        DataError: where the evaluator stops.
    """
    lines = _lines(data, path)
    if spec.kind is Kind.TAGGING:
        return _tagged(lines, spec, dataset, path)
    names = [line.rstrip("\0") for line in lines]  # numpy's strings end before their last zero bytes
    if spec.kind is Kind.RANKING:
        return _ranked(names, spec, dataset, path)
    spelt = spellings(spec)
    gold = [spelt[label] for label in dataset[spec.label_column][:]]
    if 1 in (len(gold), len(names)):  # numpy compares one label with all others
        gold, names = gold * max(1, len(names) // len(gold)), names * max(1, len(gold) // max(1, len(names)))
    if len(gold) != len(names):
        raise DataError(f"{path}: {len(names)} labels for {len(gold)} rows; {_STOPS}")
    items = [float(g == p) for g, p in zip(gold, names, strict=True)]
    return Reading(items, Official(metrics.mean(items), None, "accuracy"), names)


def _lines(data: bytes, path: str) -> list[str]:
    """Lines as Python's text files have them: a carriage return ends one, a byte order mark is part of the first."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: invalid UTF-8; {_STOPS}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.strip() for line in (lines if lines[-1] else lines[:-1])]


def _ranked(names: list[str], spec: TaskSpec, dataset: Dataset, path: str) -> Reading:
    """Predictions are any numbers; what one side has more than the other is not looked at."""
    groups: list[tuple[list[float], list[float]]] = []
    before = ""
    rows = zip(dataset[spec.text_a[0]][:], dataset[spec.label_column][:], names, strict=False)
    for number, (query, grade, name) in enumerate(rows, start=1):
        try:
            value = float(name)
        except ValueError:
            raise DataError(f"{path}:{number}: {name[:60]!r} is no number; {_STOPS}") from None
        if not groups or (query != before and before):  # an empty query does not end: the next one goes on with it
            groups.append(([], []))
        before = query
        groups[-1][0].append(grade)
        groups[-1][1].append(value)
    ranked = [group for group in groups if len(group[0]) > 1]
    if not ranked or not all(math.isfinite(value) for _, own in ranked for value in own):
        what = "a query's predictions are not all finite" if ranked else "no query has two rows"
        raise DataError(f"{path}: {what}; {_STOPS}")
    items = [metrics.ndcg(grades, own) for grades, own in ranked]
    return Reading(items, Official(metrics.mean(items), None, "ndcg"), names, len(groups) - len(ranked))


def _tagged(lines: list[str], spec: TaskSpec, dataset: Dataset, path: str) -> Reading:
    gold = _gold_sentences(spec, dataset)
    read: list[list[str]] = [[]]
    for number, line in enumerate(lines, start=1):
        if line:
            read[-1].append(line)
        elif read[-1]:
            read.append([])
        else:
            raise DataError(f"{path}:{number}: an empty line where a sentence begins; {_STOPS}")
    if not read[-1]:
        read.pop()
    if len(read) < len(gold):
        raise DataError(f"{path}: {len(read)} sentences, but the data have {len(gold)}; {_STOPS}")
    predicted = filled(gold, read)
    of_chunks, count = (
        (chunk_f1, metrics.entity_counts) if spec.metric == "f1" else (chunk_precision, metrics.accuracy_counts)
    )
    same = [len(row) for row in gold] == [len(row) for row in predicted]
    later = of_chunks(gold, predicted, SEQEVAL_1) if same else None  # which refuses sentences of other lengths
    items = [count(g, p[: len(g)]) for g, p in zip(gold, predicted, strict=False)]
    return Reading(items, Official(of_chunks(gold, predicted), later, SEQEVAL_0), predicted)


def _gold_sentences(spec: TaskSpec, dataset: Dataset) -> list[list[str]]:
    """Labels of the words; a line that begins with ``-DOCSTART-`` is a blank one to the evaluator."""
    found: list[list[str]] = []
    for words, labels in zip(dataset[spec.text_a[0]][:], dataset[spec.label_column][:], strict=True):
        parts: list[list[str]] = [[]]
        for word, label in zip(words, labels, strict=True):
            if word.startswith("-DOCSTART-"):
                parts.append([])
            else:
                parts[-1].append(spec.labels[label])
        found += [part for part in parts if part]
    return found
