"""What lm-eval's evaluation lacks (see `xglue_harness.harness.patches`).

Runs in several threads of a process wait for one another where they would disturb a training. Before any request is
built, our tasks meet the model, for only then is it known how the model is used; when results are saved, their
predictions are put beside them; and lm_eval's command line, once it knows that a task is ours, chooses how torch's
threads wait. Imports nothing heavy: it is imported with the tasks.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.exclusive import one_thread
from xglue_harness.harness.showing import is_task_loaded
from xglue_harness.interrupt import told_how_to_go_on, told_in_one_line
from xglue_harness.threads import is_lm_eval, line, settle

if TYPE_CHECKING:
    from xglue_harness.harness.language_model import Function, LanguageModel
    from xglue_harness.harness.leaf_task import LeafTask

logger = logging.getLogger(__name__)


class _Begun(threading.local):
    """Of each thread: the run that lm-eval has begun, until its tasks are known."""

    hold: ExitStack | None = None
    """The lock that it holds."""
    output: str | None = None
    """Where its results will be written; lm-eval tells no one but its writer of results."""
    batch_size: object = None
    """lm-eval's ``--batch_size``."""


_begun = _Begun()


def beginning(original: Function) -> Function:
    """Of ``simple_evaluate``: it seeds all generators and loads a model before the tasks are known, one run at a time.

    What its options have wrong is said before. An error of ours ends lm_eval's command line with its message alone.
    """

    def simple_evaluate(*args: object, **kwargs: object) -> object:
        with told_in_one_line(), ExitStack() as hold:
            hold.enter_context(one_thread())
            given = inspect.signature(original).bind_partial(*args, **kwargs).arguments
            if _is_any_ours(given.get("tasks")):
                from xglue_harness.harness.early import check

                check(given)
            _begun.hold, _begun.batch_size = hold, given.get("batch_size")
            return original(*args, **kwargs)

    return simple_evaluate


def binding(original: Function) -> Function:
    """Of ``evaluate``: our tasks meet the model, and train alone in the process; runs of other tasks are let alone."""

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        lm = kwargs["lm"] if "lm" in kwargs else args[0] if args else None
        loaded = kwargs["task_dict"] if "task_dict" in kwargs else args[1] if len(args) > 1 else {}
        tasks = list(_ours(loaded)) if is_task_loaded() else []
        hold, output, batch_size = _begun.hold, _begun.output, _begun.batch_size
        _begun.hold = _begun.output = _begun.batch_size = None
        if not tasks:
            if hold is not None:
                hold.close()  # others may go on beside it
            return original(*args, **kwargs)
        with told_how_to_go_on(), one_thread():
            chat = bool(kwargs.get("apply_chat_template"))
            bind_model_to_tasks(lm, tasks, chat=chat, output=output, batch_size=batch_size)
            return original(*args, **kwargs)

    return evaluate


def noting_output(original: Function) -> Function:
    """Of ``EvaluationTracker.__init__``: when a run begins, note where its results will be written."""

    def __init__(self: Any, *args: object, **kwargs: object) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        begin = self.general_config_tracker.log_experiment_args

        def log_experiment_args(*given: object, **named: object) -> None:
            _begun.output = self.output_path or None
            begin(*given, **named)

        self.general_config_tracker.log_experiment_args = log_experiment_args

    return __init__


def saving_predictions(original: Function) -> Function:
    """Of ``EvaluationTracker.save_results_aggregated``: the predictions are put beside the results."""

    def save_results_aggregated(self: Any, results: Any, *args: object, **kwargs: object) -> None:
        original(self, results, *args, **kwargs)
        if is_task_loaded() and self.output_path and getattr(self, "date_id", None):
            from xglue_harness.harness.prediction_files import copy_predictions

            path = Path(self.output_path)
            named = path.parent if path.suffix == ".json" else path / self.general_config_tracker.model_name_sanitized
            copy_predictions(results, named, self.date_id)

    return save_results_aggregated


def settling_threads(original: Function) -> Function:
    """Of ``EvaluatorConfig.process_tasks``: lm-eval's command line knows its tasks, and torch is not loaded yet."""

    def process_tasks(self: Any, *args: object, **kwargs: object) -> object:
        manager = original(self, *args, **kwargs)
        if is_lm_eval() and _is_any_ours(self.tasks):
            settle()
        return manager

    return process_tasks


def _is_any_ours(tasks: object) -> bool:
    """Whether a task of ours is among lm-eval's names of tasks."""
    names = tasks if isinstance(tasks, list | tuple) else ()
    return any(isinstance(name, str) and name.startswith("xglue_") for name in names)


def bind_model_to_tasks(
    lm: Any, tasks: Sequence[LeafTask], *, chat: bool, output: str | None, batch_size: object = None
) -> None:
    """Let tasks of ours meet the model.

    Args:
        lm: lm-eval's model.
        tasks: all of a run.
        chat: whether a chat template is to be applied.
        output: where the results will be written, if anywhere.
        batch_size: lm-eval's ``--batch_size``; 1, its own default, says nothing.

    Raises:
        XGlueError: where the model can't be used as the options want it, was made with arguments that its user did not
            mean, or has weights that are not finite; or where the results can't be written.
    """
    import torch
    from lm_eval.api.model import CachingLM

    from xglue_harness.encoders.checks import check_finite
    from xglue_harness.harness.language_model import is_local
    from xglue_harness.harness.model_arguments import check_strings, made_with
    from xglue_harness.harness.requests import logging_as_lm_eval
    from xglue_harness.training.distributed import World
    from xglue_harness.transfer.preflight import check_outputs

    model: LanguageModel = lm.lm if isinstance(lm, CachingLM) else lm
    with logging_as_lm_eval(World.current()):
        if str(getattr(model, "device", None)) == "cpu":
            logger.info("%s", line(torch.get_num_threads()))
        check_strings(made_with(model).arguments)
        World.current().on_main(lambda: check_outputs([output] if output else []))
        notes = [note for task in tasks for note in task.bind_model(model)]
        protocols = {task.protocol.name for task in tasks}
        if "prompt" in protocols and is_local(model):
            check_finite(model.model, str(getattr(model.model, "name_or_path", "") or "the model"))
        if chat:
            bare = "--apply_chat_template has no effect: an encoder reads the bare texts"
            notes += [f"protocol {name}: {bare}" for name in sorted(protocols - {"prompt"})]
        if batch_size not in (None, 1, "1"):
            batched = {
                "finetune": "a training's is the option batch_size in --metadata, and predictions are",
                "probe": "texts are",
            }
            notes += [
                f"protocol {name}: --batch_size has no effect: {what} batched by the memory there is"
                for name, what in batched.items()
                if name in protocols
            ]
        for note in dict.fromkeys(notes):
            logger.warning("%s", note)


def _ours(loaded: object) -> Iterator[LeafTask]:
    """Tasks of ours among those loaded, as ``TaskManager.load`` returns them, or nested as in older versions."""
    from xglue_harness.harness.leaf_task import LeafTask

    if isinstance(loaded, LeafTask):
        yield loaded
    elif isinstance(loaded, Mapping):
        for value in loaded.values():
            yield from _ours(value)
