"""Is a frozen encoder's recipe that of a probe of ours, and does its record do what it says?"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from xglue_harness.leaderboard.contributions.recipes import FROZEN, is_standard_probe
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.probing.recipe import ProbeRecipe, features_of
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.untrusted.problems import problems_of

_BESIDE = ("key", "layer", "pooling_by")
"""Entries of a record's recipe that are none of `ProbeRecipe`."""


def probe_problems(record: ProbeRecord, result: TaskResult) -> Iterator[str]:
    """What is wrong with the probe of a result.

    Args:
        record: of any of its languages, which share the probe.
        result: the result.
    """
    claimed, probe, spec = record.recipe, record.probe, result.spec
    try:
        fields = {name: value for name, value in claimed.items() if name not in _BESIDE}
        recipe = ProbeRecipe.model_validate(fields, strict=True)
    except ValidationError as error:
        yield f"recipe: {problems_of(error)}"
        return
    for key, value, expected in (
        ("recipe.task", recipe.task, spec.name),
        ("recipe.features", recipe.features, features_of(spec)),
        ("recipe.key", claimed.get("key"), recipe.key),
        ("recipe.layer", claimed.get("layer"), "last" if probe.layer == probe.layers else probe.layer),
        ("probe.train_rows", probe.train_rows, min(recipe.train_rows, probe.train_rows_there)),
    ):
        if value != expected:
            yield f"{key}: {value}; expected {expected}"
    if probe.layer > probe.layers:
        yield f"probe.layer: {probe.layer}; the last one is {probe.layers}"
    if claimed.get("pooling_by") not in ("checkpoint", "option"):
        yield f"recipe.pooling_by: {claimed.get('pooling_by')}; expected checkpoint or option"
    if result.recipe != FROZEN and not result.recipe.startswith(f"{FROZEN}-"):
        yield f"recipe: {result.recipe!r}; names for frozen encoders are {FROZEN!r} and {FROZEN + '-NAME'!r}"
    if (result.recipe == FROZEN) != is_standard_probe(spec, claimed):
        relation = "not all at their defaults" if result.recipe == FROZEN else "all at their defaults"
        yield f"recipe: {result.recipe!r}, but the options are {relation}, which alone is {FROZEN!r}"
