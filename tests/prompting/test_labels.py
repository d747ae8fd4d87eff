"""From likelihoods to classes and grades, against other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.task import ConfigurableTask
from scipy.special import softmax

from xglue_harness.errors import PromptError
from xglue_harness.prompting import labels

WORDS = ["yes", "perhaps", "no", "not at all"]
VALUES = st.lists(st.floats(-100, 0), min_size=4, max_size=4)
checked = settings(deadline=None, max_examples=200)


class _MultipleChoice(ConfigurableTask):
    """What lm-eval makes of likelihoods, without data."""

    OUTPUT_TYPE = "multiple_choice"

    def __init__(self, gold):
        self._metric_fn_list = dict.fromkeys(("acc", "acc_norm"))
        self.multiple_input = self.multiple_target = 0
        self._gold = gold
        self._config = type("Config", (), {"process_results": None})()

    def doc_to_choice(self, doc, doc_to_choice=None):
        return WORDS

    def doc_to_target(self, doc, doc_to_target=None):
        return self._gold


@checked
@given(VALUES, st.integers(0, 3))
def test_plain_and_by_length_are_lm_evals(values, gold):
    found = _MultipleChoice(gold).process_results({}, [(value, False) for value in values])
    assert float(labels.likeliest(values) == gold) == found["acc"]
    assert float(labels.likeliest_by_length(values, WORDS) == gold) == found["acc_norm"]


@checked
@given(VALUES, VALUES)
def test_calibrated_is_the_highest_ratio_of_probabilities(values, without):
    ratios = [math.exp((value - prior) / 64) for value, prior in zip(values, without, strict=True)]
    assert ratios[labels.likeliest_calibrated(values, without)] == pytest.approx(max(ratios))


def test_calibration_takes_away_what_is_likely_anyway():
    assert labels.likeliest([-1.0, -2.0]) == 0
    assert labels.likeliest_calibrated([-1.0, -2.0], [-0.5, -3.0]) == 1


def test_words_that_are_impossible_either_way_are_not_chosen():
    assert labels.likeliest_calibrated([-math.inf, -5.0], [-math.inf, -1.0]) == 1
    assert labels.likeliest_calibrated([-5.0, -9.0], [-math.inf, -1.0]) == 0


@checked
@given(st.lists(st.floats(-700, 0), min_size=2, max_size=6))
def test_the_expected_grade_is_that_of_the_softmax(values):
    expected = float(softmax(values) @ np.arange(len(values)))
    assert labels.expected_grade(values) == pytest.approx(expected, abs=1e-9)


def test_the_expected_grade_of_a_sure_model_is_its_grade():
    assert labels.expected_grade([-math.inf, 0.0, -math.inf]) == 1
    with pytest.raises(PromptError, match="every grade the probability 0"):
        labels.expected_grade([-math.inf, -math.inf])


@pytest.mark.parametrize(
    "chosen",
    [
        labels.likeliest,
        labels.expected_grade,
        lambda values: labels.likeliest_by_length(values, WORDS[:2]),
        lambda values: labels.likeliest_calibrated(values, [-1.0, -1.0]),
        lambda values: labels.likeliest_calibrated([-1.0, -1.0], values),
    ],
)
def test_nan_is_an_error(chosen):
    with pytest.raises(PromptError, match="is NaN"):
        chosen([-1.0, math.nan])
