"""The tables of a report: the paper's layout, its numbers beside ours, and three ways to write them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from tests.helpers.sweeps import example_rescored
from xglue_harness.benchmark import LANGUAGES, TASKS
from xglue_harness.leaderboard.ranking.tables import percent
from xglue_harness.published.paper import tables as paper_tables
from xglue_harness.published.reference import references
from xglue_harness.sweeps.comparison import MEAN, Compared, compare
from xglue_harness.sweeps.rendering import FORMATS, as_csv, escaped, latex, markdown, write
from xglue_harness.sweeps.tables import Published, contrasts, table_1, table_4

BACKBONES = {
    "tiny-cp": Compared("Tiny_CP & co", "CP", "tiny-lm"),
    "tiny-mt": Compared("Tiny_MT", "MT", None),
    "tiny-lm": Compared("Tiny_LM", "LM", None),
    "other": Compared("other", None, None),
}
SPECS = [TASKS["pawsx"], TASKS["wpr"]]
MBERT = {"tiny-lm": next(system for system in references()[0].systems if system.name == "mbert")}


@pytest.fixture(scope="module")
def comparison():
    results = [item for spec in SPECS for item in example_rescored(spec.name) if item.result.backbone in BACKBONES]
    return compare(BACKBONES, SPECS, 3, results)


@pytest.fixture(scope="module")
def grids(comparison):
    return table_1(comparison, {}, "A caption."), table_4(comparison, {}, ""), contrasts(comparison, "")


def _heads(grid):
    return [(block.head, [line.head for line in block.lines]) for block in grid.blocks]


def test_table_1_has_the_papers_families_and_tasks_in_their_order(grids):
    assert grids[0].heads == ("PAWS-X", "WPR")
    assert [spec.title for spec in TASKS.values()] == list(paper_tables()["table1"]["mbert"])
    expected = [("LM", ["Tiny_LM"]), ("MT", ["Tiny_MT"]), ("CP", ["Tiny_CP & co"]), ("", ["other"])]
    assert _heads(grids[0]) == expected


def test_backbones_of_a_study_stand_apart(comparison):
    told = {**BACKBONES, "tiny-mt": Compared("Tiny_MT", "MT", None, "controlled")}
    apart = replace(comparison, backbones=told)
    assert _heads(table_1(apart, {}, ""))[-1] == ("MT, controlled track", ["Tiny_MT"])
    assert _heads(table_4(apart, {}, ""))[0][1][-1] == "Tiny_MT"
    notes = contrasts(apart, "").notes
    assert notes[0] == "LM: Tiny_LM; CP: Tiny_CP & co"
    assert notes[-1] == "In no family, for tracks are never compared: Tiny_MT (controlled)"


def test_table_4_has_every_language_and_the_average(grids):
    lines = ["Tiny_LM", "Tiny_CP & co", "Tiny_MT", "other"]
    assert _heads(grids[1]) == [("PAWS-X", lines), ("WPR", lines)]
    assert grids[1].heads == (*(language.upper() for language in LANGUAGES), "AVG")
    line = grids[1].blocks[0].lines[0]
    there = {head.lower() for head, content in zip(grids[1].heads, line.cells, strict=True) if content is not None}
    assert there == {*TASKS["pawsx"].languages, "avg"}


def test_cells_say_score_interval_seeds_and_collapse(comparison, grids):
    rows = _rows(markdown(grids[0]))
    cell = comparison.tasks["pawsx"].cells["tiny-lm"][MEAN]
    assert rows["Tiny\\_LM"][0] == percent(cell.estimate) + "!" * cell.collapsed
    assert rows["Tiny\\_CP & co"][0].endswith("\\[2/3\\]")
    assert rows["other"] == ["\\[0/3\\]", "\\[0/3\\]"]


def _rows(text):
    """Cells of numbers by name, of a table in Markdown."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {cells[1].strip(): [cell.strip() for cell in cells[2:]] for cells in lines[2:]}


def test_a_collapsed_run_is_marked(grids):
    line = grids[0].blocks[0].lines[0]
    collapsed = replace(line, cells=(replace(line.cells[0], collapsed=True), *line.cells[1:]))
    block = replace(grids[0].blocks[0], lines=(collapsed,))
    assert _rows(markdown(replace(grids[0], blocks=(block,))))["Tiny\\_LM"][0].endswith("!")


def test_markdown_has_as_many_cells_in_every_row(grids):
    for grid in grids:
        counts = {line.replace("\\|", "").count("|") for line in markdown(grid).splitlines() if line.startswith("|")}
        assert counts == {len(grid.heads) + 3}


def test_latex_is_balanced_and_escaped(grids):
    for grid in grids:
        text = latex(grid)
        (columns,) = re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}", text)
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
        assert len(rows) == 1 + sum(len(block.lines) for block in grid.blocks)
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
        assert re.findall(r"\\(begin|end)\{([a-z*]+)\}", text) == [
            ("begin", "table*"),
            ("begin", "tabular"),
            ("end", "tabular"),
            ("end", "table*"),
        ]
        assert text.isascii()
        assert not re.search(r"(?<!\\)[_#%]", text)


def test_text_is_escaped_for_latex():
    assert escaped("50% of a_b & {c}\\ ~^") == (r"50\% of a\_b \& \{c\}\textbackslash{} $\sim$\textasciicircum{}")


def test_csv_has_the_numbers_that_a_table_rounds(comparison, grids):
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(as_csv(grids[0])))}
    cell = comparison.tasks["wpr"].cells["tiny-cp"][MEAN]
    row = rows["Tiny_CP & co"]
    for column, value in (("WPR", "value"), ("WPR_low", "low"), ("WPR_high", "high")):
        assert float(row[column]) == pytest.approx(100 * getattr(cell.estimate, value), abs=1e-4)
    assert (row["group"], row["WPR_seeds"]) == ("CP", "2")
    assert (rows["other"]["WPR"], rows["other"]["WPR_seeds"], rows["other"]["WPR_marks"]) == ("", "0", "missing")


def test_the_papers_numbers_stand_below_ours(comparison):
    first, fourth = (make(comparison, MBERT, "") for make in (table_1, table_4))
    paper = paper_tables()
    head, below = first.blocks[0].lines
    assert (head.head, below.head) == ("Tiny_LM", "Ji et al. 2024")
    assert below.cells[0] == Published(pytest.approx(paper["table1"]["mbert"]["PAWS-X"], abs=0.05))
    languages = [value for key, value in paper["table4"]["WPR"]["mbert"].items() if key != "AVG"]
    assert below.cells[1] == Published(pytest.approx(sum(languages) / 7))  # the printed average leaves Chinese out
    line = fourth.blocks[1].lines[1]
    scores = dict(zip(fourth.heads, line.cells, strict=True))
    assert scores["ZH"] == Published(paper["table4"]["WPR"]["mbert"]["zh"])
    assert scores["AVG"] == below.cells[1]


def test_the_papers_averages_are_as_it_printed_them():
    """All but those of WPR, which leave Chinese out."""
    systems = {system.name: system for system in references()[0].systems}
    backbones = {name: Compared(name, "LM", None) for name in systems}
    comparison = compare(backbones, [*TASKS.values()], 1, [])
    first, fourth = (markdown(make(comparison, systems, "")) for make in (table_1, table_4))
    paper = paper_tables()
    lines = [line.strip("| ").split(" | ") for line in first.splitlines() if "| Ji et al. 2024 |" in line]
    for name, line in zip(systems, lines, strict=True):
        shown = dict(zip(comparison.tasks, line[1:], strict=True))
        printed = {task: f"{paper['table1'][name][TASKS[task].title]:.1f}" for task in shown}
        assert {**shown, "wpr": ""} == {**printed, "wpr": ""}, name
    lines = [line.strip("| ").split(" | ") for line in fourth.splitlines() if "| Ji et al. 2024 |" in line]
    for (task, name), line in zip(((task, name) for task in TASKS for name in systems), lines, strict=True):
        assert task == "wpr" or line[-1] == f"{paper['table4'][TASKS[task].title][name]['AVG']:.2f}", (task, name)


def test_intervals_of_languages_are_shown_where_asked(comparison):
    shown = [_rows(markdown(table_4(comparison, {}, "", intervals=wanted)))["Tiny\\_MT"][2] for wanted in (False, True)]
    assert "±" not in shown[0]
    assert shown[1].startswith(shown[0].rstrip("!"))
    assert "±" in shown[1]


def test_contrasts_have_signs_intervals_and_the_mean_of_all_tasks(comparison, grids):
    grid = grids[2]
    assert grid.heads == ("LM − MT", "LM − CP", "MT − CP", "Tiny_CP & co − Tiny_LM")
    assert _heads(grid) == [("", ["PAWS-X", "WPR"]), ("", ["mean of 2 tasks"])]
    estimate = comparison.tasks["wpr"].contrasts["LM", "MT"].estimate
    value = f"{100 * estimate.value:+.1f}".replace("-", "−")
    half = 50 * (estimate.high - estimate.low)
    assert _rows(markdown(grid))["WPR"][0].startswith(f"{value} ±{half:.1f}")


def test_there_are_no_contrasts_without_families(comparison):
    alone = {"tiny-lm": BACKBONES["tiny-lm"]}
    assert contrasts(replace(comparison, backbones=alone), "") is None


def test_a_mean_over_some_languages_says_which(comparison):
    spec = replace(TASKS["pawsx"], languages=("de", "en"))
    task = replace(comparison.tasks["pawsx"], spec=spec)
    grid = table_1(replace(comparison, tasks={"pawsx": task}), MBERT, "")
    assert "PAWS-X: de, en only, of 4 languages" in grid.notes
    assert grid.heads == ("PAWS-X (2/4)",)
    paper = paper_tables()["table4"]["PAWS-X"]["mbert"]
    assert grid.blocks[0].lines[1].cells[0] == Published(pytest.approx((paper["de"] + paper["en"]) / 2))


def test_files_are_written_in_all_formats(grids, tmp_path):
    paths = [*write(grids, tmp_path / "new")]
    assert {path.name for path in paths} == {
        f"{name}.{ending}" for name in ("table1", "table4", "contrasts") for ending, _ in FORMATS.values()
    }
    assert (tmp_path / "new" / "table1.tex").read_text(encoding="utf-8") == latex(grids[0])
