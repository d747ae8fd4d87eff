"""Runs in the paper's tables: the same cells as the leaderboard's statistics give, and what can't stand there."""

from __future__ import annotations

import csv
import io
import json
import logging

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score
from typer.testing import CliRunner

from tests.helpers.sweeps import EXAMPLE, example_rescored, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.cli.results import app
from xglue_harness.errors import DataError, SweepError
from xglue_harness.results.paper_tables import tables_of
from xglue_harness.results.reading import read_runs
from xglue_harness.results.series import chosen
from xglue_harness.sweeps.comparison import Compared, compare
from xglue_harness.sweeps.rendering import latex


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for seed in (1, 2):
        for backbone in ("tiny-lm", "tiny-mt"):
            write_results(folder / f"{backbone}-{seed}", backbone, "pawsx", seed)
    return folder


def _line(grid, title):
    return next(line for block in grid.blocks for line in block.lines if line.head == title)


def _scores(runs, language):
    """Accuracy of each seed, by scikit-learn."""
    scores = []
    for run in runs:
        if run.language == language:
            predictions = run.read_predictions()
            scores.append(accuracy_score(predictions.labels, predictions.predictions))
    return scores


def test_seeds_stand_in_one_cell_with_the_leaderboards_interval(folder):
    grids = tables_of(read_runs([folder]), EXAMPLE)
    names = ("tiny-lm", "tiny-mt")
    results = [item for item in example_rescored("pawsx") if item.result.backbone in names and item.result.seed < 3]
    expected = compare({name: Compared(name, None, None) for name in names}, [TASKS["pawsx"]], 2, results)
    titles = {run.record.backbone.name: run for run in read_runs([folder])}
    assert len(titles) == 2
    for name, title in zip(names, titles, strict=True):
        line = _line(grids[1], title.rpartition("/")[2])
        for head, content in zip(grids[1].heads, line.cells, strict=True):
            language = head if head == "AVG" else head.lower()
            if language in (*TASKS["pawsx"].languages, "AVG"):
                cell = expected.tasks["pawsx"].cells[name][language]
                assert content.estimate == cell.estimate
                assert (content.seeds, content.wanted) == (2, 2)


def test_means_are_those_of_scikit_learn(folder):
    runs = [run for run in read_runs([folder]) if "tiny-lm" in str(run.source)]
    title = runs[0].backbone.rpartition("/")[2]
    table_1, table_4, *_ = tables_of(read_runs([folder]), EXAMPLE)
    by_language = {language: _scores(runs, language) for language in TASKS["pawsx"].languages}
    for head, content in zip(table_4.heads, _line(table_4, title).cells, strict=True):
        if head.lower() in by_language:
            assert content.estimate.value == pytest.approx(np.mean(by_language[head.lower()]), abs=1e-12)
    (mean,) = _line(table_1, title).cells
    assert mean.estimate.value == pytest.approx(np.mean([*by_language.values()]), abs=1e-12)
    assert mean.estimate.low < mean.estimate.value < mean.estimate.high


def test_an_interval_is_students_of_its_standard_error_and_degrees_of_freedom(folder):
    for line in (line for block in tables_of(read_runs([folder]), EXAMPLE)[0].blocks for line in block.lines):
        estimate = line.cells[0].estimate
        low, high = stats.t.interval(0.95, estimate.df, estimate.value, estimate.stderr)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)


def _edited(source, target, change):
    target.mkdir()
    for path in source.rglob("*.*"):
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            for leaf, config in content["configs"].items():
                change(config["metadata"]["xglue"], content["results"][leaf])
            (target / path.name).write_text(json.dumps(content))
        else:
            (target / path.name).write_bytes(path.read_bytes())


def test_another_recipe_is_a_line_of_its_own(folder, tmp_path):
    _edited(folder / "tiny-lm-2", tmp_path / "other", lambda record, _: record["recipe"].update(epochs=9.0))
    grid, *_ = tables_of(read_runs([folder / "tiny-lm-1", tmp_path / "other"]), EXAMPLE)
    heads = [line.head for block in grid.blocks for line in block.lines]
    assert len(heads) == 2
    assert heads[1].endswith("(epochs 9)")
    assert "epochs 9" in grid.caption


def test_families_of_several_recipes_are_not_contrasted(folder, tmp_path, caplog):
    """A difference would be one of recipes, too."""
    assert [grid.name for grid in tables_of(read_runs([folder]), EXAMPLE)] == ["table1", "table4", "contrasts"]
    _edited(folder / "tiny-mt-1", tmp_path / "other", lambda record, _: record["recipe"].update(epochs=9.0))
    mixed = read_runs([folder / "tiny-lm-1", tmp_path / "other"])
    with caplog.at_level(logging.WARNING):
        assert [grid.name for grid in tables_of(mixed, EXAMPLE)] == ["table1", "table4"]
    assert "no contrasts between families: results on PAWS-X are of several recipes" in caplog.text


def test_a_score_that_its_predictions_do_not_give_is_refused(folder, tmp_path):
    _edited(folder / "tiny-lm-1", tmp_path / "edited", lambda _, row: row.update({"acc,none": row["acc,none"] + 0.01}))
    with pytest.raises(DataError, match=r"xglue_pawsx_zs_de: acc 0\.\d+; its predictions give 0\.\d+"):
        tables_of(read_runs([tmp_path / "edited"]), EXAMPLE)


def test_the_same_seed_twice_is_refused(folder, tmp_path):
    _edited(folder / "tiny-lm-1", tmp_path / "again", lambda *_: None)
    with pytest.raises(DataError, match=r"seed 1, as in .*tiny-lm-1.*give one of the two"):
        tables_of(read_runs([folder, tmp_path / "again"]), EXAMPLE)


def test_other_data_are_refused(folder, tmp_path):
    files = {"PAWSX/de/test_2k.tsv": "0" * 64}
    _edited(
        folder / "tiny-lm-2",
        tmp_path / "other",
        lambda record, _: record["data"]["files"].update(
            {path: "0" * 64 for path in record["data"]["files"] if ".test" in path or "test" in path} or files
        ),
    )
    with pytest.raises(SweepError, match=r"record\.data\.files \(the test sets\)"):
        tables_of(read_runs([folder / "tiny-lm-1", tmp_path / "other"]), EXAMPLE)


def test_languages_that_not_all_have_are_left_out_and_named(folder, caplog):
    runs = [run for run in read_runs([folder]) if run.language != "fr" or run.seed == 1]
    with caplog.at_level(logging.WARNING):
        grids = tables_of(runs, EXAMPLE)
    assert "PAWS-X: fr left out, which not all of the runs have" in caplog.messages
    assert grids[0].heads == ("PAWS-X (3/4)",)
    with pytest.raises(DataError, match="PAWS-X: these runs have no language in common"):
        tables_of([run for run in runs if (run.language == "de") == (run.seed == 1)], EXAMPLE)


def test_tasks_and_backbones_can_be_chosen():
    runs = read_runs([EXAMPLE])
    few = chosen(runs, ["ner", "wpr"], ["tiny-lm"])
    assert {(run.task, run.backbone) for run in few} == {("ner", "tiny-lm"), ("wpr", "tiny-lm")}
    assert chosen(runs, []) == runs
    with pytest.raises(DataError, match="--tasks xnl: no run here is of it; there are"):
        chosen(runs, ["xnl"])
    with pytest.raises(DataError, match="--backbones x: no run"):
        chosen(runs, [], ["x"])


def test_the_command_prints_each_format_and_writes_all(folder, tmp_path):
    def invoke(*arguments):
        result = CliRunner().invoke(app, ["table", str(folder), *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    grids = tables_of(read_runs([folder]), EXAMPLE)
    assert latex(grids[0]) in invoke("--format", "latex", "--tree", str(EXAMPLE))
    first = invoke("--format", "csv").split("\n\n")[0]
    rows = [*csv.DictReader(io.StringIO(first))]
    assert len(rows) == 2
    estimates = [line.cells[0].estimate for block in grids[0].blocks for line in block.lines]
    assert {float(row["PAWS-X"]) for row in rows} == {float(f"{100 * item.value:.4f}") for item in estimates}
    written = invoke("--output", str(tmp_path / "tables")).split()
    assert [*map(str, sorted((tmp_path / "tables").iterdir()))] == sorted(written)
    assert {"table1.tex", "table1.csv", "table1.md", "table4.tex"} <= {
        path.name for path in (tmp_path / "tables").iterdir()
    }
