"""Register tasks, models and the request type with lm_eval. Idempotent, and called before any task is loaded."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from xglue_harness.harness import evaluator, hf
from xglue_harness.interrupt import told_how_to_go_on
from xglue_harness.resources import tasks_folder

ENCODER_MODEL = "hf-encoder"
ENCODER_TARGET = "xglue_harness.harness.encoder_lm:EncoderLM"

MODEL_ARGUMENTS: set[str] = set()
"""Names of the arguments that the last model was built with.

lm_eval merges ``--model_args`` into the metadata of every task; this tells a model's argument from a misspelt option.
"""

MADE_OF: WeakKeyDictionary[Any, tuple[str, str | None]] = WeakKeyDictionary()
"""Name and revision that models were asked for by; those behind an API or vLLM don't all keep them."""


ASKED: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""The arguments that models were made with, as lm-eval's parser gave them."""


def register() -> None:
    """Make lm_eval know our tasks, ``--model hf-encoder``, the request type, means of tasks; teach its ``hf``.

    Where lm_eval has discovered the model by its entry point already, that registration stands.
    """
    import lm_eval.models  # noqa: F401  (fills the registry; registering before would stop that)
    from lm_eval.api.group import Group
    from lm_eval.api.model import LM
    from lm_eval.api.registry import model_registry
    from lm_eval.tasks.manager import TaskManager

    folder = tasks_folder()  # fails here, before anything of lm_eval is touched, where the installation lost it
    hf.adapt()  # where it is loaded already; else the hook calls again, or the making of a model does
    evaluator.adapt()
    if getattr(TaskManager, "_knows_xglue", False):
        return
    if ENCODER_MODEL not in model_registry:
        model_registry.register(ENCODER_MODEL, target=ENCODER_TARGET)
    LM.xglue_transfer = _transfer
    _watch_models_being_made(LM)
    _average_over_tasks(Group)
    _include_tasks(TaskManager, folder)
    TaskManager._knows_xglue = True


def _transfer(lm: Any, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
    """Answer requests of type ``xglue_transfer``: fine-tune once for each recipe, predict every language."""
    from xglue_harness.harness.requests import answer

    with told_how_to_go_on():
        return answer(lm, requests, disable_tqdm=disable_tqdm)


def run_lm_eval(arguments: list[str]) -> None:
    """lm_eval's own command line with the plug-in registered."""
    import sys

    from lm_eval.__main__ import cli_evaluate

    register()
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()


def _include_tasks(manager: Any, ours: Path) -> None:
    """Let ``TaskManager()`` scan our folder after lm_eval's own and before the user's ``--include_path``."""
    original = manager.__init__

    @functools.wraps(original)
    def __init__(  # noqa: N807
        self: Any,
        verbosity: Any = None,
        include_path: Any = None,
        include_defaults: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if include_defaults:
            given = include_path if isinstance(include_path, (list, tuple)) else [include_path] if include_path else []
            if not any(Path(path).resolve() == ours for path in given):
                include_path = [ours, *given]
        original(self, verbosity, include_path, include_defaults, *args, **kwargs)

    manager.__init__ = __init__


def _watch_models_being_made(lm: Any) -> None:
    """Before a model is made from arguments, note their names (see `MODEL_ARGUMENTS`), and adapt what is loaded."""
    from lm_eval.utils import simple_parse_args_string

    from_string, from_object = lm.create_from_arg_string.__func__, lm.create_from_arg_obj.__func__

    @functools.wraps(from_string)
    def create_from_arg_string(cls: Any, arg_string: str, additional_config: Any = None) -> Any:
        arguments = simple_parse_args_string(arg_string)
        _before_making(arguments)
        return _made(from_string(cls, arg_string, additional_config), arguments)

    @functools.wraps(from_object)
    def create_from_arg_obj(cls: Any, arg_dict: Any, additional_config: Any = None) -> Any:
        _before_making(arg_dict)
        return _made(from_object(cls, arg_dict, additional_config), arg_dict)

    lm.create_from_arg_string = classmethod(create_from_arg_string)
    lm.create_from_arg_obj = classmethod(create_from_arg_obj)


def _made(lm: Any, arguments: Mapping[str, Any]) -> Any:
    ASKED[lm] = dict(arguments)
    if name := arguments.get("pretrained") or arguments.get("model"):
        revision = arguments.get("revision")
        MADE_OF[lm] = str(name), None if revision is None else str(revision)
    return lm


def _before_making(arguments: Mapping[str, Any]) -> None:
    MODEL_ARGUMENTS.clear()
    MODEL_ARGUMENTS.update(arguments)
    hf.adapt()
    evaluator.adapt()


def _average_over_tasks(group: Any) -> None:
    """Let our groups say SAMPLE, and ``xglue_zs`` average the tasks' numbers instead of all leaves."""
    original = group.aggregate

    @functools.wraps(original)
    def aggregate(self: Any, task_metrics: Any) -> Any:
        from xglue_harness.harness.groups import adjust

        return adjust(self, original(self, task_metrics), task_metrics)

    group.aggregate = aggregate
