"""Tables on the page of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xglue_harness.benchmark import TaskSpec
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import Pair, TaskRow
from xglue_harness.leaderboard.site.cells import (
    RANK,
    Cell,
    Head,
    Table,
    estimate_cell,
    facets_of,
    family_cell,
    heated,
    legend_of,
    name_cell,
    point_cell,
    rank_cell,
    share_cell,
    system_cell,
)
from xglue_harness.leaderboard.site.paths import PUBLISHED_JSON, compare_path, page_of, reference_path, summary_path
from xglue_harness.leaderboard.site.words import (
    GAP,
    LANGUAGE_NAMES,
    METRICS,
    collapsed_in_words,
    interval,
    metric_of,
    p_value,
    recipe_in_words,
    signed,
)
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.reference import Reference


def task_table(board: Board, task: str) -> Table:
    """A task's table, with its languages as columns.

    Args:
        board: of the track and recipe.
        task: its name; one that the board has.
    """
    table, place = board.tasks[task], board.place
    spec = table.spec
    heads = (
        RANK,
        Head("backbone", kind=""),
        Head("mean", metric_of(spec)),
        Head("family", kind=""),
        Head("seeds", "trainings behind each number"),
        *(Head(language, LANGUAGE_NAMES[language]) for language in spec.languages),
        Head("gap", GAP),
        Head("seen", "mean of the languages but English that the backbone has seen in pretraining"),
        Head("unseen", "mean of the languages that it has not seen"),
        Head("official", "the mean by XGLUE's own evaluator"),
    )
    ranks = [row.rank for row in table.rows]
    columns = {
        language: heated([_language_cell(place, spec, row, language) for row in table.rows])
        for language in spec.languages
    }
    rows = []
    for number, row in enumerate(table.rows):
        href, seeds = summary_path(place, row.backbone.name, spec.name), len(row.results)
        warning = collapsed_in_words(row.collapsed)
        cells = (
            rank_cell(row.rank, ranks, href),
            name_cell(row.backbone),
            estimate_cell(row.score, href, seeds=seeds, more=True, kind="main", warning=warning),
            family_cell(row.backbone.family),
            Cell(str(seeds), href, order=seeds),
            *(columns[language][number] for language in spec.languages),
            estimate_cell(row.gap, href, seeds=seeds, more=True),
            estimate_cell(row.seen, href, seeds=seeds),
            estimate_cell(row.unseen, href, seeds=seeds),
            share_cell(row.official, href),
        )
        rows.append(cells)
    legend = ["colour: from the lowest to the highest of a column, which spans 5 points at least"]
    if any({*spec.languages} - {*row.backbone.pretraining.languages} for row in table.rows):
        legend.append("dotted, ◦: the backbone has not seen this language in pretraining")
    legend += legend_of(table.rows)
    recipe = recipe_in_words(board.track, board.recipe)
    caption = f"{spec.title} by language, recipe {recipe}: {METRICS[spec.metric]} in %"
    facets = tuple(facets_of(row.backbone, row.backbone.family) for row in table.rows)
    return Table(caption, heads, tuple(rows), True, True, tuple(legend), facets)


def _language_cell(place: str, spec: TaskSpec, row: TaskRow, language: str) -> Cell:
    seen = language in row.backbone.pretraining.languages
    kind = "heat" if seen else "heat not-seen"
    starts = tuple(f"seed {result.seed}, {language}: " for result in row.results)
    signs = [reason for reason in row.collapsed if reason.startswith(starts)]
    href = summary_path(place, row.backbone.name, spec.name)
    cell = estimate_cell(
        row.languages[language], href, seeds=len(row.results), kind=kind, warning=collapsed_in_words(signs)
    )
    return cell if seen else replace(cell, note=f"{cell.note}; language not seen in pretraining")


def matrix(board: Board, task: str) -> Table | None:
    """The difference of each pair of backbones; ``None`` for fewer than two.

    Args:
        board: of the track and recipe.
        task: its name; one that the board has.
    """
    table = board.tasks[task]
    if not table.pairs:
        return None
    pairs = {(pair.first, pair.second): pair for pair in table.pairs}
    heads = (
        Head("row minus column", kind=""),
        *(Head(row.backbone.title, row.backbone.name, page_of(row.backbone.name), "num wrap") for row in table.rows),
    )
    rows = []
    for row in table.rows:
        cells = [_pair_cell(board.place, pairs, row.backbone.name, other.backbone.name) for other in table.rows]
        rows.append((name_cell(row.backbone), *cells))
    recipe = recipe_in_words(board.track, board.recipe)
    caption = f"Which backbones differ in {table.spec.title}: differences of the means in points, recipe {recipe}"
    legend = ("▲ ▼ significantly better or worse (Holm-adjusted over all pairs, 95%); no sign: tied",)
    return Table(caption, heads, tuple(rows), False, True, legend)


def _pair_cell(place: str, pairs: Mapping[tuple[str, str], Pair], first: str, second: str) -> Cell:
    if first == second:
        return Cell("", kind="num self")
    pair = pairs.get((first, second)) or pairs[second, first]
    difference = pair.minus(second)
    kind, mark = {first: ("num better", "▲"), second: ("num worse", "▼")}.get(pair.winner or "", ("num tied", ""))
    note = f"95% interval {interval(difference, 2, sign=True)}; Holm-adjusted {p_value(pair.comparison.p_holm)}"
    return Cell(
        f"{signed(difference.value)}{mark}",
        compare_path(place),
        note=note,
        order=difference.value,
        kind=kind,
        value=100 * difference.value,
        span=(100 * difference.low, 100 * difference.high),
    )


def published_task(spec: TaskSpec, reference: Reference, validated: ValidatedTree) -> Table:
    """Published numbers of a task by language.

    Args:
        spec: the task.
        reference: the publication.
        validated: the tree, whose backbones have pages.
    """
    href = reference_path(reference.name)
    known = any(system.scores.get(spec.name) for system in reference.systems)
    languages = spec.languages if known else ()
    heads = (
        Head("system", kind=""),
        Head("mean", "mean over all languages"),
        Head("as printed", "the average that the publication prints"),
        Head("family", kind=""),
        *(Head(language, LANGUAGE_NAMES[language]) for language in languages),
    )
    rows = tuple(
        (
            system_cell(system.name, system.title, validated),
            point_cell(system.mean(spec.name), PUBLISHED_JSON),
            point_cell(system.printed.get(spec.name), href),
            family_cell(system.family),
            *(point_cell(system.scores.get(spec.name, {}).get(language), href) for language in languages),
        )
        for system in reference.systems
    )
    facets = tuple(facets_of(validated.backbones.get(system.name), system.family) for system in reference.systems)
    return Table(f"{reference.short}, {spec.title} in %", heads, rows, len(rows) > 1, facets=facets)
