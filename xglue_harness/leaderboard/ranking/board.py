"""The leaderboard itself: validated results, with intervals, ranks and families, one board for each recipe.

Scores are from 0 to 1. A board knows nothing of pages or terminals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.recipes import PAPER
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.contrasts import contrast, target_languages, transfer_gap
from xglue_harness.leaderboard.ranking.families import Families, compare_families
from xglue_harness.leaderboard.ranking.rows import ALL, OverallRow, Pair, TaskBoard, TaskRow
from xglue_harness.leaderboard.ranking.significance import compare_all, ranks
from xglue_harness.leaderboard.ranking.statistics import Block, Estimate, Floats, TaskRuns, seed_interval
from xglue_harness.leaderboard.validation.rescoring import RescoredResult
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.tracks import STUDIES, Track


@dataclass(frozen=True)
class Board:
    """All results of one track under one recipe.

    Attributes:
        track: whose backbones these are; those of another are never ranked or contrasted with them.
        recipe: its name.
        tasks: the tables, by task, in the order of the benchmark; of the tasks that any backbone has.
        overall: a line for each backbone, best first, those that lack a task last.
        pairs: all pairs of the backbones that have every task, over all tasks.
        families: by task, and under `ALL` where all tasks are there.
    """

    track: Track
    recipe: str
    tasks: Mapping[str, TaskBoard]
    overall: tuple[OverallRow, ...]
    pairs: tuple[Pair, ...]
    families: Mapping[str, Families]

    @property
    def place(self) -> str:
        """Where its files lie: the recipe, in the folder of the track where it is not the main one."""
        return self.recipe if self.track == "main" else f"{self.track}/{self.recipe}"


def boards(validated: ValidatedTree) -> list[Board]:
    """A board for each track and recipe; the main track and the paper's recipe first."""
    return boards_of(validated.results, validated.backbones, first=PAPER)


def boards_of(results: Sequence[RescoredResult], backbones: Mapping[str, Backbone], *, first: str) -> list[Board]:
    """A board for each track and recipe of some results.

    Args:
        results: all of one protocol.
        backbones: by name.
        first: the recipe whose board comes first; the others by name.
    """
    made = []
    for track in STUDIES:
        own = [item for item in results if backbones[item.result.backbone].track == track]
        names = {item.result.recipe for item in own}
        made += [_board(track, name, own, backbones) for name in sorted(names, key=lambda name: (name != first, name))]
    return made


def _board(track: Track, recipe: str, every: Sequence[RescoredResult], backbones: Mapping[str, Backbone]) -> Board:
    tasks = {}
    for spec in TASKS.values():
        results = [item for item in every if (item.result.recipe, item.result.task) == (recipe, spec.name)]
        if results:
            tasks[spec.name] = _task_board(spec, results, backbones)
    overall, pairs = _overall(tasks, backbones)
    study = STUDIES[track]
    pairs_asked = None if study is None else study.pairs
    families = {name: compare_families([board], backbones, pairs_asked) for name, board in tasks.items()}
    if any(row.score for row in overall):
        families[ALL] = compare_families([*tasks.values()], backbones, pairs_asked)
    return Board(track, recipe, tasks, overall, pairs, families)


def scored_runs(
    spec: TaskSpec,
    rescored: Sequence[RescoredResult],
    name: Callable[[RescoredResult], str] = lambda item: item.result.backbone,
) -> TaskBoard:
    """A task's scores by test row, and no line of its table yet: all that a contrast needs.

    Args:
        spec: the task.
        rescored: its results under one recipe, or one of each protocol; at least one.
        name: what a result counts for; by default its backbone.
    """
    names = tuple(sorted({name(item) for item in rescored}))
    rescored = sorted(rescored, key=lambda item: (names.index(name(item)), item.result.seed))
    numbers = [names.index(name(item)) for item in rescored]
    used = ["frozen" if item.result.is_frozen else "fine-tuned" for item in rescored]
    tracks = dict(zip(numbers, used, strict=True))
    seeded = {number for number, item in zip(numbers, rescored, strict=True) if item.result.is_seeded}
    runs = TaskRuns(
        np.array(numbers),
        np.array([[item.result.scores[language] for language in spec.languages] for item in rescored]),
        blocks(spec, [item.items for item in rescored]),
        tuple(tracks[number] for number in range(len(names))),
        frozenset(range(len(names))) - seeded,
    )
    return TaskBoard(spec, (), (), names, runs)


def _task_board(spec: TaskSpec, rescored: Sequence[RescoredResult], backbones: Mapping[str, Backbone]) -> TaskBoard:
    board = scored_runs(spec, rescored)
    names, runs = board.names, board.runs
    comparisons = compare_all(len(names), lambda i, j: contrast([board], {names[i]: 1.0, names[j]: -1.0}))
    places = ranks(comparisons, len(names))
    rows = []
    for number, name in enumerate(names):
        results = tuple(item.result for item in rescored if item.result.backbone == name)
        rows.append(_row(board, backbones[name], results, places[number]))
    pairs = tuple(
        Pair(names[item.first], names[item.second], item, _by_language(board, names[item.first], names[item.second]))
        for item in comparisons
    )
    return TaskBoard(spec, tuple(sorted(rows, key=lambda row: -row.score.value)), pairs, names, runs)


def blocks(spec: TaskSpec, runs: Sequence[Mapping[str, Floats]]) -> tuple[Block, ...]:
    """The test rows behind scores: shared by all languages where they are translations.

    Args:
        spec: the task, with the languages that count.
        runs: of each run, by language, the scores of its documents: ``[documents]``, or ``[documents, 2]`` for ratios.
    """
    groups = [spec.languages] if spec.parallel else [(language,) for language in spec.languages]
    made = []
    for group in groups:
        items = np.array([[run[language] for language in group] for run in runs], dtype=np.float64)
        if items.ndim == 4:  # ratios: [runs, languages, rows, 2]
            above, below = items[..., 0], items[..., 1]
        else:
            above, below = items, np.ones_like(items)
        places = tuple(spec.languages.index(language) for language in group)
        made.append(Block(places, above.transpose(2, 0, 1), below.transpose(2, 0, 1)))
    return tuple(made)


def _row(board: TaskBoard, backbone: Backbone, results: tuple[TaskResult, ...], rank: tuple[int, int]) -> TaskRow:
    spec, name = board.spec, backbone.name
    others = target_languages(spec)
    seen = [language for language in others if language in backbone.pretraining.languages]
    unseen = [language for language in others if language not in seen]

    def mean(languages: Sequence[str]) -> Estimate:
        return contrast([board], {name: 1.0}, languages)

    official = [item.official for result in results for item in result.languages.values()]
    collapsed = tuple(
        f"seed {result.seed}, {language}: {'; '.join(item.record.flags.reasons)}"
        for result in results
        for language, item in result.languages.items()
        if item.record.flags.collapsed
    )
    return TaskRow(
        backbone,
        results,
        rank,
        mean(spec.languages),
        seed_interval([result.mean for result in results]),
        sum(official) / len(official),
        {language: mean([language]) for language in spec.languages},
        transfer_gap([board], name),
        mean(seen) if seen else None,
        mean(unseen) if unseen else None,
        collapsed,
    )


def _by_language(board: TaskBoard, first: str, second: str) -> dict[str, Estimate]:
    return {lang: contrast([board], {first: 1.0, second: -1.0}, [lang]) for lang in board.spec.languages}


def _overall(
    tasks: Mapping[str, TaskBoard], backbones: Mapping[str, Backbone]
) -> tuple[tuple[OverallRow, ...], tuple[Pair, ...]]:
    names = sorted({name for board in tasks.values() for name in board.names})
    whole = [
        name for name in names if len(tasks) == len(TASKS) and all(name in board.names for board in tasks.values())
    ]
    every = [*tasks.values()]
    comparisons = compare_all(len(whole), lambda i, j: contrast(every, {whole[i]: 1.0, whole[j]: -1.0}))
    places = ranks(comparisons, len(whole))
    rows = []
    for name in names:
        task_rows = {task: row for task, board in tasks.items() if (row := board.row(name))}
        if name not in whole:
            rows.append(OverallRow(backbones[name], None, None, None, task_rows))
            continue
        score, gap = contrast(every, {name: 1.0}), transfer_gap(every, name)
        rows.append(OverallRow(backbones[name], places[whole.index(name)], score, gap, task_rows))
    pairs = tuple(Pair(whole[item.first], whole[item.second], item, {}) for item in comparisons)
    return tuple(sorted(rows, key=lambda row: (row.score is None, -(row.score.value if row.score else 0)))), pairs
