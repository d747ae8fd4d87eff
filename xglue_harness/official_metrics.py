"""What XGLUE's own evaluator gives for the same predictions, as pure functions: the column ``official``.

The evaluator is ``xglue_evaluate.py`` (Liang et al. 2020, arXiv:2004.01401), which scores with seqeval and
scikit-learn. Its scores are of a language as a whole and have no standard errors. What each of its quirks does to a
number is shown in ``docs/official.md``; the metrics to trust are those of `xglue_harness.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from xglue_harness import metrics
from xglue_harness.benchmark import Kind, TaskSpec


def official_score(spec: TaskSpec, gold: Sequence[Any], predicted: Sequence[Any]) -> float:
    """Score one language of a task; the task's score is the mean over its languages.

    Args:
        spec: the task.
        gold: one a document: class id, class ids of the words (tagging), or grades of a query's rows (ranking).
        predicted: the same of the predictions.

    Returns:
        `accuracy`, `entity_f1` (NER), `tag_precision` (POS) or the mean nDCG of `ranking_ndcg` (WPR).

    Raises:
        ValueError: there are no examples, or the two differ in length.
    """
    if spec.kind is Kind.RANKING:
        _check_lengths(gold, predicted, "queries")
        return _mean_ndcg(zip(gold, predicted, strict=True))
    if spec.kind is not Kind.TAGGING:
        return accuracy(gold, predicted)
    score = entity_f1 if spec.metric == "f1" else tag_precision
    return score(*([[spec.labels[i] for i in ids] for ids in sentences] for sentences in (gold, predicted)))


def accuracy(gold: Sequence[int | str], predicted: Sequence[int | str]) -> float:
    """Share of the rows that are right: NC, XNLI, PAWS-X, QADSM and QAM.

    Args:
        gold: classes, ``[rows]``.
        predicted: classes, ``[rows]``.

    Raises:
        ValueError: there are no rows, or the two differ in length.
    """
    _check_lengths(gold, predicted, "rows")
    return metrics.mean([float(g == p) for g, p in zip(gold, predicted, strict=True)])


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 over the entities of all sentences: NER.

    For labels of IOB, IOB2 and IOBES it equals the `xglue_harness.metrics.ratio` of `entity_counts`.

    Args:
        gold: labels of the words, ``[sentences][words]``.
        predicted: labels of the words, ``[sentences][words]``.

    Returns:
        F1; 0.0 where there is no entity at all, gold or predicted.

    Raises:
        ValueError: there are no sentences, two differ in length, or a label is empty.

    Source:
        ``seqeval.metrics.f1_score`` 1.2.2 in its default, lenient mode.
    """
    _check_lengths(gold, predicted, "sentences")
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(g) != len(p):
            raise ValueError(f"sentence {number}: {len(g)} gold labels and {len(p)} predicted ones")
    expected, found = _chunks(gold), _chunks(predicted)
    return metrics.ratio([(2.0 * len(expected & found), float(len(expected) + len(found)))])


def tag_precision(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Precision of runs of words with one tag, each read as if it were an entity: POS.

    The first letter of a tag is taken for the tag of an IOB scheme and the rest for the type. So ``CCONJ`` and
    ``SCONJ`` are one type, and ``INTJ``, ``SCONJ``, ``SYM`` and ``X`` start and end chunks by rules of their own.

    Args:
        gold: tags of the words, ``[sentences][words]``.
        predicted: tags of the words, ``[sentences][words]``; a sentence with fewer than the gold one is filled up at
            its end with ``O``, which is no chunk and so costs no precision.

    Returns:
        Right chunks over predicted chunks; 0.0 where none is predicted.

    Raises:
        ValueError: there are no sentences, a predicted one is longer than the gold one, or a tag is empty.

    Source:
        ``seqeval.metrics.precision_score`` 1.2.2 in its default, lenient mode.
    """
    _check_lengths(gold, predicted, "sentences")
    filled = []
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(p) > len(g):
            raise ValueError(f"sentence {number}: {len(p)} predicted tags for {len(g)} words")
        filled.append([*p, *["O"] * (len(g) - len(p))])
    expected, found = _chunks(gold), _chunks(filled)
    return metrics.ratio([(float(len(expected & found)), float(len(found)))])


def ranking_ndcg(queries: Sequence[str], gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Mean nDCG over queries, their rows ranked by the predicted grade: WPR.

    Rows of equal grade share the mean gain of their tie. Queries of one row are left out.

    Args:
        queries: text of the query, ``[rows]``.
        gold: grades, ``[rows]``.
        predicted: grades, ``[rows]``.

    Raises:
        ValueError: the three differ in length, or no query has two rows.

    Source:
        ``sklearn.metrics.ndcg_score`` of each query.
    """
    return _mean_ndcg(rankings(queries, gold, predicted))


def rankings(
    queries: Sequence[str], gold: Sequence[float], predicted: Sequence[float]
) -> list[tuple[list[float], list[float]]]:
    """Gold and predicted grades of each query, which is a run of rows: the same text further down is another query.

    Args:
        queries: text of the query, ``[rows]``.
        gold: grades, ``[rows]``.
        predicted: grades, ``[rows]``.

    Returns:
        Two lists for each query, ``[queries][2][rows]``; queries of one row, too.

    Raises:
        ValueError: there are no rows, or the three differ in length.
    """
    _check_lengths(gold, predicted, "rows")
    _check_lengths(gold, queries, "rows", "queries")
    groups = groupby(zip(queries, gold, predicted, strict=True), key=lambda row: row[0])
    rows = ([*group] for _, group in groups)
    return [([g for _, g, _ in group], [p for _, _, p in group]) for group in rows]


def _mean_ndcg(groups: Iterable[tuple[Sequence[float], Sequence[float]]]) -> float:
    found = [metrics.ndcg(gold, predicted) for gold, predicted in groups if len(gold) > 1]
    if not found:
        raise ValueError("no query with two rows: one row alone has no ranking to score")
    return metrics.mean(found)


def _chunks(sentences: Sequence[Sequence[str]]) -> frozenset[tuple[str, int, int]]:
    """Chunks of all sentences as one sequence of labels, an ``O`` after each, which is how seqeval reads them.

    It matters for ``X`` alone: its chunk after an ``O``, as at the start of a sentence, begins where the last one of
    the sentence before did, and at the end of a sentence it has none.
    """
    for number, sentence in enumerate(sentences, start=1):
        if not all(sentence):
            raise ValueError(f"sentence {number}: an empty label; expected one a word, such as 'O'")
    return metrics.entities([label for sentence in sentences for label in (*sentence, "O")])


def _check_lengths(gold: Sequence[object], other: Sequence[object], unit: str, name: str = "predicted") -> None:
    if len(gold) != len(other):
        raise ValueError(f"gold and {name} differ in length: {len(gold)} and {len(other)} {unit}")
    if not gold:
        raise ValueError(f"no examples to score: gold and {name} are empty")
