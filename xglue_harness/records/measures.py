"""What a written record says beside its score: numbers of diagnostics, and what interventions gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def measures(record: Mapping[str, Any]) -> dict[str, tuple[float, float | None]]:
    """Each number and its standard error, by the name that the results table has.

    Args:
        record: of a run, as JSON; an empty one has none.
    """
    diagnosed = (record.get("diagnostics") or {}).get("metrics", {})
    found = {name: (metric["value"], metric["stderr"]) for name, metric in diagnosed.items()}
    return found | gains(record)


def gains(record: Mapping[str, Any]) -> dict[str, tuple[float, float | None]]:
    """What interventions and their controls gain, with standard errors: differences of two scores, in their unit."""
    found = {}
    for name, one in ((record.get("interventions") or {}).get("of", {})).items():
        for part, label in (("change", "gain"), ("control", "control_gain")):
            found[f"{name}_{label}"] = one[part]["gain"], one[part]["gain_stderr"]
    return found
