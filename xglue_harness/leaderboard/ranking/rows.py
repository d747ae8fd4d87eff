"""The rows of the leaderboard's tables: a backbone on a task, on all of them, and beside another backbone.

Scores are from 0 to 1. Rows know nothing of pages or terminals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from xglue_harness.benchmark import TaskSpec
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.significance import Comparison
from xglue_harness.leaderboard.ranking.statistics import Estimate, Floats, TaskRuns

ALL = "all"
"""Stands for the mean over the eight tasks, where a task's name could stand."""


@dataclass(frozen=True)
class TaskRow:
    """A backbone's line in a task's table.

    Attributes:
        backbone: whose.
        results: one for each seed.
        rank: best and worst rank (`xglue_harness.leaderboard.ranking.significance.ranks`).
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
        difference = self.comparison.difference
        return difference if subtracted == self.second else -difference


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
        weights = np.zeros((len(self.names), len(self.spec.languages)))
        for name, weight in names.items():
            for language in chosen:
                weights[self.names.index(name), self.spec.languages.index(language)] = weight / len(chosen)
        return weights


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
