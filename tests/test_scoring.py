"""Scores of the predictions of a language."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xglue_harness import metrics
from xglue_harness.benchmark import TASKS
from xglue_harness.official_metrics import ranking_ndcg
from xglue_harness.scoring import Means, means, score_predictions

WPR = TASKS["wpr"]


def test_queries_of_one_row_are_left_out_and_counted():
    scores = score_predictions(WPR, [4, 0, 1, 0, 2], [1, 3, 4, 2, 2], [0, 0, 1, 2, 2])
    expected = [metrics.ndcg([4, 0], [1, 3]), metrics.ndcg([0, 2], [2, 2])]
    assert scores.items == expected
    assert scores.score == scores.official.official == metrics.mean(expected)
    assert scores.stderr == metrics.mean_stderr(expected)
    assert scores.single_row_queries == 1


def test_a_row_is_a_document_where_nothing_is_ranked():
    for documents in (None, [0, 1, 2]):
        scores = score_predictions(TASKS["xnli"], [0, 1, 2], [0, 1, 1], documents)
        assert scores.items == [1.0, 1.0, 0.0]
        assert scores.score == scores.official.official == 2 / 3
        assert scores.single_row_queries is None


def test_a_standard_error_that_is_not_defined_is_none():
    assert score_predictions(TASKS["xnli"], [0], [0]).stderr is None
    assert score_predictions(WPR, [4, 0, 1], [1, 3, 4], [0, 0, 1]).stderr is None
    assert score_predictions(TASKS["pos"], [[1, 2]], [[1, 1]]).stderr is None


@pytest.mark.parametrize(
    ("task", "gold", "predicted", "documents", "message"),
    [
        ("xnli", [], [], None, "no examples to score"),
        ("ner", [], [], None, "no examples to score"),
        ("ner", [[]], [[]], None, "empty: an example has at least one word"),
        ("pos", [[1, 2]], [[1]], None, "differ in length: 2 and 1"),
        ("wpr", [1, 2], [1, 2], [0, 1], "no examples to score"),
        ("xnli", [0, 1], [0], None, "shorter"),
    ],
)
def test_what_can_not_be_scored(task: str, gold: Any, predicted: Any, documents: Any, message: str):
    with pytest.raises(ValueError, match=message):
        score_predictions(TASKS[task], gold, predicted, documents)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=20))
def test_rows_in_order_are_grouped_as_their_queries_are(rows: list[tuple[int, int, int]]):
    rows = sorted(rows, key=lambda row: row[0])
    documents, gold, predicted = ([*column] for column in zip(*rows, strict=True))
    if len({*documents}) == len(documents):
        return
    official = ranking_ndcg([str(number) for number in documents], gold, predicted)
    scores = score_predictions(WPR, gold, predicted, documents)
    assert scores.official.official == scores.score == official
    assert scores.single_row_queries == sum(documents.count(number) == 1 for number in {*documents})


def test_the_means_of_a_task_are_over_its_languages():
    found = means({"de": 0.5, "en": 0.9, "fr": 0.7}, {"en": 0.03, "de": 0.04, "fr": 0.12})
    assert found.mean == pytest.approx(0.7)
    assert found.gap == pytest.approx(0.3), "English less the mean of the others"
    assert found.stderr == pytest.approx(0.13 / 3)


def test_what_a_language_lacks_no_mean_is_made_of():
    assert means({"en": 0.9, "de": 0.5}, {"en": 0.1, "de": None}).stderr is None
    assert means({"en": 0.9, "de": 0.5}).stderr is None
    assert means({"en": 0.9}).gap is None
    assert means({"de": 0.9}).gap is None
    assert means({}, {}) == Means(None, None, None)
