"""What the results of some backbones say together: a cell for each number of a table, with its interval and its marks.

The statistics are the leaderboard's (`xglue_harness.leaderboard.ranking`); nothing here is computed a second way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from xglue_harness.benchmark import TaskSpec
from xglue_harness.errors import SweepError
from xglue_harness.leaderboard.ranking.board import scored_runs
from xglue_harness.leaderboard.ranking.contrasts import contrast
from xglue_harness.leaderboard.ranking.families import FamilyDifference, compare_families
from xglue_harness.leaderboard.ranking.rows import TaskBoard
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.validation.agreement import incomparable
from xglue_harness.leaderboard.validation.rescoring import RescoredResult
from xglue_harness.published.families import FAMILIES, Family
from xglue_harness.published.tracks import STUDIES, Track

MEAN = "AVG"
"""Stands for the mean over a task's languages, where a language could stand."""


@dataclass(frozen=True)
class Compared:
    """A backbone of the sweep.

    Attributes:
        title: its name in the sweep's file, which tables show.
        family: LM, MT or CP; ``None``: nobody has said it.
        continued_from: key of the backbone of this sweep that its pretraining began with; ``None``: none of them.
        track: of the leaderboard; backbones of two tracks stand in one table, but never in one contrast.
        matched: keys of the backbones of this sweep that the study of its track contrasts it with.
    """

    title: str
    family: Family | None
    continued_from: str | None
    track: Track = "main"
    matched: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Member:
    """A backbone whose family is known; a `xglue_harness.leaderboard.ranking.families.Lineage`."""

    family: Family
    continued_from: str | None


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes:
        estimate: a score, or a difference, from 0 to 1; ``None``: there is no training of it.
        seeds: trainings that it stands on; of a difference, those of the backbone that has the fewest.
        wanted: trainings that the sweep asks for.
        collapsed: a run in it failed to learn.
        partial: a family in it lacks a backbone of the sweep.
    """

    estimate: Estimate | None
    seeds: int
    wanted: int
    collapsed: bool = False
    partial: bool = False


@dataclass(frozen=True)
class TaskComparison:
    """A task's numbers.

    Attributes:
        spec: the task, with the languages that the sweep asks for.
        cells: by key of the backbone, then by language, or `MEAN`.
        contrasts: by the two sides, as `contrast_pairs` names them.
    """

    spec: TaskSpec
    cells: Mapping[str, Mapping[str, Cell]]
    contrasts: Mapping[tuple[str, str], Cell]


@dataclass(frozen=True)
class Comparison:
    """All numbers of a sweep.

    Attributes:
        backbones: by key, in the order of the file.
        seeds: trainings of each backbone and task that the sweep asks for.
        tasks: by short name, in the order of the benchmark.
        over_all: contrasts of the mean over all of these tasks, of the backbones that have them; empty for one task.
    """

    backbones: Mapping[str, Compared]
    seeds: int
    tasks: Mapping[str, TaskComparison]
    over_all: Mapping[tuple[str, str], Cell]


def compare(
    backbones: Mapping[str, Compared],
    specs: Sequence[TaskSpec],
    seeds: int,
    results: Sequence[RescoredResult],
    *,
    one_recipe: bool = True,
) -> Comparison:
    """Compare the results that there are.

    Args:
        backbones: by key; ``result.backbone`` is one of the keys.
        specs: the tasks, with the languages that count.
        seeds: trainings of each backbone and task that there should be.
        results: of those tasks and backbones; any may be missing.
        one_recipe: results of other recipes are refused, and not lines of their own.

    Raises:
        SweepError: where results can't stand in one table: other recipes, data or encoders.
    """
    _check(results, one_recipe)
    cells: dict[str, dict[str, Mapping[str, Cell]]] = {spec.name: {} for spec in specs}
    contrasts: dict[str, dict[tuple[str, str], Cell]] = {spec.name: {} for spec in specs}
    over_all: dict[tuple[str, str], Cell] = {}
    for track in STUDIES:
        own = {key: item for key, item in backbones.items() if item.track == track}
        tasks, over = _track(own, specs, seeds, [item for item in results if item.result.backbone in own])
        for name, task in tasks.items():
            cells[name] |= task.cells
            contrasts[name] |= task.contrasts
        over_all |= over
    every = {spec.name: TaskComparison(spec, cells[spec.name], contrasts[spec.name]) for spec in specs}
    return Comparison(backbones, seeds, every, over_all)


def _track(
    backbones: Mapping[str, Compared], specs: Sequence[TaskSpec], seeds: int, results: Sequence[RescoredResult]
) -> tuple[dict[str, TaskComparison], Mapping[tuple[str, str], Cell]]:
    """A track's numbers by task, and its contrasts over all of them; on a board of its own, as on the leaderboard."""
    boards: dict[str, TaskBoard] = {}
    by_task = {spec.name: [item for item in results if item.result.task == spec.name] for spec in specs}
    for spec in specs:
        if by_task[spec.name]:
            boards[spec.name] = scored_runs(spec, by_task[spec.name])
    tasks = {}
    for spec in specs:
        cells = _cells(spec, backbones, seeds, by_task[spec.name], boards.get(spec.name))
        means = {key: [row[MEAN]] for key, row in cells.items()}
        here = [boards[spec.name]] if spec.name in boards else []
        tasks[spec.name] = TaskComparison(spec, cells, _contrasts(here, backbones, seeds, means))
    over_all: Mapping[tuple[str, str], Cell] = {}
    if len(specs) > 1:
        means = {key: [task.cells[key][MEAN] for task in tasks.values()] for key in backbones}
        every = [*boards.values()] if len(boards) == len(specs) else []
        over_all = _contrasts(every, backbones, seeds, means)
    return tasks, over_all


def _check(results: Sequence[RescoredResult], one_recipe: bool) -> None:
    recipes: dict[str, RescoredResult] = {}
    problems = [*incomparable(results)]
    for item in results:
        first = recipes.setdefault(item.result.task, item)
        if one_recipe and item.result.recipe != first.result.recipe:  # one of them is the paper's, by its terms
            problems.append(f"{item.file}: recipe {item.result.recipe}; {first.file} has {first.result.recipe}")
    if problems:
        shown = "\n- ".join([*problems[:10], *(f"and {len(problems) - 10} more" for _ in problems[10:11])])
        raise SweepError(
            f"these results can't stand in one table (choose some that can, by --backbones and --tasks):\n- {shown}"
        )


def _cells(
    spec: TaskSpec,
    backbones: Mapping[str, Compared],
    wanted: int,
    results: Sequence[RescoredResult],
    board: TaskBoard | None,
) -> dict[str, dict[str, Cell]]:
    cells: dict[str, dict[str, Cell]] = {}
    for key in backbones:
        own = [item.result for item in results if item.result.backbone == key]
        if board is None or not own:
            cells[key] = dict.fromkeys((*spec.languages, MEAN), Cell(None, 0, wanted))
            continue
        flags = {
            language: any(result.languages[language].record.flags.collapsed for result in own)
            for language in spec.languages
        }
        cells[key] = {
            language: Cell(contrast([board], {key: 1.0}, [language]), len(own), wanted, flags[language])
            for language in spec.languages
        }
        cells[key][MEAN] = Cell(contrast([board], {key: 1.0}), len(own), wanted, any(flags.values()))
    return cells


# ---------------------------------------------------------------- families


def contrast_pairs(backbones: Mapping[str, Compared]) -> list[tuple[str, str]]:
    """The differences that the paper's question asks for: between families, then of a CP and what it continues.

    Of a track that is a study's, those that the study was made for, and no others: its backbones have several shapes.

    Returns:
        Two families, or the keys of two backbones, the second of which is taken from the first.
    """
    main = {key: item for key, item in backbones.items() if item.track == "main"}
    families = [family for family in FAMILIES if any(item.family == family for item in main.values())]
    continued = [(key, item.continued_from) for key, item in main.items() if item.continued_from is not None]
    matched = [(key, other) for key, item in backbones.items() for other in item.matched]
    return [*combinations(families, 2), *continued, *matched]


def _contrasts(
    boards: Sequence[TaskBoard], backbones: Mapping[str, Compared], wanted: int, means: Mapping[str, Sequence[Cell]]
) -> dict[tuple[str, str], Cell]:
    """Each of the `contrast_pairs`, over the mean of some tasks.

    Args:
        boards: all of these tasks; none where one has no results.
        backbones: of one track, by key.
        wanted: seeds.
        means: of each backbone, its mean on each of the tasks.
    """
    known = {key: _Member(item.family, item.continued_from) for key, item in backbones.items() if item.family}
    there: dict[tuple[str, str], FamilyDifference] = {}
    if boards:
        study = None if all(item.track == "main" for item in backbones.values()) else contrast_pairs(backbones)
        families = compare_families(boards, known, study)
        differences = (*families.versus, *families.continued, *families.matched)
        there = {(item.first, item.second): item for item in differences}
    cells = {}
    for pair in contrast_pairs(backbones):
        asked = [*_members(pair[0], backbones), *_members(pair[1], backbones)]
        present = [key for key in asked if all(cell.seeds for cell in means[key])]
        if pair not in there:
            cells[pair] = Cell(None, 0, wanted)
            continue
        behind = [cell for key in present for cell in means[key]]
        cells[pair] = Cell(
            there[pair].difference,
            min(cell.seeds for cell in behind),
            wanted,
            any(cell.collapsed for cell in behind),
            len(present) < len(asked),
        )
    return cells


def _members(side: str, backbones: Mapping[str, Compared]) -> Iterable[str]:
    """Keys of the backbones behind a side of a contrast: those of a family, or the backbone itself."""
    if side in backbones:
        return [side]
    return [key for key, item in backbones.items() if item.family == side]


def restricted(spec: TaskSpec, languages: Iterable[str]) -> TaskSpec:
    """A task with some of its languages, in the task's order."""
    chosen = {*languages}
    return replace(spec, languages=tuple(language for language in spec.languages if language in chosen))
