"""Numbers, ranks and answers in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xglue_harness.benchmark import LANGUAGES
from xglue_harness.leaderboard.ranking.families import Families, FamilyDifference, FamilyScore
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.site.answers import answer
from xglue_harness.leaderboard.site.cells import Cell, heated, rank_cell
from xglue_harness.leaderboard.site.words import percent, signed


def made(value: float, reach: float = 0.01, p: float = 1e-6) -> Estimate:
    return Estimate(value, reach / 2, 9, value - reach, value + reach, p, "own")


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ((1e-6, 1e-6, 1e-6), "Language models are ahead: 75.0% on average over the eight tasks, 5.0 above translation"),
        ((0.5, 0.5, 0.5), "No family is clearly ahead: language models have the highest mean, 75.0%, 5.0 above"),
        ((1e-6, 0.5, 0.5), "4.0 to +6.0, significant) and 7.0 above language models continued on translation (+6.0 to"),
    ],
)
def test_the_answer_says_who_is_ahead_and_how_surely(board, validated, p_values, expected):
    scores = [FamilyScore(family, ("x",), made(v)) for family, v in (("LM", 0.75), ("MT", 0.70), ("CP", 0.68))]
    versus = [
        FamilyDifference(first, second, made(value, p=p))
        for (first, second, value), p in zip(
            (("MT", "LM", -0.05), ("LM", "CP", 0.07), ("MT", "CP", 0.02)), p_values, strict=True
        )
    ]
    changed = replace(board, families={ALL: Families(tuple(scores), tuple(versus), ())})
    assert expected in answer(changed, validated.backbones).sentence


def test_signs_and_roundings():
    assert [signed(v) for v in (0.0123, -0.0123, -0.0001, 0.0)] == ["+1.2", "−1.2", "0.0", "0.0"]
    assert [percent(v, 2) for v in (-0.00001, -0.0682)] == ["0.00", "−6.82"]
    assert percent(0.8885) == "88.9", "a half is rounded up, as papers do; its nearest float is below"


def test_shared_ranks_have_a_sign():
    ranks = [(1, 1), (2, 3), (2, 2), None, (4, 5)]
    assert [rank_cell(own, ranks, "x").text for own in ranks] == ["1", "2=", "2=", "–", "4="]
    assert rank_cell((2, 3), ranks, "x").note == "rank 2 to 3"


def test_heat_spans_a_column_but_no_less_than_5_points():
    def steps(*values: float) -> list[str]:
        return [cell.kind.split()[-1] for cell in heated([Cell("", order=value) for value in values])]

    assert steps(0.1, 0.5, 0.9) == ["h0", "h4", "h8"]
    assert steps(0.500, 0.505) == ["h4", "h4"]
    assert steps(0.5) == ["num"]


def test_every_language_has_a_name():
    from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES

    assert [*LANGUAGE_NAMES] == [*LANGUAGES]
