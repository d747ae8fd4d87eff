"""The figure of gradients, by what its artists hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xglue_analysis.gradient_plots import gradient_lines


def _rows(runs: int = 1) -> list[dict[str, Any]]:
    return [
        {"task": "POS", "run": f"r{run}", "layer": layer, "step": step, "epoch": step / 10}
        | {"cosine": 0.1 * at + run, "shuffled": -0.1 * at, "null_p95": 0.02 if layer == "2" else 0.01}
        | {"task_agreement": 0.7, "alignment_agreement": None if step == 0 else 0.2}
        for run in range(runs)
        for at, layer in enumerate(("1", "2", "all"))
        for step in (10, 0, 5)
    ]


def test_every_layer_is_a_line_over_epochs_beside_the_control() -> None:
    figure = gradient_lines(_rows())
    cosine, shuffled, agreement = figure.axes
    for axes, sign in ((cosine, 1), (shuffled, -1)):
        lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert [line.get_xdata().tolist() for line in lines] == [[0, 0.5, 1]] * 3
        assert [line.get_ydata()[0] for line in lines] == pytest.approx([0, 0.1 * sign, 0.2 * sign])
        band = axes.patches[0]
        assert (band.get_y(), band.get_height()) == pytest.approx((-0.02, 0.04))
    own, other = (line.get_ydata() for line in agreement.lines[:2])
    assert own.tolist() == [0.7] * 3
    assert np.isnan(other[0])
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["layer 1", "layer 2", "all layers", "95% of random gradients", "task", "alignment"]


def test_trainings_have_rows_of_their_own() -> None:
    figure = gradient_lines(_rows(2))
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes[::3]] == ["POS r0", "POS r1"]
    assert figure.axes[3].lines[0].get_ydata()[0] == 1


def test_nothing_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no rows"):
        gradient_lines([])
    with pytest.raises(ValueError, match="no cosine"):
        gradient_lines([{**row, "cosine": None} for row in _rows()])
