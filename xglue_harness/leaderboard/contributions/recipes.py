"""Which recipe a result was made with: the paper's, the probe of all defaults, or one with a name of its own.

Names of recipes of frozen encoders begin with `FROZEN`, and no others do: they are never in one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.probing.recipe import probe_recipe
from xglue_harness.recipe import Options, parse_options, resolve
from xglue_harness.recipe_files import recipe_names

PAPER = "paper"
"""Name of the paper's recipe: all defaults."""

FROZEN = "frozen"
"""Name of the probe with all defaults, and beginning of the names of all other probes."""

MAY_DIFFER = frozenset({"task", "seed", "key", "precision", "pooling", "compile", "dev"})
"""Entries of a recipe that two runs of one recipe need not share: what names the run, its hardware, the backbone's own
convention (which its YAML states), and dev sets that are looked at and don't decide."""


def is_paper(spec: TaskSpec, recipe: Mapping[str, Any], rule: str) -> bool:
    """Whether a run followed the paper: every option at its default, the last epoch's weights."""
    return packaged_recipe(spec, recipe, rule) == PAPER


def packaged_recipe(spec: TaskSpec, recipe: Mapping[str, Any], rule: str) -> str | None:
    """Name of the recipe that comes with us and that a run followed in every option; ``None``: of none.

    Args:
        spec: the task.
        recipe: as the run's record has it.
        rule: by which the epoch was selected.
    """
    terms = recipe_terms(recipe)
    return next((name for name in recipe_names() if _packaged_terms(spec.name, name) == (rule, terms)), None)


@cache
def _packaged_terms(task: str, name: str) -> tuple[str, dict[str, Any]]:
    """Rule and entries that all runs by a packaged recipe share."""
    options = parse_options({"recipe": name}, task=task)
    return options.select, recipe_terms(
        resolve(options, TASKS[task], seed=0, precision="fp32", pooling="first").model_dump()
    )


def paper_terms(spec: TaskSpec) -> dict[str, Any]:
    """The entries of the paper's recipe for a task that all runs under its name share."""
    return recipe_terms(resolve(Options(), spec, seed=0, precision="fp32", pooling="first").model_dump())


def recipe_terms(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a recipe that all runs under its name share, task by task."""
    return {key: value for key, value in recipe.items() if key not in MAY_DIFFER}


def is_standard_probe(spec: TaskSpec, recipe: Mapping[str, Any]) -> bool:
    """Whether a frozen encoder was probed with every option at its default."""
    return probe_terms(recipe) == standard_probe_terms(spec)


def standard_probe_terms(spec: TaskSpec) -> dict[str, Any]:
    """The entries of the recipe of a probe with all defaults that all of them share."""
    options = Options()
    ways: Any = {"max_length": options.max_length, "train_rows": options.probe_rows}
    recipe = probe_recipe(spec, pooling="mean", seed=0, **ways)
    return probe_terms({**recipe.model_dump(), "layer": "last", "pooling_by": "checkpoint"})


def probe_terms(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a probe's recipe that all under its name share, task by task; ``pooling_by``: who chose that."""
    return {key: value for key, value in recipe.items() if key not in ("task", "seed", "key", "pooling")}


def changed_options(recipe: Mapping[str, Any], rule: str, spec: TaskSpec) -> dict[str, Any]:
    """The options of a run that are not at their defaults.

    Args:
        recipe: as its record has it.
        rule: by which the epoch was selected.
        spec: the task.
    """
    defaults, actual = paper_terms(spec), recipe_terms(recipe)
    names = Options.model_fields
    changed = {key: actual[key] for key in defaults if key in names and key in actual and actual[key] != defaults[key]}
    return changed if rule == Options().select else {**changed, "select": rule}
