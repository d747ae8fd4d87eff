"""Evaluations, one after another, in a process of their own: ``python -m tests.helpers.process RUNS`` (JSON)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xglue_harness.hook  # noqa: F401


@dataclass(frozen=True)
class Run:
    """One evaluation: lm-eval's model, the checkpoint, tasks, metadata, the store, and where the results go."""

    model: str
    encoder: str
    store: str
    out: str
    tasks: Sequence[str]
    metadata: dict[str, Any] = field(default_factory=dict)
    limit: int = 31

    def results(self) -> dict[str, Any]:
        """What it wrote."""
        found: dict[str, Any] = json.loads(Path(self.out).read_text())
        return found

    def here(self) -> dict[str, Any] | None:
        """Evaluate in this process; write lm_eval's results, with samples, which only one of several processes has."""
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        from xglue_harness.resources import tasks_folder

        os.environ["XGLUE_STORE"] = self.store
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=self.metadata)
        results = simple_evaluate(
            model=self.model,
            model_args={"pretrained": self.encoder},
            device="cpu",
            tasks=list(self.tasks),
            task_manager=manager,
            torch_random_seed=1234,
            limit=self.limit,
        )
        if results is None:
            return None
        Path(self.out).write_text(json.dumps(results, default=str))
        return self.results()


def command(runs: Sequence[Run]) -> list[str]:
    """Arguments of Python for a process that makes these runs."""
    return ["-m", "tests.helpers.process", json.dumps([asdict(run) for run in runs])]


if __name__ == "__main__":
    for given in json.loads(sys.argv[1]):
        Run(**given).here()
