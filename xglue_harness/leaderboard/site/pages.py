"""What stands on the overview and on the pages of the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.recipes import PAPER, paper_terms, recipe_terms
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.families import Families, FamilyDifference
from xglue_harness.leaderboard.ranking.rows import ALL, OverallRow, TaskRow
from xglue_harness.leaderboard.ranking.significance import holm
from xglue_harness.leaderboard.ranking.statistics import LEVEL
from xglue_harness.leaderboard.site.cells import (
    NONE,
    Cell,
    Head,
    Table,
    collapsed_in_words,
    estimate_cell,
    family_cell,
    interval,
    name_cell,
    percent,
    point_cell,
    rank_cell,
    seeds_in_words,
    signed,
)
from xglue_harness.leaderboard.site.data import PUBLISHED, families_path, page_of, reference_path, summary_path
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.families import FAMILIES
from xglue_harness.published.reference import Reference
from xglue_harness.recipe import Options

METRICS: Mapping[str, str] = {"acc": "accuracy", "ndcg": "nDCG", "f1": "F1 over entities"}

QUESTIONS: Mapping[str, str] = {
    "nc": "News classification: which of ten topics has an article, given its title and body?",
    "xnli": "Natural language inference: does one sentence follow from the other, contradict it, or neither?",
    "pawsx": "Paraphrases: do two sentences that share most of their words mean the same?",
    "qam": "Questions and answers: does a passage answer a question?",
    "qadsm": "Queries and advertisements: does an advertisement fit a search query?",
    "wpr": "Ranking of web pages: how well, in five grades, does a page answer a query? A query's pages are ranked.",
    "ner": "Named entities: which words name a person, an organisation, a place or something else?",
    "pos": "Parts of speech: which of 17 tags has each word?",
}

GAP = "English minus the mean of the other languages"
RANK = Head("rank", "1 + number of backbones that are significantly better; = shared", kind="num rank")


@dataclass(frozen=True)
class Answer:
    """The families' answer in words.

    Attributes:
        sentence: who is ahead, by how much.
        basis: how many backbones and seeds stand behind it.
        changes: what continuing on translation did, a sentence for each model.
        href: the JSON with the numbers; ``None`` where there are none.
    """

    sentence: str
    basis: str
    changes: tuple[str, ...]
    href: str | None


def answer(board: Board, backbones: Mapping[str, Backbone]) -> Answer:
    """Who is ahead, by how much and how surely.

    Args:
        board: of the recipe.
        backbones: by name.
    """
    found = board.families.get(ALL)
    if found is None:
        return Answer("No backbone has all eight tasks yet; the tables below hold what there is.", "", (), None)
    href = families_path(board.recipe)
    rows = [row for row in board.overall if row.score is not None]
    counts = sorted({count for row in rows for count in row.seed_counts})
    seeds = seeds_in_words(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    members = ", ".join(f"{len(own.members)} {own.family}" for own in found.scores)
    basis = f"Means over the backbones that have all eight tasks ({members}), {seeds} each."
    changes = tuple(
        f"{backbones[own.first].title} minus {backbones[own.second].title}: {signed(own.difference.value)} points "
        f"({interval(own.difference, sign=True)})."
        for own in found.continued
    )
    return Answer(_sentence(found), basis, changes, href)


def _sentence(found: Families) -> str:
    best, *others = sorted(found.scores, key=lambda own: -own.score.value)
    name, mean = FAMILIES[best.family], percent(best.score.value)
    if not others:
        return f"So far only {name} have all eight tasks: {mean}% on average ({interval(best.score)})."
    adjusted = dict(zip(found.versus, holm([own.difference.p for own in found.versus]), strict=True))
    parts, sure = [], []
    for other in others:
        versus = next(own for own in found.versus if {own.first, own.second} == {best.family, other.family})
        sure.append(adjusted[versus] <= 1 - LEVEL)
        parts.append((FAMILIES[other.family], *_lead(versus, best.family)))
    leads = [
        f"{value} above {family} ({'' if number else '95% interval '}{span}"
        f"{'' if all(sure) or not any(sure) else ', significant' if certain else ', not significant'})"
        for number, ((family, value, span), certain) in enumerate(zip(parts, sure, strict=True))
    ]
    if all(sure):
        return f"{name.capitalize()} are ahead: {mean}% on average over the eight tasks, {' and '.join(leads)}."
    return f"No family is clearly ahead: {name} have the highest mean, {mean}%, {' and '.join(leads)}."


def published_answer(reference: Reference) -> str:
    """Which family is ahead in published numbers, and by how much.

    Args:
        reference: with all tasks of all its systems.
    """
    scores: dict[str, list[float]] = {}
    for system in reference.systems:
        if system.overall is not None:
            scores.setdefault(system.family, []).append(system.overall)
    means = {words: sum(scores[family]) / len(scores[family]) for family, words in FAMILIES.items() if family in scores}
    (best, mean), *others = sorted(means.items(), key=lambda item: -item[1])
    leads = " and ".join(f"{mean - value:.1f} above {family}" for family, value in others)
    return (
        f"In {reference.short}, {best} have the highest mean over the eight tasks: {mean:.1f}%, {leads} (one run of "
        f"each backbone, so how sure that is can't be said)."
    )


def _lead(versus: FamilyDifference, family: str) -> tuple[str, str]:
    """How far a family is ahead, and the interval."""
    own = versus.minus(versus.second if versus.first == family else versus.first)
    return percent(own.value), interval(own, sign=True)


def recipe_text(board: Board) -> str:
    """In what a recipe differs from the paper's."""
    if board.recipe == PAPER:
        return "The recipe of Ji et al. 2024: every option at its default, the weights after the last epoch."
    changed: dict[str, str] = {}
    for name, table in board.tasks.items():
        record = next(iter(table.rows[0].results[0].languages.values())).record
        for key, value in changed_options(record.recipe, record.selection.rule, TASKS[name]).items():
            changed.setdefault(key, f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}")
    return f"Differs from the paper's recipe in: {', '.join(changed.values()) or 'nothing'}."


def changed_options(recipe: Mapping[str, Any], rule: str, spec: TaskSpec) -> dict[str, Any]:
    """The options of a run that are not at their defaults.

    Args:
        recipe: as its record has it.
        rule: by which the epoch was selected.
        spec: the task.
    """
    defaults, own = paper_terms(spec), recipe_terms(recipe)
    names = Options.model_fields
    found = {key: own[key] for key in defaults if key in names and key in own and own[key] != defaults[key]}
    return found if rule == Options().select else {**found, "select": rule}


def overview(board: Board) -> Table:
    """The ranked table.

    Args:
        board: of the recipe.
    """
    heads = (
        RANK,
        Head("backbone", kind=""),
        Head("family", kind=""),
        Head("seeds", "trainings behind each number"),
        Head("score", "mean over the eight tasks, in %"),
        Head("gap", f"{GAP}; mean over the tasks"),
        *(Head(TASKS[task].title, metric_of(TASKS[task]), f"task-{task}.html") for task in board.tasks),
    )
    ranks = [row.rank for row in board.overall]
    rows = []
    for row in board.overall:
        href = summary_path(board.recipe, row.backbone.name)
        missing = "" if row.score else f"has {len(row.tasks)} of {len(TASKS)} tasks"
        score = estimate_cell(row.score, href, seeds=row.seeds, more=True, kind="main")
        cells = (
            rank_cell(row.rank, ranks, href),
            name_cell(row.backbone),
            family_cell(row.backbone.family),
            _seeds_cell(row, href),
            replace(score, note=missing) if missing else score,
            estimate_cell(row.gap, href, seeds=row.seeds, more=True),
            *(_task_cell(board.recipe, task, row.tasks.get(task)) for task in board.tasks),
        )
        rows.append(cells)
    legend = legend_of([own for row in board.overall for own in row.tasks.values()])
    return Table(f"Backbones by rank, recipe {board.recipe}, in %", heads, tuple(rows), True, True, tuple(legend))


def metric_of(spec: TaskSpec) -> str:
    """What a task's number is."""
    return f"mean {METRICS[spec.metric]} over {len(spec.languages)} languages"


def _seeds_cell(row: OverallRow, href: str) -> Cell:
    counts = row.seed_counts
    text = str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    return Cell(text, href, order=counts[0])


def _task_cell(recipe: str, task: str, row: TaskRow | None) -> Cell:
    if row is None:
        return Cell("–", note="no result")
    href = summary_path(recipe, row.backbone.name, task)
    warning = collapsed_in_words(row.collapsed)
    return estimate_cell(row.score, href, seeds=len(row.results), warning=warning)


def legend_of(rows: Sequence[TaskRow]) -> list[str]:
    """What the signs of a table mean, as far as they are in it."""
    sources = {row.score.seeds for row in rows}
    legend = []
    if "borrowed" in sources:
        legend.append("~ one seed: its variance between seeds is borrowed from the other backbone with the largest")
    if "unknown" in sources:
        legend.append("? test rows only: no backbone has two seeds, so intervals are too narrow")
    if any(row.collapsed for row in rows):
        legend.append("⚠ collapsed: a run did not learn the task; hover for the signs")
    return legend


def families_table(board: Board, backbones: Mapping[str, Backbone]) -> Table:
    """The numbers of the families' figures.

    Args:
        board: of the recipe.
        backbones: by name.
    """
    href = families_path(board.recipe)
    rows: dict[str, dict[str, Cell]] = {}
    for task, found in board.families.items():
        for own in found.scores:
            rows.setdefault(f"{own.family}: mean", {})[task] = estimate_cell(own.score, href, more=True)
        for versus in (*found.versus, *found.continued):
            names = [backbones[name].title if name in backbones else name for name in (versus.first, versus.second)]
            cell = estimate_cell(versus.difference, href, more=True, sign=True)
            rows.setdefault(" − ".join(names), {})[task] = cell
    titles = [TASKS[task].title if task in TASKS else "all" for task in board.families]
    heads = (Head("family", kind=""), *(Head(title) for title in titles))
    lines = tuple(
        (Cell(name, kind="name", head=True), *(cells.get(task, NONE) for task in board.families))
        for name, cells in rows.items()
    )
    return Table("Families: means in %, differences in points, ± half the 95% interval", heads, lines)


def published(reference: Reference, checked: ValidatedTree) -> Table:
    """Published numbers over all tasks.

    Args:
        reference: the publication.
        checked: the tree, whose backbones have pages.
    """
    href = reference_path(reference.name)
    heads = (
        Head("system", kind=""),
        Head("family", kind=""),
        Head("score", "mean over the eight tasks, in %"),
        *(Head(spec.title, metric_of(spec), f"task-{spec.name}.html") for spec in TASKS.values()),
        Head("WPR as printed", "the average that the publication prints; that of Ji et al. 2024 leaves Chinese out"),
    )
    rows = []
    for system in reference.systems:
        rows.append(
            (
                system_cell(system.name, system.title, checked),
                family_cell(system.family),
                point_cell(system.overall, PUBLISHED),
                *(
                    point_cell(system.shown(task), PUBLISHED, note="" if system.mean(task) else "average as printed")
                    for task in TASKS
                ),
                point_cell(system.printed.get("wpr"), href),
            )
        )
    return Table(f"{reference.short}, in %", heads, tuple(rows), True)


def system_cell(name: str, title: str, checked: ValidatedTree) -> Cell:
    """The cell that heads a published system's row; it links to the backbone's page where there is one."""
    return Cell(title, page_of(name) if name in checked.backbones else None, note=name, kind="name", head=True)


def backbones_table(checked: ValidatedTree) -> Table:
    """All backbones that are described, with or without results.

    Args:
        checked: the tree.
    """
    counts = dict.fromkeys(checked.backbones, 0)
    for found in checked.results:
        counts[found.result.backbone] += 1
    heads = (
        Head("backbone", kind=""),
        Head("family", kind=""),
        Head("parameters", "of the encoder, in millions"),
        Head("layers"),
        Head("languages", "of the benchmark's 19, seen in pretraining"),
        Head("licence", kind=""),
        Head("results", "runs: one seed on one task"),
    )
    rows = tuple(
        (
            name_cell(own),
            family_cell(own.family),
            _count(own.parameters.encoder / 1e6, f"{own.parameters.encoder / 1e6:,.1f}"),
            _count(own.layers),
            _count(len(own.pretraining.languages)),
            Cell(own.licence, kind=""),
            _count(counts[own.name]),
        )
        for own in checked.backbones.values()
    )
    return Table("Backbones that are described", heads, rows, True)


def _count(value: float, text: str | None = None) -> Cell:
    return Cell(text or str(value), order=value)
