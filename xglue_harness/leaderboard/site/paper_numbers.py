"""Our numbers beside those of Ji et al. 2024, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.recipes import PAPER
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import TaskRow
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.site.diagnostic_numbers import spectra_of
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.reference import PublishedSystem, Reference

ROUNDING = 0.05
"""The most that a printed average of one decimal may differ from the mean of the numbers behind it."""

MODELS = ("mbart-large-50", "mbart-m2m", "mbart-m2o", "mbart-o2m")
"""The models of Tables 2 and 5."""


def misprinted(reference: Reference) -> Iterator[tuple[str, str]]:
    """Task and system of the printed averages that are not the mean of the printed languages."""
    for system in reference.systems:
        for task in TASKS:
            mean = system.mean(task)
            if mean is not None and abs(mean - system.printed[task]) > ROUNDING + 1e-9:
                yield task, system.name


def paper_json(reference: Reference, boards: Sequence[Board], validated: ValidatedTree) -> dict[str, Any]:
    """The paper's numbers, ours and the differences, in percent; and our norms of singular values.

    Args:
        reference: the paper.
        boards: one for each recipe; the one named `PAPER` counts.
        validated: the tree.
    """
    rows = our_rows(boards)
    backbones = {
        system.name: {task: _task_json(system, task, rows.get(system.name, {}).get(task)) for task in TASKS}
        for system in reference.systems
    }
    norms = {
        name: {
            f"layer {layer}, {role}": _round(norm) for (layer, role), norm in pretrained_norms(validated, name).items()
        }
        for name in MODELS
    }
    return {"unit": "percent; norms are of pretrained weights", "backbones": backbones, "our_norms": norms}


def _task_json(system: PublishedSystem, task: str, row: TaskRow | None) -> dict[str, Any]:
    mean, printed, scores = system.mean(task), system.printed[task], system.scores[task]
    return {
        "table1": printed,
        "mean_of_table4": _round(mean),
        "mean_without_zh": _round(without_chinese(scores)),
        "mean_of_table4_minus_table1": None if mean is None else _round(mean - printed),
        **_numbers(mean, row.score if row else None),
        "languages": {lang: _numbers(value, row.languages[lang] if row else None) for lang, value in scores.items()},
    }


def without_chinese(scores: Mapping[str, float]) -> float:
    """The mean of the languages but Chinese, which the paper's printed average of WPR leaves out."""
    others = [value for language, value in scores.items() if language != "zh"]
    return sum(others) / len(others)


def pretrained_norms(validated: ValidatedTree, name: str) -> dict[tuple[int, str], float]:
    """Norms of a backbone's pretrained weights, from the first results with spectra: they are the same in all."""
    groups: dict[tuple[str, str], list[TaskResult]] = {}
    for item in validated.results:
        if item.result.backbone == name:
            groups.setdefault((item.result.recipe, item.result.task), []).append(item.result)
    spectra = (spectra_of(results, "pretrained") for results in groups.values())
    return {key: norm for key, (norm, _) in next(filter(None, spectra), {}).items()}


def _numbers(printed: float | None, estimate: Estimate | None) -> dict[str, float | None]:
    ours = None if estimate is None else 100 * estimate.value
    difference = None if ours is None or printed is None else ours - printed
    return {"paper": _round(printed), "ours": _round(ours), "difference": _round(difference)}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 8)


def our_rows(boards: Sequence[Board]) -> dict[str, dict[str, TaskRow]]:
    """Our rows under the paper's recipe, by backbone and task."""
    board = next((board for board in boards if board.place == PAPER), None)
    return {row.backbone.name: dict(row.tasks) for row in board.overall} if board else {}
