"""How XGLUE's own evaluator reads prediction files and scores them: ``xglue-harness score --as-official``.

``xglue_evaluate.py`` (microsoft/XGLUE) checks less than `xglue_harness.submission.files.read` does: it strips each line
and compares it as text with the gold label's, fills short sentences up with ``O``, and goes on counting where sentences
are too long. It reads gold files as loosely. Where it stops with a traceback there is no number, and an error is raised
here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from xglue_harness import metrics
from xglue_harness.benchmark import TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of
from xglue_harness.official_metrics import SEQEVAL_0, SEQEVAL_1, Official, chunk_f1, chunk_precision, filled
from xglue_harness.scoring import PredictionScores
from xglue_harness.submission.files import spellings

if TYPE_CHECKING:
    from datasets import Dataset

_STOPS = "XGLUE's evaluator stops here, too: there is no number"

_Scored: TypeAlias = tuple[list[Any], Official, int | None]
"""Score of each document that counts, the official scores, and queries of one row (`PredictionScores`)."""


def evaluate(data: bytes, gold: bytes, spec: TaskSpec, split: str, path: str) -> PredictionScores:
    """Read and score a prediction file.

    Args:
        data: the file's bytes.
        gold: bytes of the file with the gold labels (`gold_file`).
        spec: the task.
        split: ``test`` or ``dev``.
        path: how error messages name the file of predictions.

    Raises:
        DataError: where the evaluator stops.
    """
    kind = kind_of(spec)
    lines = [line.strip() for line in _lines(data, path)]
    rows = _lines(gold, f"{path}: gold labels")
    if split in spec.header:
        rows = [row for row in rows[1:] if row.strip()]
    read = {"accuracy": _classified, "ndcg": _ranked, SEQEVAL_0: _tagged}[kind.official_rule]
    items, official, single_row_queries = read(lines, rows, spec, path)
    return PredictionScores(kind.score(items), kind.stderr(items), official, items, single_row_queries)


def gold_file(spec: TaskSpec, split: str, dataset: Dataset) -> bytes:
    """What the evaluator reads of a gold file, for rows that come from none; labels as the official files spell them.

    Args:
        spec: the task.
        split: ``test`` or ``dev``.
        dataset: the rows.
    """
    texts, labels = dataset[spec.text_a[0]][:], dataset[spec.label_column][:]
    if kind_of(spec).per_word:
        pairs = (zip(words, ids, strict=True) for words, ids in zip(texts, labels, strict=True))
        return "".join("".join(f"{w} {spec.labels[i]}\n" for w, i in row) + "\n" for row in pairs).encode()
    names = spellings(spec)
    rows = [" ".join(text.split("\r")) + f"\t{names[label]}\n" for text, label in zip(texts, labels, strict=True)]
    return "".join(["header\n"] * (split in spec.header) + rows).encode()


def _lines(data: bytes, path: str) -> list[str]:
    """Lines as Python's text files have them: a carriage return ends one, a byte order mark is part of the first."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: invalid UTF-8; {_STOPS}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _table(lines: list[str], rows: list[str]) -> tuple[list[str], list[str]]:
    """Predicted and gold labels; numpy's strings end before their zero bytes."""
    return [line.rstrip("\0") for line in lines], [row.split("\t")[-1].strip().rstrip("\0") for row in rows]


def _classified(lines: list[str], rows: list[str], spec: TaskSpec, path: str) -> _Scored:
    names, labels = _table(lines, rows)
    if 1 in (len(labels), len(names)):  # numpy compares one label with all others
        labels, names = labels * max(1, len(names)), names * max(1, len(labels))
    if len(labels) != len(names):
        raise DataError(f"{path}: {len(names)} labels for {len(labels)} rows; {_STOPS}")
    items = [float(g == p) for g, p in zip(labels, names, strict=True)]
    return items, Official(metrics.mean(items), None, "accuracy"), None


def _ranked(lines: list[str], rows: list[str], spec: TaskSpec, path: str) -> _Scored:
    """Predictions may be any numbers; where one side is longer, its rest is ignored."""
    names, labels = _table(lines, rows)
    queries = [row.split("\t")[0] for row in rows]
    groups: list[tuple[list[float], list[float]]] = []
    before = ""
    for number, (query, label, name) in enumerate(zip(queries, labels, names, strict=False), start=1):
        try:
            value, grade = float(name), float(label)
        except ValueError:
            odd = f"{name[:60]!r} of gold {label[:60]!r}"
            raise DataError(f"{path}:{number}: {odd} are not two numbers; {_STOPS}") from None
        if not groups or (query != before and before):  # an empty query never ends: the next one continues it
            groups.append(([], []))
        before = query
        groups[-1][0].append(grade)
        groups[-1][1].append(value)
    ranked = [group for group in groups if len(group[0]) > 1]
    if not ranked or not all(math.isfinite(value) for _, values in ranked for value in values):
        what = "a query's predictions are not all finite" if ranked else "no query has two rows"
        raise DataError(f"{path}: {what}; {_STOPS}")
    items = [metrics.ndcg(grades, values) for grades, values in ranked]
    return items, Official(metrics.mean(items), None, "ndcg"), len(groups) - len(ranked)


def _tagged(lines: list[str], rows: list[str], spec: TaskSpec, path: str) -> _Scored:
    gold: list[list[str]] = [[]]
    for row in rows:
        if row.strip() and not row.startswith("-DOCSTART-"):
            gold[-1].append(row.split()[-1])
        elif gold[-1]:
            gold.append([])
    read: list[list[str]] = [[]]
    for number, line in enumerate(lines, start=1):
        if line:
            read[-1].append(line)
        elif read[-1]:
            read.append([])
        else:
            raise DataError(f"{path}:{number}: an empty line where a sentence begins; {_STOPS}")
    gold, read = ([row for row in side if row] for side in (gold, read))
    if len(read) < len(gold):
        raise DataError(f"{path}: {len(read)} sentences, but the data have {len(gold)}; {_STOPS}")
    predicted = filled(gold, read)
    of_chunks, count = (
        (chunk_f1, metrics.entity_counts) if spec.metric == "f1" else (chunk_precision, metrics.accuracy_counts)
    )
    same = [len(row) for row in gold] == [len(row) for row in predicted]
    later = of_chunks(gold, predicted, SEQEVAL_1) if same else None  # 1.x refuses other lengths
    items = [count(g, p[: len(g)]) for g, p in zip(gold, predicted, strict=False)]
    return items, Official(of_chunks(gold, predicted), later, SEQEVAL_0), None
