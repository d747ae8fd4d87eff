"""What the figures of results are given, and what the command writes."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
from scipy import stats
from typer.testing import CliRunner

from tests.helpers.sweeps import EXAMPLE, write_results
from xglue_harness.cli.results import app
from xglue_harness.records.training_schema import Curve, EpochScores, GradientCost, GradientPoint, Gradients
from xglue_harness.results import figures
from xglue_harness.results.reading import read_runs


def _runs(task="pawsx", seed=1):
    return read_runs([EXAMPLE / "results" / "tiny-lm" / "toy" / str(seed) / f"{task}.json"])


def _titled(runs):
    return [(run, "title") for run in runs]


def test_intervals_are_normal_ones_of_the_standard_error():
    runs = _runs()
    for run, row in zip(runs, figures.score_rows(_titled(runs)), strict=True):
        low, high = stats.norm.interval(0.95, 100 * run.score.value, 100 * run.score.stderr)
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert row["score"] == 100 * run.score.value
        assert (row["task"], row["metric"], row["language"]) == ("PAWS-X", "acc", run.language)
        assert ("chance" in row) is (run.language == "en" and run.training.chance is not None)


def test_losses_stand_at_the_epoch_of_their_step_once_a_training():
    curve = Curve(step=[2, 4, 8], loss=[3.0, 2.0, 1.0], learning_rate=[0.1] * 3, gradient_norm=[1.0] * 3)
    epochs = [EpochScores(epoch=1.0, dev={"de": 0.5, "en": 0.25}), EpochScores(epoch=2.0, dev={"en": 0.75})]
    runs = []
    for run in _runs():
        trained = run.training.model_copy(update={"curve": curve, "steps": 8, "epochs": epochs})
        runs.append(replace(run, training=trained, recipe={**run.recipe, "epochs": 2.0}))
    rows = [*figures.loss_rows(_titled(runs))]
    assert [(row["epoch"], row["loss"]) for row in rows] == [(0.5, 3.0), (1.0, 2.0), (2.0, 1.0)]
    dev = [(row["language"], row["epoch"], row["score"]) for row in figures.dev_rows(_titled(runs))]
    assert dev == [("en", 1.0, 25.0), ("de", 1.0, 50.0), ("en", 2.0, 75.0)]


def test_a_record_without_a_curve_has_no_losses():
    assert [*figures.loss_rows(_titled(_runs()))] == []


def test_gradients_stand_at_the_epoch_of_their_step_once_a_training():
    lists = {
        name: [0.1, 0.2] for name in GradientPoint.model_fields if name not in ("step", "task_loss", "alignment_loss")
    }
    points = [GradientPoint(step=step, task_loss=1.0, alignment_loss=1.0, **lists) for step in (0, 8)]
    seen = Gradients(
        loss="InfoNCE", texts="dev", files={}, rows=8, languages={"de": 8}, layers=["1", "all"], parameters=[4, 4],
        null_p95=[0.98, 0.97], planned=[0, 8], points=points, cost=GradientCost(seconds=1.0),
    )  # fmt: skip
    runs = []
    for run in _runs():
        trained = run.training.model_copy(update={"gradients": seen, "steps": 8})
        runs.append(replace(run, training=trained, recipe={**run.recipe, "epochs": 2.0}))
    rows = [*figures.gradient_rows(_titled(runs))]
    assert [(row["epoch"], row["layer"]) for row in rows] == [(0, "1"), (0, "all"), (2, "1"), (2, "all")]
    assert [row["cosine"] for row in rows[:2]] == [0.1, 0.2]
    assert rows[1]["null_p95"] == 0.97
    assert [*figures.gradient_rows(_titled(_runs()))] == []


def _diagnosed(run, **numbers):
    metrics = {name: SimpleNamespace(value=value) for name, value in numbers.items()}
    return replace(run, record=SimpleNamespace(diagnostics=SimpleNamespace(metrics=metrics)))


def test_scores_stand_against_diagnostics_of_target_languages(caplog):
    runs = [_diagnosed(run, cka=at / 10) for at, run in enumerate(_runs())]
    rows = [*figures.diagnostic_rows(_titled(runs), "cka")]
    assert [row["language"] for row in rows] == [run.language for run in runs if run.language != "en"]
    for row in rows:
        run = next(run for run in runs if run.language == row["language"])
        assert (row["score"], row["cka"]) == (100 * run.score.value, run.record.diagnostics.metrics["cka"].value)
    with caplog.at_level(logging.WARNING):
        assert [*figures.diagnostic_rows(_titled(runs[:1]), "cka")] == []
    assert "one point of pawsx alone says nothing" in caplog.text


def test_the_command_writes_png_and_svg_and_says_what_it_can_not_draw(tmp_path, caplog):
    write_results(tmp_path / "out", "tiny-lm", "pawsx", 1)
    write_results(tmp_path / "out", "tiny-mt", "ner", 1)
    with caplog.at_level(logging.WARNING):
        result = CliRunner().invoke(
            app, ["plot", str(tmp_path / "out"), "--output", str(tmp_path / "figures")], catch_exceptions=False
        )
    assert result.exit_code == 0
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"scores.png", "scores.svg"} <= names
    assert {line.removeprefix("written: ") for line in result.stdout.splitlines()} == {
        str(tmp_path / "figures" / name) for name in names
    }
