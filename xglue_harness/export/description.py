"""``xglue_harness.json``: what an exported folder holds, and what has to be known to use it as it was scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import EncoderError
from xglue_harness.files import read_json
from xglue_harness.recipe import Recipe
from xglue_harness.untrusted.problems import problems_of

NAME = "xglue_harness.json"
WEIGHTS = "transfer_model.safetensors"
"""Weights of a folder that only `xglue_harness.export.load` reads. They bear no name that transformers looks for: its
classes would take the encoder from them and draw a head at random."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Source(_Part):
    """The pretrained backbone."""

    name: str
    revision: str | None
    weights_sha256: Sha256
    config_sha256: Sha256
    tokenizer_sha256: Sha256


class Parts(_Part):
    """Names of the modules of the family's own class that our encoder and head lie in."""

    encoder: str
    dense: str | None
    classifier: str


class Description(_Part):
    """All of the file.

    Attributes:
        version: of this format.
        task: short name of the task.
        labels: its classes, in the order of the scores.
        recipe: of the training; pooling, length and precision count here, too.
        epoch: after which the weights were kept.
        averaged: epochs, up to that one, whose weights' mean they are.
        store_key: of the training.
        code: ``TRAINING_VERSION`` of the training.
        batches: which inputs may share a batch.
        backbone: what was trained.
        family_class: where our parts lie in the family's own class; ``None``: the family has none that computes this,
            and the weights lie in `WEIGHTS`.
        tokens_sha256: of what the tokenizer makes of fixed texts.
        versions: of packages when it was written.
    """

    version: Literal[1] = 1
    task: str
    labels: list[str]
    recipe: Recipe
    epoch: float
    averaged: int = 1
    store_key: str
    code: int
    batches: Literal["any length", "one length", "one input"]
    backbone: Source
    family_class: Parts | None
    tokens_sha256: Sha256
    versions: dict[str, str]


def read_description(folder: Path) -> Description:
    """The description in an exported folder.

    Raises:
        EncoderError: where there is none, or it is none of this version.
    """
    path = folder / NAME
    try:
        description = Description.model_validate(read_json(path))
    except OSError as error:
        raise EncoderError(
            f"{path}: {error.strerror}: expected a folder that `xglue-harness store export` wrote"
        ) from None
    except ValidationError as error:
        raise EncoderError(f"{path}: {problems_of(error)}") from None
    except ValueError as error:
        raise EncoderError(f"{path}: is no JSON: {error}") from None
    spec = TASKS.get(description.recipe.task)
    if spec is None or (spec.name, list(spec.labels)) != (description.task, description.labels):
        raise EncoderError(f"{path}: task, labels: not those of a task of this version of xglue-harness")
    return description
