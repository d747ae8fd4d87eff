"""The scores of XGLUE's own evaluator, ``xglue_evaluate.py``, quirks included, as pure functions.

Written from a description of what it does, not from its code: it hands the labels to seqeval and scikit-learn. A task's
score is the mean over its languages. ``docs/official.md`` explains each quirk with an example.

Source:
    Liang et al. 2020, XGLUE (arXiv:2004.01401).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from xglue_harness import metrics
from xglue_harness.benchmark import Kind, TaskSpec


def accuracy(gold: Sequence[int | str], predicted: Sequence[int | str]) -> float:
    """Share of right classes: NC, XNLI, PAWS-X, QAM, QADSM.

    Args:
        gold: classes, ``[rows]``.
        predicted: classes, ``[rows]``.

    Raises:
        ValueError: the two differ in length or are empty.
    """
    _check(gold, predicted)
    return sum(g == p for g, p in zip(gold, predicted, strict=True)) / len(gold)


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 of entities over the corpus, as seqeval's ``f1_score`` in its lenient mode: NER.

    Args:
        gold: labels of each sentence's words, ``[sentences][words]``.
        predicted: the same, ``[sentences][words]``.

    Returns:
        F1 in [0, 1]; 0.0 where there is no entity, gold or predicted.

    Raises:
        ValueError: the two differ in length, there or within a sentence, or are empty.
    """
    _check(gold, predicted)
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        if len(g) != len(p):
            raise ValueError(f"sentence {number} has {len(g)} labels and {len(p)} predictions")
    expected, found = _chunks(gold), _chunks(predicted)
    total = len(expected) + len(found)
    return 2 * len(expected & found) / total if total else 0.0


def tag_precision(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Precision of chunks, as seqeval's ``precision_score`` (lenient, micro) makes them of bare tags: POS.

    seqeval takes the first letter of a tag for its prefix and the rest for its type, so that runs of one tag are one
    chunk, ``CCONJ`` and ``SCONJ`` are the same, and chunks of ``X`` depend on the sentence before.

    Args:
        gold: tags of each sentence's words, ``[sentences][words]``.
        predicted: the same; what a sentence lacks at its end counts as ``O``.

    Returns:
        Precision in [0, 1]; 0.0 where no chunk is predicted.

    Raises:
        ValueError: the two differ in length, a sentence has more predictions than words, or there is no sentence.
    """
    _check(gold, predicted)
    padded = []
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        if len(p) > len(g):
            raise ValueError(f"sentence {number} has {len(g)} labels and {len(p)} predictions")
        padded.append([*p, *["O"] * (len(g) - len(p))])
    found = _chunks(padded)
    return len(_chunks(gold) & found) / len(found) if found else 0.0


def ranking_ndcg(queries: Sequence[str], gold: Sequence[int], predicted: Sequence[int]) -> float:
    """Mean nDCG of the predicted classes over queries, as scikit-learn's ``ndcg_score``: WPR.

    Rows of consecutive equal queries make a group; groups of one row are left out; ties are averaged.

    Args:
        queries: text of each row's query, ``[rows]``.
        gold: grades, ``[rows]``.
        predicted: classes, ``[rows]``.

    Returns:
        The mean in [0, 1].

    Raises:
        ValueError: the three differ in length, or no group has two rows.
    """
    _check(gold, predicted)
    _check(gold, queries)
    groups = [list(rows) for _, rows in groupby(range(len(queries)), key=lambda row: queries[row])]
    return _mean_ndcg([([gold[i] for i in rows], [predicted[i] for i in rows]) for rows in groups])


def official_score(spec: TaskSpec, gold: Sequence[Any], predicted: Sequence[Any]) -> float:
    """The evaluator's score of one language.

    Args:
        spec: the task.
        gold: documents' gold labels as `xglue_harness.transfer.scoring.documents` has them: class ids, or lists of
            them for a sentence's words and a query's rows, ``[documents]``.
        predicted: the same of the predictions.

    Raises:
        ValueError: the two differ in length or are empty, or no query has two rows.
    """
    if spec.kind is Kind.RANKING:
        _check(gold, predicted)
        return _mean_ndcg(list(zip(gold, predicted, strict=True)))
    if spec.kind is not Kind.TAGGING:
        return accuracy(gold, predicted)
    names = ([[spec.labels[label] for label in row] for row in column] for column in (gold, predicted))
    return entity_f1(*names) if spec.metric == "f1" else tag_precision(*names)


def _mean_ndcg(groups: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    values = [metrics.ndcg(gold, predicted) for gold, predicted in groups if len(gold) > 1]
    if not values:
        raise ValueError("no query has two rows or more: there is nothing to rank")
    return metrics.mean(values)


def _chunks(sentences: Sequence[Sequence[str]]) -> frozenset[tuple[str, int, int]]:
    """Chunks of a corpus as seqeval finds them: in all sentences joined, an ``O`` after each."""
    return metrics.entities([label for sentence in sentences for label in [*sentence, "O"]])


def _check(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"gold and predicted differ in length: {len(gold)} and {len(predicted)}")
    if not gold:
        raise ValueError("gold and predicted are empty: there is nothing to score")
