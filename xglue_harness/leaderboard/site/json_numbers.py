"""Numbers of the site's JSON files."""

from __future__ import annotations

import math
from typing import Any

from xglue_harness.leaderboard.ranking.statistics import LEVEL, Estimate

DIGITS = 10
"""Decimal places of a number: more would differ from machine to machine."""


def estimate_json(estimate: Estimate | None, test: bool = False) -> dict[str, Any] | None:
    """An estimate as JSON.

    Args:
        estimate: or ``None``, which stays that.
        test: whether the hypothesis that it is 0 means anything, so that its p-value is given.
    """
    if estimate is None:
        return None
    values = {
        "value": rounded(estimate.value),
        "low": rounded(estimate.low),
        "high": rounded(estimate.high),
        "level": LEVEL,
        "stderr": rounded(estimate.stderr),
        "df": rounded(estimate.df),
        "variance_between_seeds": estimate.seeds,
    }
    return {**values, "p": rounded(estimate.p)} if test else values


def rounded(value: float) -> float | None:
    """A number as JSON holds it; ``None`` where it is infinite, which JSON has no word for."""
    return round(value, DIGITS) if math.isfinite(value) else None
