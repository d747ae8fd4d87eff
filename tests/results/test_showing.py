"""The table of runs: every number against a count of our own, its marks, and its width."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sklearn.metrics import accuracy_score
from typer.testing import CliRunner

from tests.helpers.sweeps import EXAMPLE, example_result, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.cli.results import app
from xglue_harness.results.reading import read_runs
from xglue_harness.results.series import series_of
from xglue_harness.results.showing import shown_tasks


@pytest.fixture
def folder(tmp_path):
    for seed in (1, 2):
        write_results(tmp_path / "out" / str(seed), "tiny-lm", "pawsx", seed)
        write_results(tmp_path / "ner" / str(seed), "tiny-mt", "ner", seed)
    return tmp_path


def _invoke(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_line_has_every_language_english_first_and_the_means(folder):
    (task,) = shown_tasks(read_runs([folder / "out"]))
    assert task.heads == ("model", "seed", "mean", "±", "gap", "en", "de", "es", "fr")
    for seed, line in zip((1, 2), task.lines, strict=True):
        cells = dict(zip(task.heads, line, strict=True))
        runs = {run.language: run for run in read_runs([folder / "out" / str(seed)])}
        scores = {}
        for language, run in runs.items():
            predictions = run.read_predictions()
            scores[language] = 100 * accuracy_score(predictions.labels, predictions.predictions)
            assert cells[language].rstrip("!") == f"{scores[language]:.1f}"
        others = [score for language, score in scores.items() if language != "en"]
        assert cells["mean"].rstrip("!") == f"{sum(scores.values()) / 4:.1f}"
        assert cells["gap"] == f"{scores['en'] - sum(others) / 3:.1f}"
        variances = [run.score.stderr**2 for run in runs.values()]
        assert cells["±"] == f"{100 * sum(variances) ** 0.5 / 4:.1f}"
        assert cells["seed"] == str(seed)
    assert "SAMPLE data: a toy; these scores mean nothing" in task.notes


def test_collapsed_runs_and_missing_languages_are_marked(folder):
    runs = [run for run in read_runs([folder]) if run.language != "de" or run.seed == 1]
    tables = shown_tasks(runs)
    assert [table.title for table in tables] == ["PAWS-X (acc, finetune)", "NER (f1, finetune)"]
    for table, backbone, task in zip(tables, ("tiny-lm", "tiny-mt"), ("pawsx", "ner"), strict=True):
        _, result = example_result(backbone, task, 2)
        cells = dict(zip(table.heads, table.lines[1], strict=True))
        assert cells["de"] == "-"
        assert cells["languages"] == "3"
        for language in set(TASKS[task].languages) - {"de"}:
            assert cells[language].endswith("!") is result.languages[language].record.flags.collapsed


def test_recipes_that_differ_are_told_apart(folder):
    runs = read_runs([EXAMPLE])
    titles = {line[0] for table in shown_tasks(runs) for line in table.lines}
    assert titles <= {run.backbone for run in runs}
    for path in folder.rglob("results_*.json"):
        content = json.loads(path.read_text())
        if path.is_relative_to(folder / "out" / "2"):
            for config in content["configs"].values():
                config["metadata"]["xglue"]["recipe"]["learning_rate"] = 0.25
        path.write_text(json.dumps(content))
    (table,) = shown_tasks(read_runs([folder / "out"]))
    _, result = example_result("tiny-lm", "pawsx", 1)
    rate = result.languages["de"].record.recipe["learning_rate"]
    assert [line[0].partition(" ")[2] for line in table.lines] == [f"(learning_rate {rate:g})", "(learning_rate 0.25)"]


def test_a_probe_and_a_fine_tuning_of_one_backbone_have_titles_of_their_own():
    tuned = [run for run in read_runs([EXAMPLE]) if run.task == "pawsx" and run.protocol == "finetune"]
    before = [series.title for series in series_of(tuned)]
    assert not any("protocol" in title for title in before), "one protocol goes without saying"
    runs = [*tuned, *(replace(run, protocol="probe") for run in tuned)]
    after = [series.title for series in series_of(runs)]
    assert len({*after}) == len(after) == 2 * len(before)
    assert {title for title in after if "(protocol finetune" in title or "(protocol probe" in title} == {*after}
    titles = {line[0] for table in shown_tasks(runs) for line in table.lines}
    assert titles == {*before}, "a table is of one protocol, which stands above it"


def test_official_stands_where_it_differs_only():
    by_title = {table.title.split()[0]: table for table in shown_tasks(read_runs([EXAMPLE]))}
    assert "official" not in by_title["PAWS-X"].heads
    place = by_title["POS"].heads.index("official")
    _, result = example_result("tiny-lm", "pos", 1)
    official = [item.official for item in result.languages.values()]
    line = next(line for line in by_title["POS"].lines if line[:2] == ("tiny-lm", "1"))
    assert line[place] == f"{100 * sum(official) / len(official):.1f}"


def test_a_narrow_terminal_gets_several_tables_with_all_numbers():
    table = next(table for table in shown_tasks(read_runs([EXAMPLE])) if table.title.startswith("POS"))
    for width in (20, 60, 80, 300):
        parts = [*table.parts(width)]
        heads = [head for part, _ in parts for head in part[table.names :]]
        assert heads == [*table.heads[table.names :]]
        assert {part[: table.names] for part, _ in parts} == {table.heads[: table.names]}
        for heads, lines in parts if width > 20 else ():
            widths = [max(len(line[i]) for line in (heads, *lines)) + 2 for i in range(len(heads))]
            assert sum(widths) <= width
    assert len([*table.parts(300)]) == 1


def test_the_command_prints_tables_or_json(folder):
    shown = _invoke("show", folder)
    assert "PAWS-X (acc, finetune)" in shown
    assert "NER (f1, finetune)" in shown
    listed = json.loads(_invoke("show", folder, "--json"))
    runs = read_runs([folder])
    assert [(item["task"], item["language"], item["seed"]) for item in listed] == [
        (run.task, run.language, run.seed) for run in runs
    ]
    for item, run in zip(listed, runs, strict=True):
        assert item["scores"][item["metric"]] == {"value": run.score.value, "stderr": run.score.stderr}
        assert item["official"] == run.official
        assert item["rows"] == item["rows_of_the_test_set"] == len(run.read_predictions().rows)
