"""The leaderboard itself: checked results, with intervals, ranks and families, one board for each recipe.

Scores are from 0 to 1. A board knows nothing of pages or terminals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, Kind, TaskSpec
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.results import PAPER, TaskResult
from xglue_harness.leaderboard.ranking.statistics import (
    Block,
    Comparison,
    Estimate,
    TaskRuns,
    compare_all,
    estimate,
    ranks,
    seed_interval,
)
from xglue_harness.published.families import FAMILIES, Family

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xglue_harness.leaderboard.validation.validate import ValidatedTree

    Floats = NDArray[np.float64]

ALL = "all"
"""Stands for the mean over the eight tasks, where a task's name could stand."""


@dataclass(frozen=True)
class TaskRow:
    """A backbone's line in a task's table.

    Attributes:
        backbone: whose.
        results: one for each seed.
        rank: best and worst rank (`xglue_harness.leaderboard.ranking.statistics.ranks`).
        score: mean over languages.
        over_seeds: 95% interval over trainings on these very test rows; ``None`` for one seed.
        official: the same mean by XGLUE's own evaluator.
        languages: score of each language.
        gap: English minus the mean of the other languages: the transfer gap.
        seen: mean of the languages but English that the backbone has seen in pretraining; ``None`` where none.
        unseen: the same of those that it has not.
        collapsed: the seeds and languages whose run failed to learn, with the signs.
    """

    backbone: Backbone
    results: tuple[TaskResult, ...]
    rank: tuple[int, int]
    score: Estimate
    over_seeds: tuple[float, float] | None
    official: float
    languages: Mapping[str, Estimate]
    gap: Estimate
    seen: Estimate | None
    unseen: Estimate | None
    collapsed: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two backbones compared.

    Attributes:
        first: name of the one.
        second: name of the other.
        comparison: the first minus the second.
        languages: the same by language, without adjustment for their number; empty for the mean over tasks.
    """

    first: str
    second: str
    comparison: Comparison
    languages: Mapping[str, Estimate]

    @property
    def winner(self) -> str | None:
        """Name of the one that is significantly better; ``None``: tied."""
        winner = self.comparison.winner
        return None if winner is None else self.first if winner == self.comparison.first else self.second

    def minus(self, subtracted: str) -> Estimate:
        """The difference with one of the two taken from the other.

        Args:
            subtracted: name of that one.
        """
        own = self.comparison.difference
        return own if subtracted == self.second else -own


@dataclass(frozen=True)
class TaskBoard:
    """A task's table.

    Attributes:
        spec: the task.
        rows: the backbones that have it, best first.
        pairs: all pairs of them.
        names: of the backbones, as ``runs`` numbers them.
        runs: their scores by test row.
    """

    spec: TaskSpec
    rows: tuple[TaskRow, ...]
    pairs: tuple[Pair, ...]
    names: tuple[str, ...]
    runs: TaskRuns

    def row(self, name: str) -> TaskRow | None:
        """The line of a backbone; ``None`` where it does not have the task."""
        return next((row for row in self.rows if row.backbone.name == name), None)

    def weights(self, names: Mapping[str, float], languages: Iterable[str]) -> Floats:
        """Weights of a contrast: of each backbone, times the mean over some languages."""
        chosen = [*languages]
        found = np.zeros((len(self.names), len(self.spec.languages)))
        for name, weight in names.items():
            for language in chosen:
                found[self.names.index(name), self.spec.languages.index(language)] = weight / len(chosen)
        return found


@dataclass(frozen=True)
class OverallRow:
    """A backbone's line in the table over all eight tasks.

    Attributes:
        backbone: whose.
        rank: best and worst rank; ``None`` where it lacks a task.
        score: mean over the eight tasks; ``None`` where it lacks one.
        gap: mean transfer gap over them; ``None`` where it lacks one.
        tasks: its line in each task that it has.
    """

    backbone: Backbone
    rank: tuple[int, int] | None
    score: Estimate | None
    gap: Estimate | None
    tasks: Mapping[str, TaskRow]

    @property
    def seeds(self) -> int:
        """Seeds behind the score: of the task that has the fewest."""
        return self.seed_counts[0]

    @property
    def seed_counts(self) -> list[int]:
        """How many seeds its tasks have: the different numbers, ascending."""
        return sorted({len(row.results) for row in self.tasks.values()})


@dataclass(frozen=True)
class FamilyScore:
    """The mean of a family's backbones.

    Attributes:
        family: LM, MT or CP.
        members: names of the backbones.
        score: their mean. Its interval is over trainings and test rows, for these backbones, not for others to come.
    """

    family: Family
    members: tuple[str, ...]
    score: Estimate


@dataclass(frozen=True)
class FamilyDifference:
    """A difference that the paper's question asks for.

    Attributes:
        first: a family (``LM``) or a backbone.
        second: what is taken from it.
        difference: the first minus the second.
    """

    first: str
    second: str
    difference: Estimate

    def minus(self, subtracted: str) -> Estimate:
        """The difference with one of the two taken from the other.

        Args:
            subtracted: name of that one.
        """
        return self.difference if subtracted == self.second else -self.difference


@dataclass(frozen=True)
class Families:
    """The families' answer for one task, or for all.

    Attributes:
        scores: of each family that has a backbone here.
        versus: differences between them, each pair once.
        continued: each CP minus the language model that it was continued from, where both are here.
    """

    scores: tuple[FamilyScore, ...]
    versus: tuple[FamilyDifference, ...]
    continued: tuple[FamilyDifference, ...]


@dataclass(frozen=True)
class Board:
    """All results under one recipe.

    Attributes:
        recipe: its name.
        tasks: the tables, by task, in the order of the benchmark; of the tasks that any backbone has.
        overall: a line for each backbone, best first, those that lack a task last.
        pairs: all pairs of the backbones that have every task, over all tasks.
        families: by task, and under `ALL` where all tasks are there.
    """

    recipe: str
    tasks: Mapping[str, TaskBoard]
    overall: tuple[OverallRow, ...]
    pairs: tuple[Pair, ...]
    families: Mapping[str, Families]


def boards(checked: ValidatedTree) -> list[Board]:
    """A board for each recipe, the paper's first."""
    names = dict.fromkeys(found.result.recipe for found in checked.results)
    return [_board(name, checked) for name in sorted(names, key=lambda name: (name != PAPER, name))]


def _board(recipe: str, checked: ValidatedTree) -> Board:
    tasks = {}
    for spec in TASKS.values():
        own = [found for found in checked.results if (found.result.recipe, found.result.task) == (recipe, spec.name)]
        if own:
            tasks[spec.name] = _task_board(spec, own, checked.backbones)
    overall, pairs = _overall(tasks, checked.backbones)
    families = {name: _families([board]) for name, board in tasks.items()}
    if any(row.score for row in overall):
        families[ALL] = _families([*tasks.values()])
    return Board(recipe, tasks, overall, pairs, families)


def _task_board(spec: TaskSpec, own: Sequence[Any], backbones: Mapping[str, Backbone]) -> TaskBoard:
    names = tuple(sorted({found.result.backbone for found in own}))
    own = sorted(own, key=lambda found: (names.index(found.result.backbone), found.result.seed))
    runs = TaskRuns(
        np.array([names.index(found.result.backbone) for found in own]),
        np.array([[found.result.scores[language] for language in spec.languages] for found in own]),
        _blocks(spec, own),
    )
    board = TaskBoard(spec, (), (), names, runs)
    comparisons = compare_all(len(names), lambda i, j: _contrast([board], {names[i]: 1.0, names[j]: -1.0}))
    places = ranks(comparisons, len(names))
    rows = []
    for number, name in enumerate(names):
        results = tuple(found.result for found in own if found.result.backbone == name)
        rows.append(_row(board, backbones[name], results, places[number]))
    pairs = tuple(
        Pair(names[item.first], names[item.second], item, _by_language(board, names[item.first], names[item.second]))
        for item in comparisons
    )
    return TaskBoard(spec, tuple(sorted(rows, key=lambda row: -row.score.value)), pairs, names, runs)


def _blocks(spec: TaskSpec, own: Sequence[Any]) -> tuple[Block, ...]:
    """The test rows behind the scores: shared by all languages where they are translations."""
    groups = [spec.languages] if spec.parallel else [(language,) for language in spec.languages]
    found = []
    for group in groups:
        items = np.array([[run.items[language] for language in group] for run in own], dtype=np.float64)
        if spec.kind is Kind.TAGGING:  # [runs, languages, rows, 2]
            above, below = items[..., 0], items[..., 1]
        else:
            above, below = items, np.ones_like(items)
        places = tuple(spec.languages.index(language) for language in group)
        found.append(Block(places, above.transpose(2, 0, 1), below.transpose(2, 0, 1)))
    return tuple(found)


def _row(board: TaskBoard, backbone: Backbone, results: tuple[TaskResult, ...], rank: tuple[int, int]) -> TaskRow:
    spec, name = board.spec, backbone.name
    others = _targets(spec)
    seen = [language for language in others if language in backbone.pretraining.languages]
    unseen = [language for language in others if language not in seen]

    def mean(languages: Sequence[str]) -> Estimate:
        return _contrast([board], {name: 1.0}, languages)

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
        _gap([board], name),
        mean(seen) if seen else None,
        mean(unseen) if unseen else None,
        collapsed,
    )


def _by_language(board: TaskBoard, first: str, second: str) -> dict[str, Estimate]:
    return {lang: _contrast([board], {first: 1.0, second: -1.0}, [lang]) for lang in board.spec.languages}


def _overall(
    tasks: Mapping[str, TaskBoard], backbones: Mapping[str, Backbone]
) -> tuple[tuple[OverallRow, ...], tuple[Pair, ...]]:
    names = sorted({name for board in tasks.values() for name in board.names})
    whole = [
        name for name in names if len(tasks) == len(TASKS) and all(name in board.names for board in tasks.values())
    ]
    every = [*tasks.values()]
    comparisons = compare_all(len(whole), lambda i, j: _contrast(every, {whole[i]: 1.0, whole[j]: -1.0}))
    places = ranks(comparisons, len(whole))
    rows = []
    for name in names:
        own = {task: row for task, board in tasks.items() if (row := board.row(name))}
        if name not in whole:
            rows.append(OverallRow(backbones[name], None, None, None, own))
            continue
        score, gap = _contrast(every, {name: 1.0}), _gap(every, name)
        rows.append(OverallRow(backbones[name], places[whole.index(name)], score, gap, own))
    pairs = tuple(Pair(whole[item.first], whole[item.second], item, {}) for item in comparisons)
    return tuple(sorted(rows, key=lambda row: (row.score is None, -(row.score.value if row.score else 0)))), pairs


def _targets(spec: TaskSpec) -> list[str]:
    """The languages that are transferred to."""
    return [language for language in spec.languages if language != SOURCE_LANGUAGE]


def _contrast(
    tasks: Sequence[TaskBoard], names: Mapping[str, float], languages: Sequence[str] | None = None
) -> Estimate:
    """A weighted sum over backbones of their mean over tasks and languages (all of them where not given)."""
    share = 1 / len(tasks)
    return estimate([(board.runs, share * board.weights(names, languages or board.spec.languages)) for board in tasks])


def _gap(tasks: Sequence[TaskBoard], name: str) -> Estimate:
    """English minus the mean of the other languages; the mean of that over tasks."""
    parts = []
    for board in tasks:
        english, others = ([SOURCE_LANGUAGE], _targets(board.spec))
        weights = board.weights({name: 1.0}, english) - board.weights({name: 1.0}, others)
        parts.append((board.runs, weights / len(tasks)))
    return estimate(parts)


def _families(tasks: Sequence[TaskBoard]) -> Families:
    """What each family scores on the mean of some tasks, with the backbones that have all of them."""
    names = [name for name in tasks[0].names if all(name in board.names for board in tasks)]
    known = {name: row.backbone for name in names if (row := tasks[0].row(name))}
    members = {family: tuple(name for name in names if known[name].family == family) for family in FAMILIES}
    means = {family: dict.fromkeys(own, 1 / len(own)) for family, own in members.items() if own}
    scores = tuple(FamilyScore(family, members[family], _contrast(tasks, mean)) for family, mean in means.items())
    versus = []
    for first, second in combinations(means, 2):
        weights = {**means[first], **{name: -share for name, share in means[second].items()}}
        versus.append(FamilyDifference(first, second, _contrast(tasks, weights)))
    continued = tuple(
        FamilyDifference(name, base, _contrast(tasks, {name: 1.0, base: -1.0}))
        for name in names
        if (base := known[name].continued_from) in known and base is not None
    )
    return Families(scores, tuple(versus), continued)
