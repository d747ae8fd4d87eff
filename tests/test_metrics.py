"""Every metric against an independent implementation, every standard error against a bootstrap."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import permutations, product

import numpy as np
import pytest
import scipy.stats
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.metrics import unweighted_mean_stderr
from seqeval.metrics.sequence_labeling import get_entities
from sklearn.metrics import accuracy_score, ndcg_score

from xglue_harness import metrics
from xglue_harness.benchmark import TASKS

# seqeval warns of labels of no scheme and of sentences without entities: both are cases under test.
pytestmark = pytest.mark.filterwarnings("ignore:.*seems not to be NE tag", "ignore:.*ill-defined")

NER = TASKS["ner"].labels
IOB1 = tuple(label for label in NER if not label.startswith("B-"))
TAGS = (
    tuple("BIES")
    + tuple(f"{tag}-{kind}" for tag in "BIES" for kind in ("PER", "LOC"))
    + ("O", "O-PER", "B-PER-X", "I-")
)
ANYTHING = (*TAGS, *TASKS["pos"].labels, ".", "-", "--", "ES", "-PER")
BOOTSTRAPS = 4000

checked = settings(deadline=None, max_examples=150)


def sentences(labels: Sequence[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """One sentence: ``(gold, predicted)`` of each word."""
    label = st.sampled_from(labels)
    return st.lists(st.tuples(label, label), min_size=1, max_size=12)


# Metrics


@checked
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_is_sklearns(words: list[tuple[int, int]]) -> None:
    gold, predicted = zip(*words, strict=True)
    right, count = metrics.accuracy_counts(gold, predicted)
    assert right / count == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)


@checked
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1), min_size=1, max_size=6))
def test_word_accuracy_over_sentences_is_sklearns_over_all_words(corpus: list[list[tuple[int, int]]]) -> None:
    pairs = [metrics.accuracy_counts(*zip(*sentence, strict=True)) for sentence in corpus]
    gold, predicted = zip(*(word for sentence in corpus for word in sentence), strict=True)
    assert metrics.ratio(pairs) == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)


@pytest.mark.parametrize("labels", [NER, IOB1, TAGS, ANYTHING], ids=["NER", "IOB1", "IOBES", "anything"])
def test_entities_are_seqevals(labels: tuple[str, ...]) -> None:
    @checked
    @given(st.lists(st.sampled_from(labels), max_size=12))
    def check(sentence: list[str]) -> None:
        assert metrics.entities(sentence) == set(get_entities(sentence))

    check()


@checked
@given(st.lists(st.text("OBIESX.-P", min_size=1, max_size=4), max_size=8))
def test_entities_are_seqevals_for_arbitrary_labels(sentence: list[str]) -> None:
    assert metrics.entities(sentence) == set(get_entities(sentence))


def test_entities_are_seqevals_for_every_three_labels() -> None:
    for sentence in product(TAGS, repeat=3):
        assert metrics.entities(sentence) == set(get_entities(list(sentence))), sentence


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O O", set()),
        ("I-PER I-PER O I-LOC", {("PER", 0, 1), ("LOC", 3, 3)}),  # IOB1, as English and German
        ("B-PER I-PER O B-LOC", {("PER", 0, 1), ("LOC", 3, 3)}),  # IOB2
        ("I-PER B-PER I-PER", {("PER", 0, 0), ("PER", 1, 2)}),  # IOB1: B separates neighbours of one type
        ("B-PER I-LOC", {("PER", 0, 0), ("LOC", 1, 1)}),
        ("S-PER B-LOC E-LOC", {("PER", 0, 0), ("LOC", 1, 2)}),
    ],
)
def test_entities_by_hand(labels: str, expected: set[tuple[str, int, int]]) -> None:
    assert metrics.entities(labels.split()) == expected


def test_a_sentence_without_words_has_no_entities() -> None:
    assert metrics.entities([]) == frozenset()


@pytest.mark.parametrize("labels", [NER, IOB1, TAGS], ids=["NER", "IOB1", "IOBES"])
def test_f1_over_sentences_is_seqevals(labels: tuple[str, ...]) -> None:
    @checked
    @given(st.lists(sentences(labels), min_size=1, max_size=6))
    def check(corpus: list[list[tuple[str, str]]]) -> None:
        gold = [[g for g, _ in sentence] for sentence in corpus]
        predicted = [[p for _, p in sentence] for sentence in corpus]
        pairs = [metrics.entity_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
        assert metrics.ratio(pairs) == pytest.approx(seqeval.metrics.f1_score(gold, predicted), abs=1e-12)

    check()


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        ("O O O", "O O O"),
        ("O O O", "I-PER O B-LOC"),
        ("I-PER O B-LOC", "O O O"),
        ("I-PER I-PER I-PER", "I-PER I-PER I-PER"),
        ("I-PER I-PER I-PER", "B-PER B-PER B-PER"),
        ("I-PER I-LOC I-PER", "B-PER B-LOC B-PER"),
    ],
)
def test_f1_of_degenerate_sentences_is_seqevals(gold: str, predicted: str) -> None:
    g, p = gold.split(), predicted.split()
    assert metrics.ratio([metrics.entity_counts(g, p)]) == pytest.approx(seqeval.metrics.f1_score([g], [p]), abs=1e-12)


GRADES = st.one_of(st.integers(0, 4).map(float), st.floats(0, 100).map(lambda grade: round(grade, 3)))
SCORES = st.one_of(st.integers(-2, 2).map(float), st.floats(-1e6, 1e6))


@checked
@given(st.lists(st.tuples(GRADES, SCORES), min_size=2, max_size=20))
def test_ndcg_is_sklearns(rows: list[tuple[float, float]]) -> None:
    gold, scores = zip(*rows, strict=True)
    assert metrics.ndcg(gold, scores) == pytest.approx(ndcg_score([gold], [scores]), abs=1e-12)


@checked
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=20))
def test_ndcg_of_classes_as_scores_is_sklearns(rows: list[tuple[int, int]]) -> None:
    """What the official evaluator ranks by: five classes, so that most rows are tied."""
    gold, scores = zip(*rows, strict=True)
    assert metrics.ndcg(gold, scores) == pytest.approx(ndcg_score([gold], [scores]), abs=1e-12)


@checked
@given(st.lists(SCORES, min_size=2, max_size=10))
def test_ndcg_is_zero_where_all_grades_are(scores: list[float]) -> None:
    gold = [0.0] * len(scores)
    assert metrics.ndcg(gold, scores) == ndcg_score([gold], [scores]) == 0.0


def test_ndcg_of_ties_is_the_mean_over_their_orders() -> None:
    gold, scores = [3.0, 0.0, 2.0, 1.0], [0.5, 0.5, 0.5, 0.9]
    orders = [[*order, 4.0] for order in permutations((1.0, 2.0, 3.0))]
    assert metrics.ndcg(gold, scores) == pytest.approx(np.mean([metrics.ndcg(gold, s) for s in orders]), abs=1e-12)


@checked
@given(st.lists(st.floats(-1e3, 1e3), min_size=2))
def test_mean_and_its_stderr_are_scipys(items: list[float]) -> None:
    assert metrics.mean(items) == pytest.approx(np.mean(items), abs=1e-9)
    assert metrics.mean_stderr(items) == pytest.approx(scipy.stats.sem(items), abs=1e-9)


# Standard errors


def bootstrap_stderr(columns: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> float:
    """Standard deviation of a score over resamples of the examples.

    ``columns`` is ``[examples, numbers of an example]``; ``score`` maps sums over examples, ``[resamples, numbers]``,
    to ``[resamples]``. A resample of ``n`` examples with replacement is a multinomial draw of their weights.
    """
    n = len(columns)
    weights = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS)
    return float(np.std(score(weights @ columns), ddof=1))


def noisy(labels: Sequence[str], error: float, inventory: Sequence[str], rng: random.Random) -> list[str]:
    return [rng.choice(inventory) if rng.random() < error else label for label in labels]


def ner_corpus(rng: random.Random, count: int) -> list[tuple[list[str], list[str]]]:
    """IOB1 sentences of 3 to 40 words, a tenth of the words in entities, and predictions of uneven quality."""
    corpus = []
    for _ in range(count):
        gold: list[str] = []
        for _ in range(rng.randint(3, 40)):
            kind = rng.choice(("PER", "ORG", "LOC", "MISC"))
            gold += [f"I-{kind}"] * rng.randint(1, 3) if rng.random() < 0.08 else ["O"]
        corpus.append((gold, noisy(gold, rng.choice((0.0, 0.02, 0.1)), NER, rng)))
    return corpus


def test_f1_stderr_is_the_bootstraps() -> None:
    corpus = ner_corpus(random.Random(0), 800)
    ours = metrics.ratio_stderr([metrics.entity_counts(gold, predicted) for gold, predicted in corpus])
    counts = []
    for gold, predicted in corpus:
        expected, found = set(get_entities(gold)), set(get_entities(predicted))
        counts.append((len(expected & found), len(expected), len(found)))

    def f1(sums: np.ndarray) -> np.ndarray:
        right, gold, predicted = sums.T
        precision, recall = right / predicted, right / gold
        return 2 * precision * recall / (precision + recall)

    assert ours == pytest.approx(bootstrap_stderr(np.array(counts), f1), rel=0.05)


def test_word_accuracy_stderr_is_the_bootstraps_over_sentences() -> None:
    rng = random.Random(1)
    corpus = []
    for _ in range(600):
        gold = [rng.choice(TASKS["pos"].labels) for _ in range(rng.randint(1, 50))]
        corpus.append((gold, noisy(gold, rng.choice((0.02, 0.1, 0.4)), TASKS["pos"].labels, rng)))
    ids = {label: i for i, label in enumerate(TASKS["pos"].labels)}
    pairs = [metrics.accuracy_counts([ids[g] for g in gold], [ids[p] for p in pred]) for gold, pred in corpus]
    ours = metrics.ratio_stderr(pairs)
    counts = np.array([(accuracy_score(gold, pred, normalize=False), len(gold)) for gold, pred in corpus])
    assert ours == pytest.approx(bootstrap_stderr(counts, lambda sums: sums[:, 0] / sums[:, 1]), rel=0.05)
    # Errors come together in hard sentences: to take the words for independent would claim too much.
    accuracy, words = metrics.ratio(pairs), counts[:, 1].sum()
    assert ours > 1.3 * math.sqrt(accuracy * (1 - accuracy) / words)


def test_ndcg_stderr_is_the_bootstraps_over_queries() -> None:
    rng = np.random.default_rng(2)
    queries = []
    for _ in range(400):
        gold = rng.integers(0, 5, size=rng.integers(2, 13)).astype(float)
        queries.append((gold, np.rint(gold + rng.normal(0, 1.5, size=len(gold)))))
    ours = metrics.mean_stderr([metrics.ndcg(gold.tolist(), scores.tolist()) for gold, scores in queries])
    values = np.array([[ndcg_score([gold], [scores]), 1.0] for gold, scores in queries])
    assert ours == pytest.approx(bootstrap_stderr(values, lambda sums: sums[:, 0] / sums[:, 1]), rel=0.05)


@pytest.mark.parametrize("accuracy", [0.35, 0.75, 0.95])
def test_classification_stderr_is_the_bootstraps(accuracy: float) -> None:
    right = np.random.default_rng(3).random(1000) < accuracy
    ours = metrics.mean_stderr([float(value) for value in right])
    assert ours == pytest.approx(
        bootstrap_stderr(right[:, None].astype(float), lambda sums: sums[:, 0] / 1000), rel=0.05
    )
    p = right.mean()
    assert ours == pytest.approx(math.sqrt(p * (1 - p) / 999), rel=1e-12)


@checked
@given(st.lists(st.integers(0, 1).map(float), min_size=2))
def test_a_ratio_over_equal_denominators_is_a_mean(items: list[float]) -> None:
    pairs = [(value, 1.0) for value in items]
    assert metrics.ratio(pairs) == pytest.approx(metrics.mean(items), abs=1e-12)
    assert metrics.ratio_stderr(pairs) == pytest.approx(metrics.mean_stderr(items), abs=1e-12)


def test_ratio_stderr_by_hand() -> None:
    # r = 4/8; residuals 1 - 1, 1 - 2, 2 - 1; se = sqrt(3/2 * 2) / 8
    assert metrics.ratio_stderr([(1, 2), (1, 4), (2, 2)]) == pytest.approx(math.sqrt(3) / 8, abs=1e-15)


# The edges


def test_a_ratio_without_denominator_is_zero_and_its_stderr_undefined() -> None:
    pairs = [metrics.entity_counts(["O", "O"], ["O", "O"])] * 3
    assert metrics.ratio(pairs) == 0.0
    assert math.isnan(metrics.ratio_stderr(pairs))


def test_the_stderr_of_one_example_is_undefined() -> None:
    assert math.isnan(metrics.mean_stderr([1.0]))
    assert math.isnan(metrics.ratio_stderr([(1, 2)]))


@pytest.mark.parametrize("score", [metrics.ratio, metrics.ratio_stderr, metrics.mean, metrics.mean_stderr])
def test_no_examples_is_an_error(score: Callable[[list[float]], float]) -> None:
    with pytest.raises(ValueError, match="no examples"):
        score([])


@pytest.mark.parametrize("score", [metrics.accuracy_counts, metrics.entity_counts, metrics.ndcg])
def test_lengths_must_agree(score: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="length: 2 and 3"):
        score("OO", "OOO")
    with pytest.raises(ValueError, match="empty"):
        score([], [])


def test_a_label_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="label 1"):
        metrics.entities(["O", ""])


@pytest.mark.parametrize(
    ("gold", "scores", "message"),
    [
        ([1.0], [1.0], "at least 2 rows"),
        ([1.0, -1.0], [1.0, 2.0], "0 or more"),
        ([1.0, 2.0], [1.0, math.nan], "finite"),
        ([1.0, math.inf], [1.0, 2.0], "finite"),
    ],
)
def test_ndcg_refuses_what_has_no_ranking(gold: list[float], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.ndcg(gold, scores)


def test_ndcg_never_exceeds_one_by_rounding():
    assert metrics.ndcg([1] * 6, [2, 4, 0, 3, 1, 2]) == 1.0


@checked
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_stderr_of_a_mean_of_scores_is_lm_evals(errors: list[float]) -> None:
    assert metrics.group_stderr(errors) == pytest.approx(unweighted_mean_stderr(errors), abs=1e-12)


def test_a_mean_of_no_scores_has_no_stderr() -> None:
    with pytest.raises(ValueError, match="no examples"):
        metrics.group_stderr([])
    assert math.isnan(metrics.group_stderr([0.1, math.nan]))
