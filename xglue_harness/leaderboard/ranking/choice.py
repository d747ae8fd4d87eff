"""Which boards and tasks a reader wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.ranking.board import Board, boards
from xglue_harness.leaderboard.ranking.frozen import frozen_boards
from xglue_harness.leaderboard.validation.validate import validate


def chosen_boards(tree: Path, recipe: str | None, *, example: bool) -> list[Board]:
    """The boards of a tree, which is checked first; those of frozen encoders come last.

    Args:
        tree: folder of the contributions.
        recipe: name of the one that is wanted; ``None``: all.
        example: the data are the packaged toy.

    Raises:
        LeaderboardError: where the tree is not right, or has no results under that recipe.
    """
    validated = validate(tree, example=example)
    every = [*boards(validated), *frozen_boards(validated)]
    chosen = [board for board in every if recipe in (None, board.recipe)]
    if recipe is not None and not chosen:
        there = ", ".join(board.recipe for board in every) or "none"
        raise LeaderboardError(f"{tree}: no results under the recipe {recipe!r}; there are: {there}")
    return chosen


def chosen_tasks(board: Board, names: Sequence[str]) -> list[str]:
    """Those of the tasks that a board has results on.

    Raises:
        LeaderboardError: for a name that is no task's.
    """
    if unknown := [name for name in names if name not in TASKS]:
        raise LeaderboardError(f"no XGLUE task {', '.join(unknown)}; expected some of {', '.join(TASKS)}")
    return [name for name in names if name in board.tasks]


def incomparable(tree: Path, shown: Sequence[Board], first: str, second: str) -> str:
    """Why two backbones have no common line: who has results, by recipe."""
    lines = [f"{board.place}: {', '.join(row.backbone.name for row in board.overall)}" for board in shown]
    there = "; ".join(lines) or "none yet"
    names = {row.backbone.name: row.backbone.track for board in shown for row in board.overall}
    if len({names[name] for name in (first, second) if name in names}) > 1:
        return (
            f"{tree}: {first} is in the track {names[first]} and {second} in {names[second]}, and tracks are never "
            f"compared: their backbones were pretrained on other data; results there are: {there}"
        )
    return f"{tree}: no recipe has results of both {first} and {second} on a common task; results there are: {there}"
