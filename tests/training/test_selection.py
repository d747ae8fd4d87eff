"""Every rule on one table of dev scores."""

from __future__ import annotations

import pytest

from xglue_harness.records.training_schema import EpochScores
from xglue_harness.training.selection import RULES, Selected, averaged_by, needed, selected

EPOCHS = [
    EpochScores(epoch=1.0, dev={"en": 0.5, "de": 0.6, "ur": 0.2}),
    EpochScores(epoch=2.0, dev={"en": 0.8, "de": 0.3, "ur": 0.1}),
    EpochScores(epoch=3.0, dev={"en": 0.8, "de": 0.4, "ur": 0.4}),
    EpochScores(epoch=3.5, dev={"en": 0.7, "de": 0.6, "ur": 0.0}),
]


@pytest.mark.parametrize(
    ("rule", "language", "epoch"),
    [
        ("last", "de", 3.5),
        ("en_dev", "de", 2.0),  # the first of equals
        ("all_dev", "de", 3.0),
        ("oracle", "de", 1.0),
        ("oracle", "ur", 3.0),
        ("oracle", "zh", None),  # no dev set
    ],
)
def test_a_rule_selects_its_epoch(rule, language, epoch):
    assert selected(EPOCHS, rule, language) == (None if epoch is None else Selected(epoch))


@pytest.mark.parametrize(("rule", "averaged"), [("average", 4), ("average_last_2", 2), ("average_last_4", 4)])
def test_a_mean_is_of_the_last_epochs_a_begun_one_among_them(rule, averaged):
    assert averaged_by(rule, 4) == averaged
    assert selected(EPOCHS, rule, "de") == Selected(3.5, averaged)
    assert selected(EPOCHS, "average_last_5", "de") is None


def test_the_mean_of_one_epoch_is_the_last():
    assert selected(EPOCHS[:1], "average", "de") == selected(EPOCHS[:1], "last", "de") == Selected(1.0)


def test_rules_without_their_dev_scores_select_nothing():
    english = [EpochScores(epoch=1.0, dev={"en": 0.5})]
    assert selected(english, "en_dev", "de") == Selected(1.0)
    assert selected(english, "all_dev", "de") is None
    none = [EpochScores(epoch=1.0, dev={})]
    one = Selected(1.0)
    assert [selected(none, rule, "en") for rule in RULES] == [one, None, None, None, one]


def test_only_epochs_that_a_rule_may_want_are_kept():
    assert needed(EPOCHS, final=True) == {1.0, 2.0, 3.0, 3.5}
    assert needed(EPOCHS[:2], final=False) == {1.0, 2.0}
    assert needed(EPOCHS[1:3], final=False) == {2.0, 3.0}
    falling = [EpochScores(epoch=e, dev={"en": 1 - e / 10, "de": 1 - e / 10}) for e in (1.0, 2.0, 3.0)]
    assert needed(falling[:2], final=False) == {1.0}
    assert needed(falling, final=True) == {1.0, 3.0}
    assert needed([EpochScores(epoch=1.0, dev={})], final=False) == set()
