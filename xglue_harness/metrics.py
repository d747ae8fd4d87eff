"""The metrics of the eight tasks, and their standard errors, as pure functions.

A score is either a mean over examples (accuracy of a classification task, nDCG of WPR) or a ratio of two sums over
examples (accuracy over the words of POS, micro F1 over the entities of NER). For the second sort every example gives a
:data:`Ratio`, its ``(numerator, denominator)``, and so both sorts have a standard error in closed form: no bootstrap.

All functions take plain sequences of one example or of all examples and know nothing of files, models or lm-eval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeAlias

Ratio: TypeAlias = tuple[float, float]
"""``(numerator, denominator)`` of one example; a score is the sum of the first over the sum of the second."""


def accuracy_counts(gold: Sequence[int | str], predicted: Sequence[int | str]) -> Ratio:
    """Count the right words of one sentence.

    Args:
        gold: classes, ``[words]``.
        predicted: classes, ``[words]``.

    Returns:
        ``(words predicted right, words)``; the :func:`ratio` over sentences is the accuracy over all words.

    Raises:
        ValueError: the two differ in length or are empty.
    """
    _check_lengths(gold, predicted)
    right = sum(1 for g, p in zip(gold, predicted, strict=True) if g == p)
    return float(right), float(len(gold))


def entities(labels: Sequence[str]) -> frozenset[tuple[str, int, int]]:
    """Find the named entities of one sentence, as ``conlleval`` does.

    A label is a tag (its first character) and a type (what follows the first hyphen; ``_`` where nothing does). An
    entity begins at ``B`` or ``S``, at ``I`` or ``E`` after ``O``, ``E`` or ``S``, and wherever the type changes; it
    ends before the next ``B``, ``S`` or ``O``, after ``E`` or ``S``, and wherever the type changes. So IOB1, IOB2,
    IOBES and mixtures of them are all read without repair: ``I-PER`` alone is an entity, ``B-PER I-LOC`` is two.

    This is the lenient (default) mode of ``seqeval.metrics.sequence_labeling.get_entities`` 1.2.2, also for labels of
    no scheme. seqeval joins sentences by an ``O``, which changes nothing for the tags ``B I O E S``. For a label that
    is one other character (such as the UPOS tag ``X``) its result depends on the sentence before; here it only does for
    sentences that are joined so (`xglue_harness.official_metrics`).

    Args:
        labels: one label a word, ``[words]``; no words, no entities.

    Returns:
        ``(type, start, end)`` of each entity; ``start`` and ``end`` are word indices from 0, both inclusive.

    Raises:
        ValueError: a label is the empty string.

    Source:
        Tjong Kim Sang and Buchholz 2000 (CoNLL-2000), ``conlleval``; Nakayama 2018, seqeval 1.2.2.
    """
    return chunks(labels, lambda label: label[1:].split("-", maxsplit=1)[-1] or "_")


def chunks(labels: Sequence[str], type_of: Callable[[str], str]) -> frozenset[tuple[str, int, int]]:
    """Find chunks as `entities` does, with another reading of a label's type.

    Args:
        labels: one label a word, ``[words]``.
        type_of: the type that a label has, also the label ``O``.

    Returns:
        ``(type, start, end)`` of each chunk, as `entities`.

    Raises:
        ValueError: a label is the empty string.
    """
    spans = set()
    start = 0
    before_tag, before_type = "O", ""
    for i, label in enumerate([*labels, "O"]):
        if not label:
            raise ValueError(f"label {i} of the sentence is empty: expected 'O' or a tag and a type such as 'I-PER'")
        tag, kind = label[0], type_of(label)
        if _ends_before(before_tag, before_type, tag, kind):
            spans.add((before_type, start, i - 1))
        if _starts_at(before_tag, before_type, tag, kind):
            start = i
        before_tag, before_type = tag, kind
    return frozenset(spans)


def _ends_before(before_tag: str, before_type: str, tag: str, kind: str) -> bool:
    """Whether an entity ends between the word before (first two arguments) and this word."""
    if before_tag in "ES" or (before_tag in "BI" and tag in "BSO"):
        return True
    return before_tag not in "O." and before_type != kind


def _starts_at(before_tag: str, before_type: str, tag: str, kind: str) -> bool:
    """Whether an entity starts at this word, given the word before (first two arguments)."""
    if tag in "BS" or (tag in "IE" and before_tag in "OES"):
        return True
    return tag not in "O." and before_type != kind


def entity_counts(gold: Sequence[str], predicted: Sequence[str]) -> Ratio:
    r"""Count the right entities of one sentence.

    Micro F1 is :math:`2PR/(P+R) = 2\,TP / (\text{gold} + \text{predicted})`, with all three counted over all
    sentences: the :func:`ratio` of these pairs. An entity is right if type, start and end agree.

    Args:
        gold: labels, ``[words]``.
        predicted: labels, ``[words]``.

    Returns:
        ``(2 * right entities, gold entities + predicted entities)``; ``(0, 0)`` for a sentence without any.

    Raises:
        ValueError: the two differ in length, are empty, or hold an empty label.

    Source:
        Tjong Kim Sang and De Meulder 2003 (CoNLL-2003); equals ``seqeval.metrics.f1_score``.
    """
    _check_lengths(gold, predicted)
    expected, actual = entities(gold), entities(predicted)
    return 2.0 * len(expected & actual), float(len(expected) + len(actual))


def ratio(items: Sequence[Ratio]) -> float:
    r"""Score of a task whose metric is a ratio of sums: :math:`r = \sum_i num_i / \sum_i den_i`.

    Args:
        items: one pair an example, ``[examples]``.

    Returns:
        The ratio; 0.0 where the denominators add up to 0 (no entity anywhere, gold or predicted), as seqeval does.

    Raises:
        ValueError: there are no examples.
    """
    _check_some(items)
    total = math.fsum(den for _, den in items)
    return math.fsum(num for num, _ in items) / total if total else 0.0


def ratio_stderr(items: Sequence[Ratio]) -> float:
    r"""Standard error of :func:`ratio`, by linearisation (the delta method).

    .. math::

        \operatorname{se}(r) = \sqrt{\frac{n}{n-1} \sum_i (num_i - r \, den_i)^2} \Big/ \sum_i den_i

    The examples (sentences) are the independent units, not the words in them, as in a bootstrap over sentences; there
    is no correction for a finite population. Where all denominators are 1 this is :func:`mean_stderr`.

    Args:
        items: one pair an example, ``[examples]``.

    Returns:
        The standard error, in the unit of the score; NaN (not defined) for fewer than two examples and where the
        denominators add up to 0.

    Raises:
        ValueError: there are no examples.

    Source:
        Cochran 1977, Sampling Techniques, 3rd edition, chapter 6 (ratio estimators).
    """
    _check_some(items)
    n = len(items)
    total = math.fsum(den for _, den in items)
    if n < 2 or not total:
        return math.nan
    r = ratio(items)
    return math.sqrt(n / (n - 1) * math.fsum((num - r * den) ** 2 for num, den in items)) / total


def ndcg(gold: Sequence[float], scores: Sequence[float]) -> float:
    r"""Normalised discounted cumulative gain of one query, over all its rows.

    .. math::

        \mathrm{DCG} = \sum_{k=1}^{rows} \frac{g_k}{\log_2(k+1)}, \qquad
        \mathrm{nDCG} = \mathrm{DCG} / \mathrm{DCG}_{ideal}

    where :math:`g_k` is the gold grade (linear gain) of the row with the ``k``-th highest score, and the ideal ranks
    by the grades themselves. Rows of equal score share the mean gain of their tie, which is the mean of DCG over all
    orders of the tied rows.

    Args:
        gold: grades, none negative, ``[rows]``.
        scores: predicted scores, higher is better, in any unit, ``[rows]``.

    Returns:
        nDCG in [0, 1]; 0.0 where all grades are 0.

    Raises:
        ValueError: the two differ in length, there are fewer than two rows (any ranking of one row is right), a grade
            is negative, or a number is not finite.

    Source:
        Järvelin and Kekäläinen 2002; ties: McSherry and Najork 2008. Equals
        ``sklearn.metrics.ndcg_score``.
    """
    _check_lengths(gold, scores)
    if len(gold) < 2:
        raise ValueError("nDCG needs at least 2 rows in a query: one row can only be ranked right")
    if not all(math.isfinite(value) for value in (*gold, *scores)):
        raise ValueError("nDCG needs finite grades and scores; found NaN or infinity")
    if min(gold) < 0:
        raise ValueError(f"nDCG needs grades of 0 or more; found {min(gold)}")
    ideal = _dcg(gold, gold)
    return min(1.0, _dcg(gold, scores) / ideal) if ideal else 0.0  # rounding can lead a little above 1


def _dcg(gains: Sequence[float], scores: Sequence[float]) -> float:
    """DCG of the rows ranked by score, averaged over the orders of tied rows."""
    ranked = sorted(zip(scores, gains, strict=True), key=lambda row: row[0], reverse=True)
    total = 0.0
    rank = 1
    for _, tied in groupby(ranked, key=lambda row: row[0]):
        tie = [gain for _, gain in tied]
        discounts = math.fsum(1 / math.log2(k + 1) for k in range(rank, rank + len(tie)))
        total += math.fsum(tie) / len(tie) * discounts
        rank += len(tie)
    return total


def mean(items: Sequence[float]) -> float:
    r"""Score of a task whose metric is a mean over examples: :math:`\bar x = \frac{1}{n} \sum_i x_i`.

    Args:
        items: one value an example (1 or 0 for right or wrong, nDCG of a query), ``[examples]``.

    Returns:
        The arithmetic mean.

    Raises:
        ValueError: there are no examples.
    """
    _check_some(items)
    return math.fsum(items) / len(items)


def mean_stderr(items: Sequence[float]) -> float:
    r"""Standard error of :func:`mean`: :math:`\sqrt{\frac{1}{n(n-1)} \sum_i (x_i - \bar x)^2}`.

    This is the sample standard deviation (with :math:`n-1`) over :math:`\sqrt n`, as ``lm_eval`` computes it for
    ``acc`` and as ``scipy.stats.sem``.

    Args:
        items: one value an example, ``[examples]``.

    Returns:
        The standard error, in the unit of the values; NaN (not defined) for fewer than two examples.

    Raises:
        ValueError: there are no examples.
    """
    average = mean(items)
    n = len(items)
    if n < 2:
        return math.nan
    return math.sqrt(math.fsum((x - average) ** 2 for x in items) / (n * (n - 1)))


def difference_stderr(before: Sequence[float] | Sequence[Ratio], after: Sequence[float] | Sequence[Ratio]) -> float:
    r"""Standard error of the difference of two scores of the same examples, by linearisation.

    With :math:`e_i = (num_i - r \, den_i) / \sum den` of each score, it is
    :math:`\sqrt{\frac{n}{n-1} \sum_i (e_i^{after} - e_i^{before})^2}`: what the two have in common takes nothing away.

    Args:
        before: scores of the examples, ``[examples]``: numbers, or pairs as :func:`ratio` takes them.
        after: the same.

    Returns:
        In the unit of the score; NaN for fewer than two examples and where denominators add up to 0.

    Raises:
        ValueError: the two differ in length, or there are no examples.

    Source:
        Cochran 1977, Sampling Techniques, 3rd edition, section 6.5.
    """
    _check_lengths(before, after)
    parts = [_linearised(items) for items in (before, after)]
    n = len(before)
    if n < 2 or not all(parts):
        return math.nan
    return math.sqrt(n / (n - 1) * math.fsum((b - a) ** 2 for a, b in zip(*parts, strict=True)))


def _linearised(items: Sequence[float] | Sequence[Ratio]) -> list[float]:
    """What each example adds to its score, beside the mean; nothing where denominators add up to 0."""
    pairs = [item if isinstance(item, tuple) else (float(item), 1.0) for item in items]
    total = math.fsum(den for _, den in pairs)
    if not total:
        return []
    r = ratio(pairs)
    return [(num - r * den) / total for num, den in pairs]


def group_stderr(errors: Sequence[float]) -> float:
    r"""Standard error of the plain mean of scores of independent test sets: :math:`\sqrt{\sum_i se_i^2} / n`.

    Args:
        errors: standard error of each score, ``[scores]``.

    Returns:
        The standard error, in the unit of the scores; NaN where one of them is.

    Raises:
        ValueError: there are no scores.
    """
    _check_some(errors)
    return math.sqrt(math.fsum(error**2 for error in errors)) / len(errors)


def _check_lengths(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"gold and predicted differ in length: {len(gold)} and {len(predicted)}")
    if not gold:
        raise ValueError("gold and predicted are empty: an example has at least one word or row")


def _check_some(items: Sequence[object]) -> None:
    if not items:
        raise ValueError("no examples to score")
