"""Tables on the page of a backbone: scores by task, by language and by seed."""

from __future__ import annotations

from xglue_harness.benchmark import LANGUAGES, TASKS
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import OverallRow
from xglue_harness.leaderboard.site.cells import (
    NONE,
    RANK,
    Cell,
    Head,
    Table,
    estimate_cell,
    legend_of,
    rank_cell,
    share_cell,
)
from xglue_harness.leaderboard.site.paths import result_path, summary_path, track_page
from xglue_harness.leaderboard.site.words import (
    GAP,
    LANGUAGE_NAMES,
    collapsed_in_words,
    metric_of,
    percent,
    recipe_in_words,
)


def tasks_table(board: Board, row: OverallRow) -> Table:
    """A line for each task that the backbone has, and one over all of them.

    Args:
        board: of the track and recipe.
        row: the backbone's.
    """
    heads = (
        Head("task", kind=""),
        Head("score", "mean over languages, in %"),
        RANK,
        Head("seeds"),
        Head("gap", GAP),
        Head("seen", "mean of the languages but English that it has seen in pretraining"),
        Head("unseen", "mean of the languages that it has not seen"),
        Head("official", "the mean by XGLUE's own evaluator"),
        Head("over seeds", "95% interval over trainings alone, on these very test rows"),
    )
    rows: list[tuple[Cell, ...]] = []
    for task, task_row in row.tasks.items():
        href, seeds = summary_path(board.place, row.backbone.name, task), len(task_row.results)
        ranks = [other.rank for other in board.tasks[task].rows]
        over, signs = task_row.over_seeds, collapsed_in_words(task_row.collapsed)
        rows.append(
            (
                Cell(TASKS[task].title, f"task-{task}.html", note=metric_of(TASKS[task]), kind="name", head=True),
                estimate_cell(task_row.score, href, seeds=seeds, more=True, kind="main", warning=signs),
                rank_cell(task_row.rank, ranks, href),
                Cell(str(seeds), href, order=seeds),
                estimate_cell(task_row.gap, href, seeds=seeds, more=True),
                estimate_cell(task_row.seen, href, seeds=seeds, more=True),
                estimate_cell(task_row.unseen, href, seeds=seeds, more=True),
                share_cell(task_row.official, href),
                _span_cell(over, href),
            )
        )
    if row.score is not None:
        href = summary_path(board.place, row.backbone.name)
        rows.append(
            (
                Cell("all eight", track_page(board.track), kind="name", head=True),
                estimate_cell(row.score, href, seeds=row.seeds, more=True, kind="main"),
                rank_cell(row.rank, [other.rank for other in board.overall], href),
                Cell(str(row.seeds), href, order=row.seeds),
                estimate_cell(row.gap, href, seeds=row.seeds, more=True),
                *[NONE] * 4,
            )
        )
    legend = tuple(legend_of([*row.tasks.values()]))
    return Table(f"Scores by task, recipe {_recipe(board)}, in %", heads, tuple(rows), False, True, legend)


def _recipe(board: Board) -> str:
    return recipe_in_words(board.track, board.recipe)


def _span_cell(span: tuple[float, float] | None, href: str) -> Cell:
    if span is None:
        return NONE
    low, high = span
    return Cell(f"{percent(low)} to {percent(high)}", href, order=low, span=(100 * low, 100 * high))


def languages_table(board: Board, row: OverallRow) -> Table:
    """A line for each task, with the languages as columns.

    Args:
        board: of the track and recipe.
        row: the backbone's.
    """
    seen = row.backbone.pretraining.languages
    used = [lang for lang in LANGUAGES if any(lang in task_row.languages for task_row in row.tasks.values())]
    heads = (
        Head("task", kind=""),
        *(Head(lang, LANGUAGE_NAMES[lang] + ("" if lang in seen else ", not seen in pretraining")) for lang in used),
    )
    rows = []
    for task, task_row in row.tasks.items():
        href = summary_path(board.place, row.backbone.name, task)
        cells = (
            estimate_cell(
                task_row.languages.get(lang), href, seeds=len(task_row.results), kind="" if lang in seen else "not-seen"
            )
            if lang in task_row.languages
            else Cell("", kind="num")
            for lang in used
        )
        rows.append((Cell(TASKS[task].title, f"task-{task}.html", kind="name", head=True), *cells))
    legend = () if {*used} <= {*seen} else ("dotted, ◦: not seen in pretraining",)
    return Table(f"Scores by language, recipe {_recipe(board)}, in %", heads, tuple(rows), False, True, legend)


def seeds_table(board: Board, row: OverallRow) -> Table:
    """A line for each seed, with the tasks as columns; each cell links to the run's record.

    Args:
        board: of the track and recipe.
        row: the backbone's.
    """
    seeds = sorted({result.seed for task_row in row.tasks.values() for result in task_row.results})
    heads = (Head("seed", kind=""), *(Head(TASKS[task].title, "", f"task-{task}.html") for task in row.tasks))
    rows = []
    for seed in seeds:
        cells = []
        for task_row in row.tasks.values():
            run = next((result for result in task_row.results if result.seed == seed), None)
            if run is None:
                cells.append(NONE)
                continue
            starts = f"seed {seed}, "
            signs = collapsed_in_words([reason for reason in task_row.collapsed if reason.startswith(starts)])
            cells.append(
                Cell(percent(run.mean, 2), result_path(run), order=run.mean, value=100 * run.mean, warning=signs)
            )
        rows.append((Cell(f"seed {seed}", kind="name", head=True), *cells))
    return Table(
        f"Each run: mean over languages, recipe {_recipe(board)}, in %; links to its record", heads, tuple(rows)
    )
