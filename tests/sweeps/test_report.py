"""From the folders of results that a sweep has so far to its tables, by the command."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from tests.helpers.sweeps import DATE, EXAMPLE, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.cli.sweep import app
from xglue_harness.errors import DataError, LeaderboardError, SweepError
from xglue_harness.leaderboard.ranking.tables import percent
from xglue_harness.resources import published_tree
from xglue_harness.sweeps.comparison import contrast_pairs
from xglue_harness.sweeps.file import load
from xglue_harness.sweeps.jobs import expand
from xglue_harness.sweeps.report import chosen, compared, finished, report, result_of
from xglue_harness.sweeps.shapes import backbones_in

NAMES = {"Tiny_LM": "tiny-lm", "Tiny_MT": "tiny-mt", "Tiny_CP": "tiny-cp"}
"""Names in the sweep's file, and those in the example tree."""


@pytest.fixture
def file(tmp_path):
    """A sweep of PAWS-X and NER with two seeds; the results of one job are missing."""
    for name in NAMES.values():
        (tmp_path / name).mkdir()
    backbones = {name: {"pretrained": f"./{folder}"} for name, folder in NAMES.items()}
    sweep = {"output": "out", "backbones": backbones, "tasks": ["pawsx", "ner"], "seeds": [1, 2], "data": "sample"}
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(sweep))
    for job in expand(load(path)):
        if (job.backbone, job.task, job.seed) != ("Tiny_MT", "ner", 2):
            write_results(tmp_path / "out" / job.folder, NAMES[job.backbone], job.task, job.seed)
    return path


def _report(file, **options):
    sweep = load(file)
    return report([*sweep.backbones], expand(sweep), sweep.folder, EXAMPLE, **options)


def _invoke(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False)


def test_every_result_stands_in_the_tables_and_what_is_missing_is_told(file):
    made = _report(file)
    assert [grid.name for grid in made.tables] == ["table1", "table4", "contrasts"]
    assert [job.name for job in made.missing] == ["Tiny_MT ner seed 2"]
    assert made.unknown == ()
    by_name = {line.head: line for block in made.tables[0].blocks for line in block.lines}
    assert [by_name["Tiny_MT"].cells[place].seeds for place in (0, 1)] == [2, 1]
    assert "1 job has no results yet" in made.tables[0].caption
    assert "SAMPLE" in made.tables[0].caption
    assert "2 seeds each. Recipe: epochs" in made.tables[0].caption


def test_scores_are_those_of_the_predictions_and_families_those_of_the_tree(file):
    sweep = load(file)
    (job,) = (job for job in expand(sweep) if (job.backbone, job.task, job.seed) == ("Tiny_CP", "ner", 1))
    mean = result_of(job, sweep.folder, "b0").result.mean
    path = EXAMPLE / "results" / "tiny-cp" / "toy" / "1" / "ner.json"
    scores = [item["score"] for item in json.loads(path.read_text())["languages"].values()]
    assert mean == pytest.approx(sum(scores) / len(scores))
    grid = _report(file).tables[0]
    assert [(block.head, [line.head for line in block.lines]) for block in grid.blocks] == [
        ("LM", ["Tiny_LM"]),
        ("MT", ["Tiny_MT"]),
        ("CP", ["Tiny_CP"]),
    ]


def test_the_command_prints_each_format_and_writes_all(file, tmp_path):
    cell = percent(_report(file).tables[0].blocks[0].lines[0].cells[0].estimate)
    printed = _invoke(file, "--tree", EXAMPLE)
    assert cell in printed.stdout
    assert "no results yet: Tiny_MT ner seed 2" in printed.stderr
    assert r"\toprule" in _invoke(file, "--tree", EXAMPLE, "--format", "latex").stdout
    assert _invoke(file, "--tree", EXAMPLE, "--format", "csv").stdout.startswith("group,model,PAWS-X,PAWS-X_low")
    written = _invoke(file, "--tree", EXAMPLE, "--output", tmp_path / "tables").stdout.split()
    assert len(written) == 9
    assert all((tmp_path / "tables" / path.rpartition("/")[2]).is_file() for path in written)


def test_backbones_that_no_tree_describes_are_named(file):
    printed = _invoke(file, "--tree", published_tree())
    assert "Tiny_CP: of no family" in printed.stderr
    assert "LM − MT" not in printed.stdout


def test_the_tree_tells_tracks_and_what_a_study_contrasts():
    described = [
        item if item.track == "main" else item.model_copy(update={"hub": f"owner/{item.name}", "converted_from": None})
        for item in backbones_in(published_tree())
    ]
    checkpoints = {"b0": "owner/lm-vs-mt-2-lm", "b1": "owner/lm-vs-mt-2-mt", "b2": "owner/lm-vs-mt-tlm"}
    checkpoints["b3"] = next(item.hub for item in described if item.name == "mbert")
    found = compared(dict.fromkeys(checkpoints, ""), checkpoints, [], described)
    assert [item.track for item in found.values()] == ["controlled", "controlled", "controlled", "main"]
    assert [item.matched for item in found.values()] == [(), ("b0",), (), ()]
    assert contrast_pairs(found) == [("b1", "b0")]


def test_backbones_and_tasks_can_be_chosen(file):
    printed = _invoke(file, "--tree", EXAMPLE, "--backbones", "Tiny_LM", "--tasks", "ner")
    assert "Tiny\\_LM" in printed.stdout
    assert "PAWS-X" not in printed.stdout
    assert "Tiny\\_MT" not in printed.stdout
    sweep = load(file)
    with pytest.raises(SweepError, match="--tasks xnli: not in the sweep's file; it has ner, pawsx"):
        chosen(sweep, (), ["xnli"])
    with pytest.raises(SweepError, match="--backbones mbert"):
        chosen(sweep, ["mbert"], ())


def test_the_papers_numbers_are_those_of_its_own_checkpoints(file):
    """A folder may be a copy of one; another's repository on the Hub may be anything."""
    sweep = json.loads(file.read_text())
    folder = file.parent / "xlm-roberta-base"
    (file.parent / "tiny-lm").rename(folder)
    backbones = {
        "copy": {"pretrained": "./xlm-roberta-base"},
        "mbert": {"pretrained": "google-bert/bert-base-multilingual-cased", "revision": "main"},
        "other": {"pretrained": "somebody/mbart-large-50", "revision": "main"},
    }
    file.write_text(json.dumps({**sweep, "backbones": backbones, "tasks": ["pawsx"]}))
    job = next(job for job in expand(load(file)) if job.backbone == "copy")
    write_results(file.parent / "out" / job.folder, "tiny-lm", "pawsx", job.seed)
    grid = _report(file, published=True).tables[0]
    assert [(block.head, [line.head for line in block.lines]) for block in grid.blocks] == [
        ("LM", ["copy", "Ji et al. 2024", "mbert", "Ji et al. 2024"]),
        ("", ["other"]),
    ]
    assert [line.cells[0].percent for line in grid.blocks[0].lines[1::2]] == pytest.approx([88.85, 86.5875])


def test_without_any_results_it_says_so(file, tmp_path):
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(SweepError, match="none of 12 jobs has results yet"):
        _report(file)


def _spoil(file, change):
    """Change the record of every language of one job, on its disk."""
    sweep = load(file)
    job = finished(expand(sweep), sweep.folder)[0]
    (path,) = (sweep.folder / job.folder).rglob(f"results_{DATE}.json")
    value = json.loads(path.read_text())
    for config in value["configs"].values():
        change(config["metadata"]["xglue"])
    path.write_text(json.dumps(value))


def test_results_of_another_seed_are_refused(file):
    _spoil(file, lambda record: record["recipe"].update(seed=7))
    with pytest.raises(SweepError, match="from seed 7; expected those of Tiny_"):
        _report(file)


def test_results_of_another_recipe_are_refused(file):
    _spoil(file, lambda record: record["recipe"].update(learning_rate=0.25))
    with pytest.raises(SweepError, match=r"can't stand in one table(.|\n)*learning_rate"):
        _report(file)


def test_changed_predictions_are_refused(file, tmp_path):
    path = next((tmp_path / "out").rglob("predictions_xglue_ner_zs_de_*.parquet"))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match="damaged, edited or another's"):
        _report(file)


def test_a_language_that_is_missing_is_refused(file):
    sweep = load(file)
    job = finished(expand(sweep), sweep.folder)[0]
    (path,) = (sweep.folder / job.folder).rglob("results_*.json")
    value = json.loads(path.read_text())
    del value["configs"][TASKS[job.task].leaf("de")]
    path.write_text(json.dumps(value))
    with pytest.raises(SweepError, match="lacks de"):
        _report(file)


def test_a_sweep_of_some_languages_has_a_mean_over_those(file):
    sweep = json.loads(file.read_text())
    file.write_text(json.dumps({**sweep, "tasks": ["xglue_ner_zs_de", "xglue_ner_zs_en"], "seeds": [1]}))
    for job in expand(load(file)):
        write_results(file.parent / "out" / job.folder, NAMES[job.backbone], job.task, job.seed)
    grid = _report(file).tables[0]
    assert any("NER: de, en only, of 4 languages" in note for note in grid.notes)
    job = expand(load(file))[0]
    result = result_of(job, file.parent / "out", "b0").result
    assert {*result.languages} == {"de", "en"}


def test_results_go_into_a_tree_as_add_puts_them(file, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(EXAMPLE / "backbones", tree / "backbones")
    added = _invoke(file, "--add", "--tree", tree, "--recipe", "toy", "--example", "--backbones", "Tiny_LM")
    lines = sorted(line.partition("/results/")[2] for line in added.stdout.splitlines())
    assert lines == [f"tiny-lm/toy/{seed}/{task}.json" for seed in (1, 2) for task in ("ner", "pawsx")]
    with pytest.raises(LeaderboardError, match="--recipe"):
        _invoke(file, "--add", "--tree", tree, "--example")
