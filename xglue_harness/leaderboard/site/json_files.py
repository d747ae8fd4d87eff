"""The JSON json_files behind the site: every number that a page shows stands in one of them.

Scores and differences are shares from 0 to 1. Paths of other json_files are relative to the file they stand in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.families import Families, FamilyDifference
from xglue_harness.leaderboard.ranking.rows import OverallRow, TaskRow
from xglue_harness.leaderboard.site.diagnostic_numbers import diagnostics_of
from xglue_harness.leaderboard.site.json_comparisons import comparisons
from xglue_harness.leaderboard.site.json_numbers import estimate_json, rounded
from xglue_harness.leaderboard.site.paths import compare_path, families_path, result_path, summary_path

SEEDS_FROM: Mapping[str, str] = {
    "own": "its own",
    "borrowed": "one seed somewhere in it: the largest variance between seeds of the other backbones",
    "unknown": "none, since no backbone has two seeds: the interval is of test rows only, and too narrow",
}
"""Where the variance between seeds comes from."""

UNIT = "shares from 0 to 1; intervals of 95% over trainings (seeds) and test rows"


def encode(value: Any) -> str:
    """A JSON file's text."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def json_files(boards: Sequence[Board], example: bool) -> Iterator[tuple[str, Any]]:
    """Path, from the site's root, and value of every JSON file that is computed.

    Args:
        boards: one for each recipe.
        example: the data are the packaged toy; every file says so.
    """
    for board in boards:
        head = {"example": example, "track": board.track, "recipe": board.recipe, "unit": UNIT}
        for row in board.overall:
            name = row.backbone.name
            yield summary_path(board.place, name), {**head, **_overall_json(board.place, row)}
            for task, task_row in row.tasks.items():
                yield summary_path(board.place, name, task), {**head, **_summary_json(board.place, task, task_row)}
        yield compare_path(board.place), {**head, **comparisons(board)}
        yield families_path(board.place), {**head, "tasks": _families_json(board.families)}


def shown_json(board: Board, tasks: Sequence[str], example: bool) -> dict[str, Any]:
    """A board as ``leaderboard show --json`` prints it: what the site's summaries say of each backbone.

    Args:
        board: of a recipe.
        tasks: short names; over all tasks where there is none.
        example: the data are the packaged toy.
    """
    rows = [
        *(_summary_json(board.place, task, row) for task in tasks for row in board.tasks[task].rows),
        *(_overall_json(board.place, row) for row in board.overall if not tasks),
    ]
    return {"example": example, "track": board.track, "recipe": board.recipe, "unit": UNIT, "rows": rows}


def _rank(rank: tuple[int, int] | None) -> dict[str, int] | None:
    return None if rank is None else {"best": rank[0], "worst": rank[1]}


def _summary_json(recipe: str, task: str, row: TaskRow) -> dict[str, Any]:
    seen = row.backbone.pretraining.languages
    here = PurePosixPath(summary_path(recipe, row.backbone.name, task)).parent
    return {
        "backbone": row.backbone.name,
        "task": task,
        "metric": TASKS[task].metric,
        "seeds": [result.seed for result in row.results],
        "rank": _rank(row.rank),
        "score": estimate_json(row.score),
        "over_seeds": None if row.over_seeds is None else [*map(rounded, row.over_seeds)],
        "official": rounded(row.official),
        "languages": {
            language: {**(estimate_json(estimate) or {}), "seen": language in seen}
            for language, estimate in row.languages.items()
        },
        "gap": estimate_json(row.gap),
        "seen": estimate_json(row.seen),
        "unseen": estimate_json(row.unseen),
        "means": {str(result.seed): rounded(result.mean) for result in row.results},
        "variance_between_seeds": SEEDS_FROM[row.score.seeds],
        "collapsed": [*row.collapsed],
        "diagnostics": diagnostics_of(row.results) or None,
        "results": [_relative(here, result_path(result)) for result in row.results],
    }


def _overall_json(recipe: str, row: OverallRow) -> dict[str, Any]:
    here = PurePosixPath(summary_path(recipe, row.backbone.name)).parent
    return {
        "backbone": row.backbone.name,
        "tasks": {
            task: {"score": estimate_json(task_row.score), "rank": _rank(task_row.rank), "seeds": len(task_row.results)}
            for task, task_row in row.tasks.items()
        },
        "missing_tasks": [task for task in TASKS if task not in row.tasks],
        "seeds": row.seeds,
        "rank": _rank(row.rank),
        "score": estimate_json(row.score),
        "gap": estimate_json(row.gap),
        "variance_between_seeds": None if row.score is None else SEEDS_FROM[row.score.seeds],
        "summaries": [f"{task}.json" for task in row.tasks],
        "results": [_relative(here, result_path(run)) for task_row in row.tasks.values() for run in task_row.results],
    }


def _relative(folder: PurePosixPath, path: str) -> str:
    return "/".join([".."] * len(folder.parts) + [path])


def _families_json(families: Mapping[str, Families]) -> dict[str, Any]:
    return {
        task: {
            "families": [
                {"family": family.family, "backbones": family.members, "score": estimate_json(family.score)}
                for family in of_task.scores
            ],
            "differences": [_difference(pair) for pair in of_task.versus],
            "continued": [_difference(pair) for pair in of_task.continued],
            "matched": [_difference(pair) for pair in of_task.matched],
        }
        for task, of_task in families.items()
    }


def _difference(pair: FamilyDifference) -> dict[str, Any]:
    return {"first": pair.first, "second": pair.second, "difference": estimate_json(pair.difference, test=True)}
