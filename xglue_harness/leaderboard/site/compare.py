"""The page that compares two backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.site.figures import script_json
from xglue_harness.leaderboard.site.json_comparisons import comparisons
from xglue_harness.leaderboard.site.paths import compare_path
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES, recipe_in_words


def compare_page(boards: Sequence[Board]) -> dict[str, Any]:
    """What the page needs: every pair of every track and recipe.

    Args:
        boards: one for each track and recipe.
    """
    recipes = [
        {
            "name": board.place,
            "title": recipe_in_words(board.track, board.recipe),
            "json": compare_path(board.place),
            **_shown(comparisons(board)),
        }
        for board in boards
        if any(table.pairs for table in board.tasks.values())
    ]
    titles = {task: spec.title for task, spec in TASKS.items()} | {ALL: "all eight"}
    value = {"recipes": recipes, "titles": titles, "languages": LANGUAGE_NAMES}
    return {"recipes": recipes, "script": script_json(value)}


def _shown(comparisons: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values without what the page does not show: it holds all pairs, and they grow with the square."""
    pairs = [
        {**pair, "tasks": {task: _shown_task(values) for task, values in pair["tasks"].items()}}
        for pair in comparisons["pairs"]
    ]
    return {"backbones": comparisons["backbones"], "pairs": pairs}


def _shown_task(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **values,
        "difference": {**_short(values["difference"]), "seeds": values["difference"]["variance_between_seeds"]},
        "languages": {language: _short(estimate) for language, estimate in values["languages"].items()},
    }


def _short(estimate: Mapping[str, Any]) -> dict[str, float]:
    return {key: round(estimate[key], 5) for key in ("value", "low", "high", "p")}
