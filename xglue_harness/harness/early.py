"""What is checked before lm-eval loads a model: the options of a run, which cost nothing to look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lm_eval.utils import simple_parse_args_string

from xglue_harness.data import open_source
from xglue_harness.diagnostics.run import find
from xglue_harness.errors import RecipeError
from xglue_harness.harness.tables import is_wanted
from xglue_harness.recipe import Options, parse_options

OWN_METADATA = frozenset({"version", "xglue_task", "xglue_language", "config_source"})
"""Metadata that the YAML and lm_eval itself put into a task."""


def checked_options(metadata: Mapping[str, Any], model_arguments: Collection[str]) -> Options:
    """The options of a run among the metadata of its tasks.

    Args:
        metadata: of a task: YAML < arguments of the model < ``--metadata``.
        model_arguments: names of the model's arguments, which lm_eval merges into it.

    Raises:
        RecipeError: for an unknown option or one out of range.
    """
    if "batch_size" in model_arguments:
        raise RecipeError(
            "batch_size among the model's arguments would also be taken for the recipe's: give lm_eval's own as "
            "--batch_size (or simple_evaluate(batch_size=...)), and the recipe's in --metadata"
        )
    task = metadata.get("xglue_task")  # not there before the task's YAML is read
    return parse_options(metadata, foreign=OWN_METADATA | {*model_arguments}, task=task)


def check(given: Mapping[str, Any]) -> Options:
    """Look at the arguments of a ``simple_evaluate`` that has a task of ours.

    Args:
        given: the arguments by name.

    Returns:
        The options of the run.

    Raises:
        RecipeError: for an unknown option or one out of range, a diagnostic that there is not, or a bad `XGLUE_TABLE`.
        DataError: where the option ``data`` names nothing that is there.
    """
    is_wanted()
    asked = given.get("model_args") or {}
    arguments = simple_parse_args_string(asked) if isinstance(asked, str) else asked
    manager = given.get("task_manager")
    metadata = {**arguments, **(given.get("metadata") or {})} if manager is None else manager.metadata or {}
    options = checked_options(metadata, arguments)
    open_source(options.data)
    find(options.diagnostics)
    return options
