"""Register tasks, models and the request type with lm_eval. Idempotent, and called before any task is made."""

from __future__ import annotations

from xglue_harness.harness.patches import apply_patches
from xglue_harness.resources import tasks_folder

ENCODER_MODEL = "hf-encoder"
ENCODER_TARGET = "xglue_harness.harness.encoder_lm:EncoderLM"


def register() -> None:
    """Make lm_eval know our tasks, ``--model hf-encoder``, the request type, means of tasks; teach its ``hf``.

    Where lm_eval has discovered the model by its entry point already, that registration stands. What lm_eval has not
    loaded yet is patched later: the hook calls again, or the making of a model does.

    Raises:
        FileNotFoundError: where the installation has lost its tasks; nothing of lm_eval is touched then.
    """
    tasks_folder()
    import lm_eval.api.group
    import lm_eval.api.model
    import lm_eval.models  # fills the registry; registering before would stop that
    import lm_eval.tasks.manager  # noqa: F401
    from lm_eval.api.registry import model_registry

    apply_patches()
    if ENCODER_MODEL not in model_registry:
        model_registry.register(ENCODER_MODEL, target=ENCODER_TARGET)


def run_lm_eval(arguments: list[str]) -> None:
    """lm_eval's own command line with the plug-in registered."""
    import sys

    from lm_eval.__main__ import cli_evaluate

    register()
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()
