"""What lm-eval's evaluation lacks: it is taught here, once lm-eval has loaded it.

Runs in several threads of a process wait for one another where they would disturb a training. Before any request is
built, our tasks meet the model, for only then is it known how the model is used; when results are saved, their
predictions are put beside them; and lm_eval's command line, once it knows that a task is ours, chooses how torch's
threads wait. Imports nothing heavy: it is imported with the tasks.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.exclusive import one_thread
from xglue_harness.interrupt import told_how_to_go_on, told_in_one_line
from xglue_harness.threads import is_lm_eval, line, settle

if TYPE_CHECKING:
    from xglue_harness.harness.task import TransferTask

logger = logging.getLogger(__name__)


_OUTPUTS: list[str] = []
"""Where the results of the run that lm-eval begins will be written; it tells no one but its writer of results."""


def adapt() -> None:
    """Teach ``lm_eval.evaluator.evaluate``, ``EvaluationTracker`` and ``EvaluatorConfig``, where loaded; once."""
    _introduce_models()
    _keep_predictions()
    if is_lm_eval():
        _settle_threads()


def _introduce_models() -> None:
    module: Any = sys.modules.get("lm_eval.evaluator")
    original = getattr(module, "evaluate", None)  # None while the module is being loaded
    if original is None or getattr(original, "_introduces_models", False):
        return

    @functools.wraps(original)
    def evaluate(*args: Any, **kwargs: Any) -> Any:
        lm = kwargs["lm"] if "lm" in kwargs else args[0] if args else None
        loaded = kwargs["task_dict"] if "task_dict" in kwargs else args[1] if len(args) > 1 else {}
        tasks = list(_ours(loaded)) if _is_task_loaded() else []
        if not tasks:
            _begun.__dict__.pop("hold", ExitStack()).close()  # others may go on beside it
            return original(*args, **kwargs)
        with told_how_to_go_on(), one_thread():
            bind_model_to_tasks(lm, tasks, chat=bool(kwargs.get("apply_chat_template")))
            return original(*args, **kwargs)

    evaluate._introduces_models = True  # type: ignore[attr-defined]
    module.evaluate = evaluate
    begin = module.simple_evaluate

    @functools.wraps(begin)
    def simple_evaluate(*args: Any, **kwargs: Any) -> Any:
        with told_in_one_line(), ExitStack() as hold:
            hold.enter_context(one_thread())  # it seeds all generators and loads a model, before the tasks are known
            _begun.hold = hold
            return begin(*args, **kwargs)

    module.simple_evaluate = simple_evaluate


_begun = threading.local()
"""Of each thread: what its run holds until its tasks are known."""


def _is_task_loaded() -> bool:
    """Whether a task of ours can be among those of a run; a run without any is let alone and imports nothing."""
    return "xglue_harness.harness.task" in sys.modules


def _keep_predictions() -> None:
    module = sys.modules.get("lm_eval.loggers.evaluation_tracker")
    tracker = getattr(module, "EvaluationTracker", None)  # None while the module is being loaded
    if tracker is None or getattr(tracker, "_keeps_predictions", False):
        return
    original, make = tracker.save_results_aggregated, tracker.__init__

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        make(self, *args, **kwargs)
        begin = self.general_config_tracker.log_experiment_args

        def log_experiment_args(*given: Any, **named: Any) -> None:
            _OUTPUTS[:] = [self.output_path] if self.output_path else []
            begin(*given, **named)

        self.general_config_tracker.log_experiment_args = log_experiment_args

    @functools.wraps(original)
    def save_results_aggregated(self: Any, results: Any, *args: Any, **kwargs: Any) -> None:
        original(self, results, *args, **kwargs)
        if _is_task_loaded() and self.output_path and getattr(self, "date_id", None):
            from xglue_harness.harness.predictions import copy_predictions

            path = Path(self.output_path)
            named = path.parent if path.suffix == ".json" else path / self.general_config_tracker.model_name_sanitized
            copy_predictions(results, named, self.date_id)

    tracker.__init__, tracker.save_results_aggregated = __init__, save_results_aggregated
    tracker._keeps_predictions = True


def _settle_threads() -> None:
    """The tasks are known before torch is loaded, where lm-eval's command line reads its options."""
    module = sys.modules.get("lm_eval.config.evaluate_config")
    config = getattr(module, "EvaluatorConfig", None)
    original = getattr(config, "process_tasks", None)
    if config is None or original is None or getattr(original, "_settles_threads", False):
        return

    @functools.wraps(original)
    def process_tasks(self: Any, *args: Any, **kwargs: Any) -> Any:
        manager = original(self, *args, **kwargs)
        if any(str(name).startswith("xglue_") for name in self.tasks):
            settle()
        return manager

    process_tasks._settles_threads = True  # type: ignore[attr-defined]
    config.process_tasks = process_tasks


def bind_model_to_tasks(lm: Any, tasks: Sequence[TransferTask], *, chat: bool = False) -> None:
    """Let tasks of ours meet the model.

    Args:
        lm: lm-eval's model.
        tasks: all of a run.
        chat: whether a chat template is to be applied.

    Raises:
        XGlueError: where the model can't be used as the options want it, was made with arguments that its user did not
            mean, or has weights that are not finite; or where the results can't be written.
    """
    import torch
    from lm_eval.api.model import CachingLM

    from xglue_harness.encoders.checks import check_finite
    from xglue_harness.harness.arguments import check_strings
    from xglue_harness.harness.preflight import check_outputs
    from xglue_harness.harness.register import ASKED
    from xglue_harness.harness.requests import logging_as_lm_eval
    from xglue_harness.training.distributed import World

    model = lm.lm if isinstance(lm, CachingLM) else lm
    with logging_as_lm_eval(World.current()):
        if str(getattr(model, "device", None)) == "cpu":
            logger.info("%s", line(torch.get_num_threads()))
        check_strings(ASKED.get(model, {}))
        outputs = [_OUTPUTS.pop() for _ in _OUTPUTS[:]]
        World.current().on_main(lambda: check_outputs(outputs))
        notes = [note for task in tasks for note in task.bind_model(model)]
        protocols = {task.protocol.name for task in tasks}
        if "prompt" in protocols and isinstance(body := getattr(model, "model", None), torch.nn.Module):
            check_finite(body, str(getattr(body, "name_or_path", "") or "the model"))
        if chat and "finetune" in protocols:
            notes.append("protocol finetune: --apply_chat_template has no effect: an encoder reads the bare texts")
        for note in dict.fromkeys(notes):
            logger.warning("%s", note)


def _ours(loaded: Any) -> Iterator[TransferTask]:
    """Tasks of ours among those loaded, as ``TaskManager.load`` returns them, or nested as in older versions."""
    from xglue_harness.harness.task import TransferTask

    if isinstance(loaded, TransferTask):
        yield loaded
    elif isinstance(loaded, Mapping):
        for value in loaded.values():
            yield from _ours(value)
