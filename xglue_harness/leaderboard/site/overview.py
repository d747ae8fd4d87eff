"""Tables of the overview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.recipes import PAPER, changed_options
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import OverallRow, TaskRow
from xglue_harness.leaderboard.site.cells import (
    NONE,
    RANK,
    Cell,
    Head,
    Table,
    estimate_cell,
    facets_of,
    family_cell,
    legend_of,
    name_cell,
    point_cell,
    rank_cell,
    system_cell,
)
from xglue_harness.leaderboard.site.paths import PUBLISHED_JSON, families_path, reference_path, summary_path
from xglue_harness.leaderboard.site.words import (
    GAP,
    collapsed_in_words,
    metric_of,
    recipe_in_words,
)
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.reference import PublishedSystem, Reference


def recipe_text(board: Board) -> str:
    """In what a recipe differs from the paper's."""
    if board.recipe == PAPER:
        return "The recipe of Ji et al. 2024: every option at its default, the weights after the last epoch."
    changed: dict[str, str] = {}
    for name, table in board.tasks.items():
        record = next(iter(table.rows[0].results[0].languages.values())).run
        for key, value in changed_options(record.recipe, record.selection.rule, TASKS[name]).items():
            changed.setdefault(key, f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}")
    return f"Differs from the paper's recipe in: {', '.join(changed.values()) or 'nothing'}."


def overview(board: Board) -> Table:
    """The ranked table.

    Args:
        board: of the recipe.
    """
    heads = (
        RANK,
        Head("backbone", kind=""),
        Head("score", "mean over the eight tasks, in %"),
        Head("family", kind=""),
        Head("seeds", "trainings behind each number"),
        Head("gap", f"{GAP}; mean over the tasks"),
        *(Head(TASKS[task].title, metric_of(TASKS[task]), f"task-{task}.html") for task in board.tasks),
    )
    ranks = [row.rank for row in board.overall]
    rows = []
    for row in board.overall:
        href = summary_path(board.place, row.backbone.name)
        missing = "" if row.score else f"has {len(row.tasks)} of {len(TASKS)} tasks"
        score = estimate_cell(row.score, href, seeds=row.seeds, more=True, kind="main")
        cells = (
            rank_cell(row.rank, ranks, href),
            name_cell(row.backbone),
            replace(score, note=missing) if missing else score,
            family_cell(row.backbone.family),
            _seeds_cell(row, href),
            estimate_cell(row.gap, href, seeds=row.seeds, more=True),
            *(_task_cell(board.place, task, row.tasks.get(task)) for task in board.tasks),
        )
        rows.append(cells)
    legend = legend_of([task_row for row in board.overall for task_row in row.tasks.values()])
    facets = tuple(facets_of(row.backbone, row.backbone.family) for row in board.overall)
    caption = f"Backbones by rank, recipe {recipe_in_words(board.track, board.recipe)}, in %"
    return Table(caption, heads, tuple(rows), True, True, tuple(legend), facets)


def _seeds_cell(row: OverallRow, href: str) -> Cell:
    counts = row.seed_counts
    text = str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    return Cell(text, href, order=counts[0])


def _task_cell(place: str, task: str, row: TaskRow | None) -> Cell:
    if row is None:
        return Cell("–", note="no result")
    href = summary_path(place, row.backbone.name, task)
    warning = collapsed_in_words(row.collapsed)
    return estimate_cell(row.score, href, seeds=len(row.results), warning=warning)


def families_table(board: Board, backbones: Mapping[str, Backbone]) -> Table:
    """Means of families and differences, task by task; of a track that has no means of families, differences of pairs.

    Args:
        board: of the recipe.
        backbones: by name.
    """
    href = families_path(board.place)
    rows: dict[str, dict[str, Cell]] = {}
    for task, families in board.families.items():
        for group in families.scores:
            rows.setdefault(f"{group.family}: mean", {})[task] = estimate_cell(group.score, href, more=True)
        for pair in (*families.versus, *families.continued, *families.matched):
            names = [backbones[name].title if name in backbones else name for name in (pair.first, pair.second)]
            cell = estimate_cell(pair.difference, href, more=True, sign=True)
            rows.setdefault(" − ".join(names), {})[task] = cell
    titles = [TASKS[task].title if task in TASKS else "all" for task in board.families]
    grouped = any(families.scores for families in board.families.values())
    heads = (Head("family" if grouped else "pair", kind=""), *(Head(title) for title in titles))
    lines = tuple(
        (Cell(name, kind="name", head=True), *(cells.get(task, NONE) for task in board.families))
        for name, cells in rows.items()
    )
    caption = "Families: means in %, differences in points" if grouped else "Pairs: differences in points"
    return Table(f"{caption}, ± half the 95% interval", heads, lines)


def published(reference: Reference, validated: ValidatedTree) -> Table:
    """Published numbers over all tasks.

    Args:
        reference: the publication.
        validated: the tree, whose backbones have pages.
    """
    href = reference_path(reference.name)
    heads = (
        Head("system", kind=""),
        Head("score", "mean over the eight tasks, in %"),
        Head("family", kind=""),
        *(Head(spec.title, metric_of(spec), f"task-{spec.name}.html") for spec in TASKS.values()),
        Head("WPR as printed", "the average that the publication prints; that of Ji et al. 2024 leaves Chinese out"),
    )
    rows = []
    for system in reference.systems:
        rows.append(
            (
                system_cell(system.name, system.title, validated),
                point_cell(system.overall, PUBLISHED_JSON),
                family_cell(system.family),
                *(_published_cell(system, task) for task in TASKS),
                point_cell(system.printed.get("wpr"), href),
            )
        )
    facets = tuple(facets_of(validated.backbones.get(system.name), system.family) for system in reference.systems)
    return Table(f"{reference.short}, in %", heads, tuple(rows), True, facets=facets)


def _published_cell(system: PublishedSystem, task: str) -> Cell:
    note = "" if system.mean(task) else "average as printed"
    return point_cell(system.shown(task), PUBLISHED_JSON, note=note)
