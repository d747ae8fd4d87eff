"""What fine-tuning adds to frozen encoders, as JSON."""

from __future__ import annotations

from typing import Any

from xglue_harness.leaderboard.ranking.frozen import Gain, Gains
from xglue_harness.leaderboard.site.json_numbers import estimate_json


def gains_json(gains: Gains) -> dict[str, Any]:
    """Every number of a pair of recipes.

    Args:
        gains: of the pair.
    """
    return {
        "recipe": gains.recipe,
        "frozen": gains.frozen,
        "tasks": {
            task: [
                {
                    "backbone": row.backbone.name,
                    "seeds": {"frozen": row.seeds[0], "finetuned": row.seeds[1]},
                    "mean": _gain(row.mean),
                    "languages": {language: _gain(gain) for language, gain in row.languages.items()},
                }
                for row in rows
            ]
            for task, rows in gains.tasks.items()
        },
        "overall": [{"backbone": backbone.name, "mean": _gain(gain)} for backbone, gain in gains.overall],
        "mean_of_backbones": {
            task: {language: _gain(gain) for language, gain in languages.items()}
            for task, languages in gains.by_language.items()
        },
    }


def _gain(gain: Gain) -> dict[str, Any]:
    return {
        "frozen": estimate_json(gain.frozen),
        "finetuned": estimate_json(gain.tuned),
        "gain": estimate_json(gain.gain, test=True),
    }
