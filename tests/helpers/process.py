"""One evaluation in a process: ``python -m tests.helpers.process MODEL ENCODER TASKS METADATA OUT LIMIT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import xglue_harness.hook  # noqa: F401


def main(model: str, encoder: str, tasks: str, metadata: str, out: str, limit: str) -> None:
    """Write lm_eval's results, with samples, to ``out``; only one of several processes has them."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.harness.register import tasks_folder

    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=json.loads(metadata))
    results = simple_evaluate(
        model=model,
        model_args={"pretrained": encoder},
        device="cpu",
        tasks=tasks.split(","),
        task_manager=manager,
        torch_random_seed=1234,
        limit=int(limit),
    )
    if results is not None:
        Path(out).write_text(json.dumps(results, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
