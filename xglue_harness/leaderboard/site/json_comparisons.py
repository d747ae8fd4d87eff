"""The JSON of differences between all pairs of backbones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import ALL, Pair
from xglue_harness.leaderboard.ranking.tables import Compared
from xglue_harness.leaderboard.site.json_numbers import estimate_json, rounded


def comparisons(board: Board) -> dict[str, Any]:
    """All pairs of backbones, for the file and for the page that compares two.

    Args:
        board: of the recipe.
    """
    pairs: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for task, task_pairs in [*((task, table.pairs) for task, table in board.tasks.items()), (ALL, board.pairs)]:
        for pair in task_pairs:
            pairs[pair.first, pair.second][task] = _pair(pair)
    return {
        "tasks": {
            task: {"title": table.spec.title, "languages": table.spec.languages} for task, table in board.tasks.items()
        },
        "backbones": {
            row.backbone.name: {
                "title": row.backbone.title,
                "family": row.backbone.family,
                "scores": {
                    **{task: rounded(task_row.score.value) for task, task_row in row.tasks.items()},
                    **({ALL: rounded(row.score.value)} if row.score else {}),
                },
            }
            for row in board.overall
        },
        "pairs": [
            {"first": first, "second": second, "tasks": by_task} for (first, second), by_task in sorted(pairs.items())
        ],
        "read": "a difference is the first minus the second; p_holm is adjusted for all pairs of that task; p of a "
        "language is not adjusted",
    }


def comparison_json(board: Board, first: str, second: str, lines: Sequence[Compared]) -> dict[str, Any]:
    """Two backbones of a board, as ``leaderboard compare --json`` prints them; shares, the first minus the second."""
    return {
        "recipe": board.recipe,
        "first": first,
        "second": second,
        "tasks": {
            line.task: {
                "scores": {
                    name: estimate_json(score) for name, score in zip((first, second), line.scores, strict=True)
                },
                "difference": estimate_json(line.difference, test=True),
                "p_holm": rounded(line.pair.comparison.p_holm),
                "better": line.pair.winner,
                "bootstrap": [*map(rounded, line.drawn)],
            }
            for line in lines
        },
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "difference": estimate_json(pair.comparison.difference, test=True),
        "p_holm": rounded(pair.comparison.p_holm),
        "better": pair.winner,
        "languages": {language: estimate_json(estimate, test=True) for language, estimate in pair.languages.items()},
    }
