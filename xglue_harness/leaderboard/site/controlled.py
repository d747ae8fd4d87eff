"""The page of the controlled track: backbones of one study, which are ranked and contrasted among themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.site.described import backbones_table
from xglue_harness.leaderboard.site.origin import Origin
from xglue_harness.leaderboard.site.overview import families_table, overview, recipe_text
from xglue_harness.leaderboard.site.paths import track_page
from xglue_harness.leaderboard.site.tasks import task_table
from xglue_harness.leaderboard.site.words import TRACKS
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.tracks import LM_VS_MT

PAGE = track_page("controlled")
TITLE = TRACKS["controlled"].capitalize()


def members(validated: ValidatedTree) -> dict[str, Backbone]:
    """Backbones of the track, by name."""
    return {name: backbone for name, backbone in validated.backbones.items() if backbone.track == "controlled"}


def controlled_page(validated: ValidatedTree, boards: Sequence[Board], origin: Origin) -> dict[str, Any]:
    """What the page needs.

    Args:
        validated: a tree with backbones of the track.
        boards: one for each track and recipe.
        origin: when the tree's files came.
    """
    own = members(validated)
    results = tuple(item for item in validated.results if item.result.backbone in own)
    sections = [
        {
            "recipe": board.recipe,
            "text": recipe_text(board),
            "pairs": families_table(board, own) if any(one.matched for one in board.families.values()) else None,
            "table": overview(board),
            "tasks": [task_table(board, task) for task in board.tasks],
        }
        for board in boards
        if board.track == "controlled"
    ]
    described = backbones_table(replace(validated, backbones=own, results=results), origin)
    return {"title": TITLE, "study": LM_VS_MT, "sections": sections, "described": described}
