"""The interval around a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xglue_harness.results.run import Score

CONFIDENCE = 0.95
Z = 1.959964
"""Standard errors on either side of a score that hold `CONFIDENCE`, where errors are normal."""


def bounds(score: Score) -> tuple[float, float] | None:
    """Where the true score lies with 95% confidence, of other test documents; ``None`` without a standard error.

    The normal approximation, cut at 0 and 1. It says nothing of other seeds.
    """
    if score.stderr is None:
        return None
    return max(0.0, score.value - Z * score.stderr), min(1.0, score.value + Z * score.stderr)


def interval(score: Score | None) -> str:
    """`bounds` in words."""
    found = None if score is None else bounds(score)
    return "-" if found is None else f"{found[0]:.4f} to {found[1]:.4f}"
