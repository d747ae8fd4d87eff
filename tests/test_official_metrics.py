"""The evaluator's scores against seqeval and scikit-learn, used as it uses them; and each of its quirks by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, ndcg_score

from xglue_harness import metrics
from xglue_harness.benchmark import TASKS
from xglue_harness.official_metrics import accuracy, entity_f1, official_score, ranking_ndcg, tag_precision

# seqeval warns of labels of no scheme and of sentences without entities: both are cases under test.
pytestmark = pytest.mark.filterwarnings("ignore:.*seems not to be NE tag", "ignore:.*ill-defined")

NER = TASKS["ner"].labels
IOB1 = tuple(label for label in NER if not label.startswith("B-"))
UPOS = TASKS["pos"].labels
ODD = ("X", "SCONJ", "CCONJ", "SYM", "INTJ", "NOUN")
"""Tags whose first letter stands for something in seqeval, or that share a type."""
ANYTHING = (*UPOS, "O", "B", "I", "E", "S", "B-PER", "E-PER", "S-PER", "I-", "B-PER-X", ".", "-", "--")

checked = settings(deadline=None, max_examples=300)

Corpus = list[tuple[list[str], list[str]]]


def corpora(labels: Sequence[str]) -> st.SearchStrategy[Corpus]:
    """Sentences, some without words: ``(gold, predicted)``, of one length."""
    label = st.sampled_from(labels)
    words = st.lists(st.tuples(label, label), max_size=6)
    sentence = words.map(lambda pairs: ([g for g, _ in pairs], [p for _, p in pairs]))
    return st.lists(sentence, min_size=1, max_size=6)


def padded(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> list[list[str]]:
    """What the evaluator does with missing predictions of POS."""
    return [p + ["O"] * (len(g) - len(p)) for g, p in zip(gold, predicted, strict=True)]


@checked
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_is_sklearns(rows: list[tuple[int, int]]) -> None:
    gold, predicted = zip(*rows, strict=True)
    assert accuracy(gold, predicted) == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)


@pytest.mark.parametrize("labels", [NER, IOB1, ("O",), ("O", "I-PER"), ODD, ANYTHING])
def test_entity_f1_is_seqevals(labels: tuple[str, ...]) -> None:
    @checked
    @given(corpora(labels))
    def check(corpus: Corpus) -> None:
        gold, predicted = ([*side] for side in zip(*corpus, strict=True))
        assert entity_f1(gold, predicted) == pytest.approx(seqeval.metrics.f1_score(gold, predicted), abs=1e-12)

    check()


@pytest.mark.parametrize("labels", [NER, IOB1])
def test_of_named_entities_the_official_f1_is_ours(labels: tuple[str, ...]) -> None:
    @checked
    @given(corpora(labels))
    def check(corpus: Corpus) -> None:
        corpus = [sentence for sentence in corpus if sentence[0]] or [(["O"], ["I-PER"])]
        gold, predicted = ([*side] for side in zip(*corpus, strict=True))
        pairs = [metrics.entity_counts(g, p) for g, p in corpus]
        assert entity_f1(gold, predicted) == pytest.approx(metrics.ratio(pairs), abs=1e-12)

    check()


@pytest.mark.parametrize("labels", [UPOS, ODD, ("X",), ("X", "NOUN"), ("X", "O"), ANYTHING])
def test_tag_precision_is_seqevals_with_missing_predictions_filled_up(labels: tuple[str, ...]) -> None:
    @checked
    @given(corpora(labels), st.lists(st.integers(0, 6), min_size=6, max_size=6))
    def check(corpus: Corpus, lengths: list[int]) -> None:
        gold = [g for g, _ in corpus]
        predicted = [p[:length] for (_, p), length in zip(corpus, lengths, strict=False)]
        expected = seqeval.metrics.precision_score(gold, padded(gold, predicted))
        assert tag_precision(gold, predicted) == pytest.approx(expected, abs=1e-12)

    check()


ROWS = st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 4))
CONSTANT = st.tuples(st.sampled_from("ab"), st.just(0) | st.just(3), st.just(2))


@checked
@given(st.lists(ROWS, min_size=2, max_size=25) | st.lists(CONSTANT, min_size=2, max_size=8))
def test_ranking_ndcg_is_sklearns_over_runs_of_one_query(rows: list[tuple[str, int, int]]) -> None:
    groups = [[*group] for _, group in groupby(rows, key=lambda row: row[0])]
    found = [ndcg_score([[g for _, g, _ in group]], [[p for _, _, p in group]]) for group in groups if len(group) > 1]
    if not found:
        with pytest.raises(ValueError, match="no query with two rows"):
            ranking_ndcg(*zip(*rows, strict=True))
        return
    assert ranking_ndcg(*zip(*rows, strict=True)) == pytest.approx(np.mean(found), abs=1e-12)


def test_each_task_has_its_score() -> None:
    ner, pos, wpr = TASKS["ner"], TASKS["pos"], TASKS["wpr"]
    for name in ("nc", "xnli", "pawsx", "qadsm", "qam"):
        assert official_score(TASKS[name], [0, 1, 1, 0], [0, 1, 0, 0]) == 0.75
    person = ner.label_id("B-PER")
    assert official_score(ner, [[0, person]], [[person, person]]) == entity_f1([["O", "B-PER"]], [["B-PER", "B-PER"]])
    noun, adjective = pos.label_id("NOUN"), pos.label_id("ADJ")
    assert official_score(pos, [[noun, noun]], [[noun, adjective]]) == 0.0
    expected = ranking_ndcg("aabcc", [4, 0, 1, 0, 2], [1, 3, 4, 2, 2])
    assert official_score(wpr, [[4, 0], [1], [0, 2]], [[1, 3], [4], [2, 2]]) == expected


# The quirks by hand


def precision(gold: str, predicted: str) -> float:
    """Of sentences that are separated by a bar."""
    return tag_precision(*([sentence.split() for sentence in text.split("|")] for text in (gold, predicted)))


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("DET NOUN VERB", "DET NOUN VERB", 1.0),
        # Runs of one tag are one chunk: one wrong word of four, and none of the other three counts.
        ("NOUN NOUN NOUN NOUN", "NOUN NOUN ADJ NOUN", 0.0),
        ("NOUN NOUN NOUN VERB", "NOUN ADJ NOUN VERB", 1 / 4),
        # The first letter is lost: CCONJ and SCONJ are one type.
        ("CCONJ DET", "SCONJ DET", 1.0),
        # ... and an S stands for a single word: two are two chunks, and CCONJ before it is lost.
        ("SYM SYM", "SYM SYM", 1.0),
        ("SYM SYM", "SYM NOUN", 1 / 2),
        ("CCONJ SCONJ", "NOUN SCONJ", 1 / 2),
        # After it CCONJ starts no chunk but ends one, from the SCONJ on.
        ("SCONJ CCONJ", "SCONJ CCONJ", 1.0),
        ("SCONJ CCONJ", "SCONJ NOUN", 1 / 2),
        # X at the end of a sentence is no chunk: neither right nor wrong.
        ("NOUN X", "NOUN X", 1.0),
        ("NOUN VERB", "NOUN X", 1.0),
        ("X", "X", 0.0),
        # X at the start of a sentence begins where the last chunk of the sentence before did.
        ("NOUN | X VERB", "NOUN | X VERB", 1.0),
        ("NOUN NOUN | X VERB", "ADJ NOUN | X VERB", 1 / 4),
        # Missing predictions are filled up with O and cost nothing.
        ("DET NOUN VERB", "DET NOUN", 1.0),
        ("DET NOUN | VERB", "DET NOUN | ", 1.0),
        ("DET", "", 0.0),
    ],
)
def test_tag_precision_by_hand(gold: str, predicted: str, expected: float) -> None:
    assert precision(gold, predicted) == pytest.approx(expected, abs=1e-15)


def test_without_any_entity_f1_is_zero_though_nothing_is_wrong() -> None:
    assert entity_f1([["O", "O"], ["O"]], [["O", "O"], ["O"]]) == 0.0


def test_a_query_is_a_run_of_rows_and_one_row_is_none() -> None:
    assert ranking_ndcg("aab", [0, 1, 4], [0, 1, 0]) == 1.0
    apart = ranking_ndcg("aabaa", [0, 1, 4, 1, 0], [0, 1, 0, 0, 1])
    assert apart == pytest.approx((1 + ndcg_score([[1, 0]], [[0, 1]])) / 2, abs=1e-12)


def test_tied_grades_and_all_zero_grades() -> None:
    assert ranking_ndcg("aa", [1, 0], [2, 2]) == pytest.approx((1 + 1 / np.log2(3)) / 2, abs=1e-15)
    assert ranking_ndcg("aa", [0, 0], [0, 1]) == 0.0


# The edges


@pytest.mark.parametrize("score", [accuracy, entity_f1, tag_precision])
def test_no_examples_and_other_lengths_are_errors(score: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="no examples"):
        score([], [])
    with pytest.raises(ValueError, match="differ in length: 1 and 2"):
        score([["O"]], [["O"], ["O"]])


def test_errors_name_the_sentence() -> None:
    with pytest.raises(ValueError, match="sentence 2: 1 gold labels and 0 predicted ones"):
        entity_f1([["O"], ["O"]], [["O"], []])
    with pytest.raises(ValueError, match="sentence 2: 2 predicted tags for 1 words"):
        tag_precision([["DET"], ["DET"]], [["DET"], ["DET", "DET"]])
    with pytest.raises(ValueError, match="sentence 2: an empty label"):
        entity_f1([["O"], ["O", "O"]], [["O"], ["O", ""]])


def test_errors_of_rankings() -> None:
    with pytest.raises(ValueError, match="gold and queries differ in length: 2 and 1 rows"):
        ranking_ndcg("a", [1, 2], [1, 2])
    with pytest.raises(ValueError, match="no examples"):
        ranking_ndcg("", [], [])
    with pytest.raises(ValueError, match="no query with two rows"):
        official_score(TASKS["wpr"], [[1], [2]], [[1], [2]])
    with pytest.raises(ValueError, match="2 and 1 queries"):
        official_score(TASKS["wpr"], [[1], [2]], [[1]])
