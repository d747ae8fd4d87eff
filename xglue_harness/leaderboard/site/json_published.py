"""The JSON of published numbers: means of systems, of families, and what continuing on translation changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.site.json_numbers import DIGITS
from xglue_harness.published.paper import CONTINUED
from xglue_harness.published.reference import PublishedSystem, Reference


def published_json(references: Sequence[Reference]) -> dict[str, Any]:
    """Means of published numbers, in percent: of systems, of families, and what continuing on translation changes.

    Args:
        references: the publications.
    """
    by_reference = {}
    for reference in references:
        means = {system.name: _means(system) for system in reference.systems}
        families: dict[str, dict[str, float]] = {}
        for family in dict.fromkeys(system.family for system in reference.systems):
            members = [means[system.name] for system in reference.systems if system.family == family]
            families[family] = {
                task: round(sum(scores[task] for scores in members) / len(members), DIGITS)
                for task in members[0]
                if all(task in scores for scores in members)
            }
        by_reference[reference.name] = {
            "numbers": f"reference/{reference.name}.json",
            "systems": means,
            "families": families,
            "continued": {
                f"{first} minus {second}": {
                    task: round(value - means[second][task], DIGITS) for task, value in means[first].items()
                }
                for first, second in CONTINUED.items()
                if first in means
            },
        }
    return {"unit": "percent", "references": by_reference}


def _means(system: PublishedSystem) -> dict[str, float]:
    values = {**{task: system.shown(task) for task in TASKS}, ALL: system.overall}
    return {task: round(value, DIGITS) for task, value in values.items() if value is not None}
