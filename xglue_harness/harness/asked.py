"""What a run of lm_eval is asked for, read as lm_eval itself reads it, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.recipe import Options


@dataclass(frozen=True)
class RunArguments:
    """The arguments of a run.

    Attributes:
        model: lm_eval's ``--model``.
        model_args: lm_eval's ``--model_args``.
        tasks: lm_eval's ``--tasks``, by name or pattern.
        options: those of the run, as ``--metadata`` and the arguments of the model give them.
        seed: of torch, which the training's is by default.
        device: lm_eval's ``--device``.
    """

    model: str
    model_args: Mapping[str, Any]
    tasks: Sequence[str]
    options: Options
    seed: int
    device: str | None = None


def asked_of_lm_eval(arguments: Sequence[str]) -> RunArguments:
    """Read and check the arguments of ``lm_eval``, by its own parser.

    Args:
        arguments: as on the command line.

    Raises:
        SystemExit: where the parser refuses them.
        RecipeError: where lm_eval does, or for a bad option of ours.
        DataError: where the option ``data`` names nothing that is there.
    """
    import torch

    from xglue_harness.errors import RecipeError
    from xglue_harness.harness.command import parsed
    from xglue_harness.harness.early import check

    try:
        config = parsed(arguments)
    except ValueError as error:
        raise RecipeError(f"lm_eval: {error}") from None
    given = config.tasks.split(",") if isinstance(config.tasks, str) else config.tasks
    names = [name.strip() for part in given for name in str(part).split(",")]
    options = check({"tasks": names, "model_args": config.model_args, "metadata": config.metadata})
    seed = torch.initial_seed() % 2**32 if config.seed[2] is None else config.seed[2]
    return RunArguments(config.model, config.model_args, names, options, seed, config.device)
