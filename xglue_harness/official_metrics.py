"""What XGLUE's own evaluator gives for the same predictions, as pure functions: the column ``official``.

The evaluator is ``xglue_evaluate.py`` (Liang et al. 2020, arXiv:2004.01401), which scores with seqeval and
scikit-learn. Its scores are of a language as a whole and have no standard errors. What each of its quirks does to a
number is shown in ``docs/official.md``; the metrics to trust are those of `xglue_harness.metrics`.

The score of POS depends on the version of seqeval. XGLUE's published results come from 0.0.12, current at the time, so
``official`` follows its rule; beside it, ``official_seqeval1`` follows that of 1.x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import Literal

from xglue_harness import metrics

Seqeval = Literal["seqeval 0.0.12", "seqeval 1.2.2"]
"""Whose rule splits a label into tag and type."""
Rule = Literal["seqeval 0.0.12", "ndcg", "accuracy"]
"""What ``official`` is computed by."""

SEQEVAL_0: Literal["seqeval 0.0.12"] = "seqeval 0.0.12"
SEQEVAL_1: Literal["seqeval 1.2.2"] = "seqeval 1.2.2"

_FINDERS: Mapping[Seqeval, Callable[[Sequence[str]], frozenset[tuple[str, int, int]]]] = MappingProxyType(
    {
        # The type is what stands after the last hyphen of the whole label: all of "CCONJ", and of "O" itself.
        SEQEVAL_0: lambda labels: metrics.chunks(labels, lambda label: label.rpartition("-")[2]),
        # The first letter is always the tag, which leaves "CONJ" of "CCONJ" and nothing of "X".
        SEQEVAL_1: metrics.entities,
    }
)


@dataclass(frozen=True)
class Official:
    """The official score of one language, from 0 to 1, and where it comes from.

    Attributes:
        official: as XGLUE's evaluator gave it when the benchmark was published.
        official_seqeval1: as the same program gives it with seqeval 1.x; ``None``: seqeval does not score the task.
        official_rule: what ``official`` is computed by.
    """

    official: float
    official_seqeval1: float | None
    official_rule: Rule


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


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], rule: Seqeval = SEQEVAL_0) -> float:
    """Micro F1 over the entities of all sentences: NER.

    For labels of IOB, IOB2 and IOBES it equals the `xglue_harness.metrics.ratio` of `entity_counts`, by either rule.
    The rules differ for labels that XGLUE does not have, such as ``PER`` or ``B-PER-X``.

    Args:
        gold: labels of the words, ``[sentences][words]``.
        predicted: labels of the words, ``[sentences][words]``.
        rule: the rule of which seqeval.

    Returns:
        F1; 0.0 where there is no entity at all, gold or predicted.

    Raises:
        ValueError: there are no sentences, two differ in length, or a label is empty.

    Source:
        ``seqeval.metrics.f1_score`` of 0.0.12, or of 1.2.2 in its default, lenient mode.
    """
    _check_lengths(gold, predicted, "sentences")
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(g) != len(p):
            raise ValueError(f"sentence {number}: {len(g)} gold labels and {len(p)} predicted ones")
    return chunk_f1(gold, predicted, rule)


def tag_precision(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], rule: Seqeval = SEQEVAL_0
) -> float:
    """Precision of runs of words with one tag, each read as if it were an entity: POS.

    The first letter of a tag is taken for the tag of an IOB scheme. By the rule of 0.0.12 the type is the whole tag, so
    that only ``SCONJ`` and ``SYM`` are special: each word is a chunk of its own. By that of 1.2.2 the type is what is
    left without the first letter: ``CCONJ`` and ``SCONJ`` are one, and ``X`` has none.

    Args:
        gold: tags of the words, ``[sentences][words]``.
        predicted: tags of the words, ``[sentences][words]``; a sentence with fewer than the gold one is filled up at
            its end with ``O``, which is no chunk and so costs no precision.
        rule: the rule of which seqeval.

    Returns:
        Right chunks over predicted chunks; 0.0 where none is predicted.

    Raises:
        ValueError: there are no sentences, a predicted one is longer than the gold one, or a tag is empty.

    Source:
        ``seqeval.metrics.precision_score`` of 0.0.12, or of 1.2.2 in its default, lenient mode.
    """
    _check_lengths(gold, predicted, "sentences")
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(p) > len(g):
            raise ValueError(f"sentence {number}: {len(p)} predicted tags for {len(g)} words")
    return chunk_precision(gold, filled(gold, predicted), rule)


def filled(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> list[list[str]]:
    """Predicted sentences, each with an ``O`` for every label that it lacks; those beyond the gold ones stay.

    Args:
        gold: labels of the words, ``[sentences][words]``.
        predicted: labels of the words, ``[sentences][words]``, at least as many sentences.
    """
    lacking = [len(g) - len(p) for g, p in zip(gold, predicted, strict=False)]
    lacking += [0] * (len(predicted) - len(lacking))
    return [[*p, *["O"] * count] for p, count in zip(predicted, lacking, strict=True)]


def chunk_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], rule: Seqeval = SEQEVAL_0) -> float:
    """As `entity_f1`, but lengths are not checked: a sentence of another length moves all chunks after it.

    Args:
        gold: labels of the words, ``[sentences][words]``.
        predicted: labels of the words, ``[sentences][words]``.
        rule: the rule of which seqeval.

    Raises:
        ValueError: a label is empty.
    """
    expected, actual = _chunks(gold, rule), _chunks(predicted, rule)
    return metrics.ratio([(2.0 * len(expected & actual), float(len(expected) + len(actual)))])


def chunk_precision(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], rule: Seqeval = SEQEVAL_0
) -> float:
    """As `tag_precision`, but nothing is filled up and lengths are not checked; see `chunk_f1`.

    Args:
        gold: tags of the words, ``[sentences][words]``.
        predicted: tags of the words, ``[sentences][words]``.
        rule: the rule of which seqeval.

    Raises:
        ValueError: a tag is empty.
    """
    expected, actual = _chunks(gold, rule), _chunks(predicted, rule)
    return metrics.ratio([(float(len(expected & actual)), float(len(actual)))])


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
    golds, predictions = zip(*rankings(queries, gold, predicted), strict=True)
    return mean_ndcg(golds, predictions)


def mean_ndcg(gold: Sequence[Sequence[float]], predicted: Sequence[Sequence[float]]) -> float:
    """As `ranking_ndcg`, of rows that are grouped by query already.

    Args:
        gold: grades, ``[queries][rows]``.
        predicted: grades, ``[queries][rows]``.

    Raises:
        ValueError: there are no queries, the two differ in length, or no query has two rows.
    """
    _check_lengths(gold, predicted, "queries")
    values = [metrics.ndcg(g, p) for g, p in zip(gold, predicted, strict=True) if len(g) > 1]
    if not values:
        raise ValueError("no query with two rows: one row alone has no ranking to score")
    return metrics.mean(values)


def rankings(
    queries: Sequence[str], gold: Sequence[float], predicted: Sequence[float]
) -> list[tuple[list[float], list[float]]]:
    """Gold and predicted grades of each query (`query_rows`).

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
    return [([gold[row] for row in rows], [predicted[row] for row in rows]) for rows in query_rows(queries)]


def query_rows(queries: Iterable[str]) -> list[range]:
    """Rows of each query, which is a run of rows: the same text further down is another query.

    Args:
        queries: text of the query, ``[rows]``.
    """
    sizes = [sum(1 for _ in run) for _, run in groupby(queries)]
    return [range(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]


def _chunks(sentences: Sequence[Sequence[str]], rule: Seqeval) -> frozenset[tuple[str, int, int]]:
    """Chunks of all sentences as one sequence of labels, an ``O`` after each, which is how seqeval reads them.

    By the rule of 1.2.2 it matters for ``X`` alone: its chunk after an ``O``, as at the start of a sentence, begins
    where the last one of the sentence before did, and at the end of a sentence it has none.
    """
    for number, sentence in enumerate(sentences, start=1):
        if not all(sentence):
            raise ValueError(f"sentence {number}: an empty label; expected one a word, such as 'O'")
    return _FINDERS[rule]([label for sentence in sentences for label in (*sentence, "O")])


def _check_lengths(gold: Sequence[object], other: Sequence[object], unit: str, name: str = "predicted") -> None:
    if len(gold) != len(other):
        raise ValueError(f"gold and {name} differ in length: {len(gold)} and {len(other)} {unit}")
    if not gold:
        raise ValueError(f"no examples to score: gold and {name} are empty")
