"""The English rows that a probe is fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xglue_harness.probing.scores import Rows

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.probing.recipe import ProbeRecipe


def training_rows(rows: int, recipe: ProbeRecipe) -> list[int]:
    """Their numbers, ascending: all, or as many as the recipe takes, drawn by its seed.

    Args:
        rows: of the training set.
        recipe: of the probe.
    """
    if rows <= recipe.train_rows:
        return [*range(rows)]
    drawn = np.random.default_rng(recipe.seed).choice(rows, recipe.train_rows, replace=False)
    return sorted(map(int, drawn))


def drawn_rows(spec: TaskSpec, train: Dataset, recipe: ProbeRecipe) -> Rows:
    """The rows themselves.

    Args:
        spec: the task.
        train: English training set.
        recipe: of the probe.
    """
    chosen = [dict(row) for row in train.select(training_rows(len(train), recipe))]
    return Rows(spec, chosen, range(len(chosen)))
