"""What a probe is: everything that decides its numbers beside the encoder, its layer and the data."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.errors import RecipeError

Features = Literal["text", "pair", "cosine", "word"]
"""What the classifier reads: a text's vector; [u, v, |u - v|, u * v] of two texts; their cosine; a word's vector."""

TRAIN_ROWS = 10_000


class ProbeRecipe(BaseModel):
    """A probe, with no default left open; its `key` names it.

    The classifier is scikit-learn's ``LogisticRegression`` on features that are standardised by the English training
    rows; its inverse strength of regularisation ``C`` is ``c`` over the number of features; ``tolerance`` and
    ``max_iterations`` are the solver's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    features: Features
    pooling: Literal["mean", "first", "max", "eos"]
    max_length: int = Field(ge=8, le=131072)
    seed: int = Field(ge=0, lt=2**32)
    train_rows: int = Field(default=TRAIN_ROWS, ge=2)
    """English training rows that the classifier is fitted on; where there are more, the seed draws them."""
    classifier: Literal["logistic_regression"] = "logistic_regression"
    solver: Literal["lbfgs"] = "lbfgs"
    standardised: Literal[True] = True
    c: float = Field(default=1.0, gt=0)
    tolerance: float = Field(default=1e-4, gt=0)
    max_iterations: int = Field(default=1000, ge=1)
    states: Literal["float16"] = "float16"

    @property
    def key(self) -> str:
        """Twelve hex digits of the SHA-256 over all fields."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:12]


def probe_recipe(
    spec: TaskSpec, *, pooling: str, max_length: int, seed: int, train_rows: int = TRAIN_ROWS
) -> ProbeRecipe:
    """The probe of a task.

    Args:
        spec: the task.
        pooling: of a text's subwords: ``mean``, ``first``, ``max`` or ``eos``.
        max_length: most subwords of a text, special ones included.
        seed: draws the training rows where there are more than the recipe takes.
        train_rows: English training rows that the classifier is fitted on.

    Raises:
        RecipeError: for a pooling that there is not, or a number out of range.
    """
    fields: Any = {"pooling": pooling, "max_length": max_length, "seed": seed, "train_rows": train_rows}
    try:
        return ProbeRecipe(task=spec.name, features=features_of(spec), **fields)
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]} {str(one['input'])[:80]}: {one['msg']}" for one in error.errors())
        raise RecipeError(f"a probe of {spec.title} can't be so: {wrong}") from None


def features_of(spec: TaskSpec) -> Features:
    """What the classifier of a task reads.

    XNLI's three classes need more than a similarity; of the other tasks with two texts it is mteb's own measure.
    """
    if spec.kind is Kind.TAGGING:
        return "word"
    if not spec.text_b:
        return "text"
    return "pair" if spec.kind is Kind.PAIR and len(spec.labels) > 2 else "cosine"
