"""Before lm-eval builds any request, our tasks meet the model: only then is it known how the model is used."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xglue_harness.harness.task import TransferTask

logger = logging.getLogger(__name__)


def adapt() -> None:
    """Wrap ``lm_eval.evaluator.evaluate``, where lm-eval has loaded it; once."""
    module = sys.modules.get("lm_eval.evaluator")
    original = getattr(module, "evaluate", None)  # None while the module is being loaded
    if module is None or original is None or getattr(original, "_introduces_models", False):
        return

    @functools.wraps(original)
    def evaluate(*args: Any, **kwargs: Any) -> Any:
        lm = kwargs["lm"] if "lm" in kwargs else args[0] if args else None
        loaded = kwargs["task_dict"] if "task_dict" in kwargs else args[1] if len(args) > 1 else {}
        introduce(lm, loaded)
        return original(*args, **kwargs)

    evaluate._introduces_models = True  # type: ignore[attr-defined]
    module.evaluate = evaluate  # type: ignore[attr-defined]


def introduce(lm: Any, loaded: Mapping[Any, Any]) -> None:
    """Let every task of ours among those loaded meet the model.

    Args:
        lm: lm-eval's model.
        loaded: tasks and groups, as ``TaskManager.load`` returns them, or nested as in older versions.

    Raises:
        XGlueError: where the model can't be used as the options want it.
    """
    tasks = list(_ours(loaded))
    if not tasks:
        return
    from lm_eval.api.model import CachingLM

    from xglue_harness.harness.requests import logging_as_lm_eval
    from xglue_harness.transfer.distributed import World

    model = lm.lm if isinstance(lm, CachingLM) else lm
    with logging_as_lm_eval(World.current()):
        notes = [note for task in tasks for note in task.meet(model)]
        for note in dict.fromkeys(notes):
            logger.warning("%s", note)


def _ours(loaded: Any) -> Iterator[TransferTask]:
    from xglue_harness.harness.task import TransferTask

    if isinstance(loaded, TransferTask):
        yield loaded
    elif isinstance(loaded, Mapping):
        for value in loaded.values():
            yield from _ours(value)
