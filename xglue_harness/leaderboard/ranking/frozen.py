"""Frozen encoders: boards of their own, and what fine-tuning adds to each, task by task and language by language.

A gain is the fine-tuned score minus the frozen one of the same backbone. Both were scored on the same test rows, so it
is paired over them; each has trainings of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xglue_harness.benchmark import LANGUAGES, TASKS, TaskSpec
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.recipes import FROZEN, PAPER
from xglue_harness.leaderboard.ranking.board import Board, boards_of, scored_runs
from xglue_harness.leaderboard.ranking.contrasts import contrast
from xglue_harness.leaderboard.ranking.rows import TaskBoard
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.validation.rescoring import RescoredResult
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.tracks import STUDIES, Track

_MARK = " (frozen)"
"""Behind the name of a backbone that is frozen, where both are in one table; no name has a blank."""


def frozen_boards(validated: ValidatedTree) -> list[Board]:
    """A board for each recipe of frozen encoders, that of all defaults first."""
    return boards_of(validated.frozen, validated.backbones, first=FROZEN)


@dataclass(frozen=True)
class Gain:
    """A backbone, or the mean of several, on a task or several: frozen, fine-tuned, and the difference.

    Attributes:
        frozen: score of the frozen encoder.
        tuned: of the fine-tuned one.
        gain: fine-tuned minus frozen, paired over test rows.
    """

    frozen: Estimate
    tuned: Estimate
    gain: Estimate


@dataclass(frozen=True)
class BackboneGain:
    """A backbone on a task.

    Attributes:
        backbone: whose.
        mean: over the task's languages.
        languages: of each language.
        seeds: how many seeds stand behind the frozen and the fine-tuned score.
    """

    backbone: Backbone
    mean: Gain
    languages: Mapping[str, Gain]
    seeds: tuple[int, int]


@dataclass(frozen=True)
class Gains:
    """What fine-tuning by one recipe adds to what one probe finds.

    Attributes:
        track: whose backbones these are.
        recipe: of the fine-tuning.
        frozen: recipe of the probe.
        tasks: by task, the backbones that have both, the largest gain first.
        overall: mean over the eight tasks, of the backbones that have all of them both ways, the largest gain first.
        by_language: by task and language, the mean over the backbones that have both.
    """

    track: Track
    recipe: str
    frozen: str
    tasks: Mapping[str, tuple[BackboneGain, ...]]
    overall: tuple[tuple[Backbone, Gain], ...]
    by_language: Mapping[str, Mapping[str, Gain]]

    @property
    def place(self) -> str:
        """Where its files lie, as a `Board`'s."""
        return self.recipe if self.track == "main" else f"{self.track}/{self.recipe}"

    @property
    def languages(self) -> list[str]:
        """All that any of the tasks has, in the benchmark's order."""
        return [language for language in LANGUAGES if any(language in known for known in self.by_language.values())]


def all_gains(validated: ValidatedTree) -> list[Gains]:
    """Every pair of recipes that some backbone has results of on the same task, by track; none where there is none."""
    found = []
    for track in STUDIES:
        own = {name: backbone for name, backbone in validated.backbones.items() if backbone.track == track}
        tuned, frozen = (
            _by_recipe(item for item in results if item.result.backbone in own)
            for results in (validated.results, validated.frozen)
        )
        probes = sorted(frozen, key=lambda name: (name != FROZEN, name))
        recipes = sorted(tuned, key=lambda name: (name != PAPER, name))
        found += [_gains(track, one, probe, tuned[one], frozen[probe], own) for probe in probes for one in recipes]
    return [gains for gains in found if gains.tasks]


def _by_recipe(results: Iterable[RescoredResult]) -> dict[str, list[RescoredResult]]:
    groups: dict[str, list[RescoredResult]] = {}
    for item in results:
        groups.setdefault(item.result.recipe, []).append(item)
    return groups


def _gains(
    track: Track,
    recipe: str,
    probe: str,
    tuned: Sequence[RescoredResult],
    frozen: Sequence[RescoredResult],
    backbones: Mapping[str, Backbone],
) -> Gains:
    tables: dict[str, TaskBoard] = {}
    both: dict[str, list[str]] = {}
    for spec in TASKS.values():
        results = [item for item in (*tuned, *frozen) if item.result.task == spec.name]
        if not results:
            continue
        board = scored_runs(spec, results, _name)
        if names := [name for name in board.names if f"{name}{_MARK}" in board.names]:
            tables[spec.name], both[spec.name] = board, names
    tasks = {task: _of_task(board, both[task], backbones) for task, board in tables.items()}
    whole = [name for name in backbones if len(tables) == len(TASKS) and all(name in known for known in both.values())]
    every = [*tables.values()]
    overall = sorted(((backbones[name], _gain(every, [name])) for name in whole), key=lambda row: -row[1].gain.value)
    by_language = {
        task: {language: _gain([board], both[task], [language]) for language in board.spec.languages}
        for task, board in tables.items()
    }
    return Gains(track, recipe, probe, tasks, tuple(overall), by_language)


def _name(item: RescoredResult) -> str:
    return f"{item.result.backbone}{_MARK if item.result.is_frozen else ''}"


def _of_task(board: TaskBoard, names: Sequence[str], backbones: Mapping[str, Backbone]) -> tuple[BackboneGain, ...]:
    spec: TaskSpec = board.spec
    rows = []
    for name in names:
        languages = {language: _gain([board], [name], [language]) for language in spec.languages}
        seeds = (_seeds(board, f"{name}{_MARK}"), _seeds(board, name))
        rows.append(BackboneGain(backbones[name], _gain([board], [name]), languages, seeds))
    return tuple(sorted(rows, key=lambda row: -row.mean.gain.value))


def _seeds(board: TaskBoard, name: str) -> int:
    return len(board.runs.runs(board.names.index(name)))


def _gain(boards: Sequence[TaskBoard], names: Sequence[str], languages: Sequence[str] | None = None) -> Gain:
    """The mean over some backbones."""
    share = 1 / len(names)
    tuned = dict.fromkeys(names, share)
    frozen = {f"{name}{_MARK}": share for name in names}
    lost = {name: -weight for name, weight in frozen.items()}
    return Gain(
        contrast(boards, frozen, languages),
        contrast(boards, tuned, languages),
        contrast(boards, {**tuned, **lost}, languages),
    )
