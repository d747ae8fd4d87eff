"""The contrasts that tables show: weighted sums of scores over backbones, tasks and languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.leaderboard.ranking.rows import TaskBoard
from xglue_harness.leaderboard.ranking.statistics import Estimate, estimate


def target_languages(spec: TaskSpec) -> list[str]:
    """The languages that are transferred to."""
    return [language for language in spec.languages if language != SOURCE_LANGUAGE]


def contrast(
    tasks: Sequence[TaskBoard], names: Mapping[str, float], languages: Sequence[str] | None = None
) -> Estimate:
    """A weighted sum over backbones of their mean over tasks and languages (all of them where not given)."""
    share = 1 / len(tasks)
    return estimate([(board.runs, share * board.weights(names, languages or board.spec.languages)) for board in tasks])


def transfer_gap(tasks: Sequence[TaskBoard], name: str) -> Estimate:
    """English minus the mean of the other languages; the mean of that over tasks."""
    parts = []
    for board in tasks:
        english, others = ([SOURCE_LANGUAGE], target_languages(board.spec))
        weights = board.weights({name: 1.0}, english) - board.weights({name: 1.0}, others)
        parts.append((board.runs, weights / len(tasks)))
    return estimate(parts)
