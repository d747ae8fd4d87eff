"""lm_eval over the sample, without the scan of its own thousands of tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.helpers.runs import QUICK


def evaluate(
    folder: Path, tasks: list[str], metadata: dict[str, Any], *, model: str, **arguments: Any
) -> dict[str, Any]:
    """Results of ``lm_eval --model ... --tasks ...`` for the checkpoint in ``folder``, on the CPU."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.harness.plugin import register
    from xglue_harness.resources import tasks_folder

    register()
    metadata = {**QUICK, **metadata}
    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata)
    arguments = {"log_samples": False, "torch_random_seed": 1234, "device": "cpu", **arguments}
    results: dict[str, Any] = simple_evaluate(
        model=model, model_args={"pretrained": str(folder)}, tasks=tasks, task_manager=manager, **arguments
    )
    return results
