"""Results of jobs as lm_eval writes them, made of the example tree's: no training is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.results import TaskResult, predictions_path, read_result
from xglue_harness.leaderboard.validation.rescoring import RescoredResult, rescore

EXAMPLE = Path(__file__).resolve().parents[1] / "leaderboard" / "example"
DATE = "2026-01-01T00-00-00.000000"


def example_result(backbone: str, task: str, seed: int) -> tuple[Path, TaskResult]:
    """The path of a result of the example tree, and the result."""
    path = EXAMPLE / "results" / backbone / "toy" / str(seed) / f"{task}.json"
    return path, read_result(path)


def example_rescored(task: str) -> list[RescoredResult]:
    """All results of the example tree on a task."""
    return [rescore(path, read_result(path)) for path in sorted((EXAMPLE / "results").glob(f"*/*/*/{task}.json"))]


def write_results(folder: Path, backbone: str, task: str, seed: int) -> None:
    """Write what ``lm_eval --output_path`` would have written for a result of the example tree.

    Args:
        folder: that it writes into.
        backbone: name in the example tree.
        task: short name.
        seed: of the result.
    """
    path, result = example_result(backbone, task, seed)
    inner = folder / backbone
    inner.mkdir(parents=True)
    configs, results = {}, {}
    metric = TASKS[task].metric
    for language, item in result.languages.items():
        leaf = TASKS[task].leaf(language)
        configs[leaf] = {"metadata": {"xglue": item.record.model_dump(mode="json", by_alias=True)}}
        stderr = "N/A" if item.stderr is None else item.stderr
        results[leaf] = {"alias": leaf, f"{metric},none": item.score, f"{metric}_stderr,none": stderr}
        shutil.copyfile(predictions_path(path, language), inner / f"predictions_{leaf}_{DATE}.parquet")
    (inner / f"results_{DATE}.json").write_text(json.dumps({"configs": configs, "results": results}))
