"""The figure by epoch, by what its artists hold."""

from __future__ import annotations

from typing import Any

import pytest

from xglue_analysis.trajectory_plots import BANDED, epoch_lines


def _rows(languages: int = 2, runs: int = 1) -> list[dict[str, Any]]:
    facts = [
        {"task": "POS", "metric": "acc", "run": f"r{run}", "language": f"l{i}"}
        for run in range(runs)
        for i in range(languages)
    ]
    none = {"low": None, "high": None, "null_p95": None}
    rows = []
    for i, fact in enumerate(facts):
        for epoch in (3.0, 1.0):
            value = 0.5 - 0.1 * epoch - 0.01 * i
            ends = {"low": value - 0.05, "high": value + 0.05, "null_p95": 0.01 * (i + 1)}
            rows.append({**fact, "measure": "cka_pretrained", "epoch": epoch, "value": value, **ends})
        rows.append({**fact, "measure": "dev", "epoch": 1.0, "value": 50.0, **none})
        rows.append({**fact, "measure": "test", "epoch": 3.0, "value": 60.0, **none})
    return rows


def test_a_line_a_language_with_its_interval_and_chance() -> None:
    cka, scores = epoch_lines(_rows()).axes
    lines = cka.lines[:2]
    assert [line.get_xdata().tolist() for line in lines] == [[1, 3]] * 2
    assert lines[1].get_ydata().tolist() == pytest.approx([0.39, 0.19])
    assert cka.lines[2].get_ydata()[0] == pytest.approx(0.02), "the highest chance of all"
    bands = [band.get_paths()[0].vertices[:, 1] for band in cka.collections]
    assert [(band.min(), band.max()) for band in bands] == [
        pytest.approx((0.15, 0.45)),
        pytest.approx((0.14, 0.44)),
    ]
    assert [line.get_ydata().tolist() for line in scores.lines] == [[50], [60], [50], [60]]
    assert (cka.get_ylabel(), scores.get_ylabel()) == ("CKA to the pretrained encoder", "accuracy (%)")
    assert cka.get_xlabel() == "epoch"


def test_the_legend_explains_what_is_drawn_and_no_more() -> None:
    said = [text.get_text() for text in epoch_lines(_rows()).legends[0].get_texts()]
    assert said == ["l0", "l1", "95% interval over documents", "by chance, 95%", "dev", "test"]
    many = [text.get_text() for text in epoch_lines(_rows(BANDED + 1)).legends[0].get_texts()]
    assert "95% interval over documents" not in many


def test_chance_that_is_far_away_takes_no_room() -> None:
    near = [
        {**row, "value": 0.99, "low": 0.985, "high": 0.995} for row in _rows() if row["measure"] == "cka_pretrained"
    ]
    [axes] = epoch_lines(near).axes
    assert axes.get_ylim()[0] > 0.9


def test_trainings_have_rows_of_their_own() -> None:
    figure = epoch_lines(_rows(runs=2))
    assert [axes.get_title(loc="left") for axes in figure.axes[::2]] == ["POS: r0", "POS: r1"]


def test_nothing_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no rows"):
        epoch_lines([])
    with pytest.raises(ValueError, match="no value by epoch"):
        epoch_lines([{**row, "value": None} for row in _rows()])
