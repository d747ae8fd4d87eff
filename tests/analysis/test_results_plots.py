"""The figures of results, by what their artists hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xglue_analysis import results_plots
from xglue_analysis.correlation_plot import NAMED

Rows = list[dict[str, Any]]


def score_rows(tasks: list[str], runs: int, languages: list[str]) -> Rows:
    return [
        {"task": task, "metric": "acc", "run": f"r{run}", "language": language, "score": 50.0 + 10 * run + at}
        | {"low": 48.0 + 10 * run + at, "high": 53.0 + 10 * run + at, "cka": 0.1 * at + run}
        for task in tasks
        for run in range(runs)
        for at, language in enumerate(languages)
    ]


def _texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def _legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_score_is_a_point_with_its_bar() -> None:
    rows = score_rows(["NC", "POS"], 2, ["en", "de", "ru"])
    rows[0]["chance"] = 25.0
    figure = results_plots.language_scores(rows, bars="what bars are")
    assert [axes.get_title() for axes in figure.axes] == ["NC", "POS"]
    for axes in figure.axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["en", "de", "ru"]
        drawn = {line.get_label(): line for line in axes.lines}
        for run in range(2):
            assert drawn[f"r{run}"].get_ydata().tolist() == [50.0 + 10 * run + at for at in range(3)]
            assert np.round(drawn[f"r{run}"].get_xdata()).tolist() == [0, 1, 2]
        ends = [path.vertices[:, 1].tolist() for bars in axes.collections for path in bars.get_paths()]
        assert ends == [[48.0 + 10 * run + at, 53.0 + 10 * run + at] for run in range(2) for at in range(3)]
        assert axes.get_ylabel() == "acc (%)"
    assert [line.get_ydata() for line in figure.axes[0].lines if line.get_linestyle() == ":"] == [[25.0, 25.0]]
    assert _legend(figure) == ["r0", "r1", "what bars are", "guessing one class (English dev)"]


def test_a_language_that_a_run_lacks_is_a_gap_and_runs_stand_beside_each_other() -> None:
    rows = [row for row in score_rows(["NC"], 3, ["en", "de"]) if (row["run"], row["language"]) != ("r1", "en")]
    (axes,) = results_plots.language_scores(rows).axes
    places = {line.get_label(): line.get_xdata().tolist() for line in axes.lines}
    assert len(places["r1"]) == 1
    assert places["r0"][1] < places["r1"][0] < places["r2"][1]


def test_scores_that_are_none_or_twice_are_errors() -> None:
    rows = score_rows(["NC"], 1, ["en"])
    with pytest.raises(ValueError, match="second of"):
        results_plots.language_scores([*rows, *rows])
    with pytest.raises(ValueError, match="no score of r0 in NC"):
        results_plots.language_scores([{**rows[0], "score": None}])
    with pytest.raises(ValueError, match="no rows"):
        results_plots.language_scores([])


LOSSES = [{"task": "NC", "run": run, "epoch": step / 4, "loss": 2.0 / step} for run in "ab" for step in (3, 1, 2)]
DEV = [
    {"task": "NC", "metric": "acc", "run": run, "language": language, "epoch": epoch, "score": 10.0 * epoch + at}
    for run in "ab"
    for at, language in enumerate(("en", "de"))
    for epoch in (1.0, 2.0)
]


def test_losses_stand_above_dev_scores_over_the_same_epochs() -> None:
    above, below = results_plots.learning_curves(LOSSES, DEV).axes
    for line in above.lines:
        assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([0.25, 0.5, 0.75], [2, 1, 2 / 3])
    ends = [[10, 20], [11, 21]]
    assert [line.get_ydata().tolist() for line in below.lines] == ends * 2
    assert sorted(_texts(below)) == ["de", "de", "en", "en"]
    assert above.get_xlim() == below.get_xlim()
    assert above.get_ylim() == (0, 2.1), "no line touches the edge"
    assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == ("training loss", "dev acc (%)", "epoch")


def test_names_of_lines_that_end_in_one_place_do_not_cover_each_other() -> None:
    (axes,) = results_plots.learning_curves([], [{**row, "score": 50.0} for row in DEV]).axes
    heights = sorted(text.xyann[1] for text in axes.texts)
    assert min(np.diff(heights)) > 0


def test_what_was_not_kept_is_said_and_nothing_at_all_an_error() -> None:
    figure = results_plots.learning_curves(LOSSES, [{**row, "task": "POS"} for row in DEV])
    assert [_texts(axes)[:1] for axes in figure.axes][1:3] == [["none kept"], ["none kept"]]
    with pytest.raises(ValueError, match="neither losses nor dev scores"):
        results_plots.learning_curves([], [])
    with pytest.raises(ValueError, match="no 'loss'"):
        results_plots.learning_curves([{"task": "NC", "run": "a", "epoch": 1.0}], [])


def test_points_bear_the_names_of_their_languages() -> None:
    figure = results_plots.score_against(score_rows(["NC", "POS"], 2, ["de", "ru"]), measure="cka")
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["de", "ru"] * 2
        assert [text.xy for text in axes.texts] == [(0.0, 50.0), (0.1, 51.0), (1.0, 60.0), (1.1, 61.0)]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("cka", "acc (%)")
    assert _legend(figure) == ["r0", "r1"]
    many = score_rows(["NC"], 1, [f"l{number}" for number in range(NAMED + 1)])
    assert results_plots.score_against(many, measure="cka").axes[0].texts[:] == []


def test_one_point_is_no_figure() -> None:
    with pytest.raises(ValueError, match="NC has 1 points of cka and score"):
        results_plots.score_against(score_rows(["NC"], 1, ["de"]), measure="cka")
