"""What a constant guess scores, and when predictions are one."""

from __future__ import annotations

import math

import pytest

from xglue_harness.benchmark import TASKS
from xglue_harness.collapse import chance, constant


def test_chance_is_the_share_of_the_commonest_class():
    documents = [{"label": 2}] * 6 + [{"label": 0}] * 4
    guess, limit = chance(TASKS["xnli"], documents)
    assert guess == pytest.approx(0.6)
    assert limit == pytest.approx(0.6 + 2 * math.sqrt(0.24 / 9))


def test_chance_of_words_counts_words():
    documents = [{"words": ["a"] * 4, "pos": [7, 7, 7, 1]}, {"words": ["a"] * 2, "pos": [7, 2]}]
    guess, limit = chance(TASKS["pos"], documents)
    assert guess == pytest.approx(4 / 6)
    assert limit > guess


def test_chance_of_entities_is_nothing():
    labels = TASKS["ner"].labels
    outside = labels.index("O")
    documents = [{"words": ["a", "b"], TASKS["ner"].label_column: [outside, (outside + 1) % len(labels)]}] * 3
    assert chance(TASKS["ner"], [*documents, {"words": ["a"] * 9, TASKS["ner"].label_column: [outside] * 9}])[0] == 0


def test_chance_of_a_ranking_is_that_of_ties():
    column = TASKS["wpr"].label_column
    guess, _ = chance(TASKS["wpr"], [{column: [4, 0]}, {column: [0, 4]}])
    assert 0.5 < guess < 1


def test_one_class_for_all_is_constant_unless_the_gold_is():
    spec = TASKS["xnli"]
    assert constant(spec, [1, 1, 1], [0, 1, 2]) == spec.labels[1]
    assert constant(spec, [1, 1, 2], [0, 1, 2]) is None
    assert constant(spec, [1, 1, 1], [1, 1, 1]) is None
    assert constant(TASKS["pos"], [[3, 3], [3]], [[3, 4], [3]]) == TASKS["pos"].labels[3]
