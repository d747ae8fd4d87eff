"""Write the lm-eval YAML of all tasks from the one table.

python -m tools.make_tasks            # writes tasks/
python -m tools.make_tasks --check    # exit 1 where tasks/ differs from the table
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xglue_harness.benchmark import ALL_GROUP, TASKS, TaskSpec

FOLDER = Path(__file__).resolve().parents[1] / "tasks"
VERSION = "1.0"
HEADER = "# Written by tools/make_tasks.py from xglue_harness/benchmark.py: change the table, not this file.\n"
BASE_NAME = "_leaf_base"  # lm-eval takes every *.yaml for a task

BASE = f"""{HEADER}class: !function xglue_harness.harness.task.TransferTask
"""


def leaf(spec: TaskSpec, language: str) -> str:
    """YAML of one language."""
    return f"""{HEADER}include: ../{BASE_NAME}
task: {spec.leaf(language)}
dataset_name: {spec.name}.{language}
metadata:
  version: {VERSION}
  xglue_task: {spec.name}
  xglue_language: "{language}"
"""


def group(name: str, members: list[str], metrics: list[str]) -> str:
    """YAML of a group whose number is the plain mean of its members'."""
    tasks = "".join(f"  - {member}\n" for member in members)
    means = "".join(f"  - metric: {metric}\n    weight_by_size: false\n" for metric in metrics)
    return f"{HEADER}group: {name}\ntask:\n{tasks}aggregate_metric_list:\n{means}metadata:\n  version: {VERSION}\n"


def files() -> dict[str, str]:
    """Every file below ``tasks/`` with its content."""
    files = {
        BASE_NAME: BASE,
        f"{ALL_GROUP}.yaml": group(ALL_GROUP, [s.group for s in TASKS.values()], ["score", "official"]),
    }
    for spec in TASKS.values():
        members = [spec.leaf(language) for language in spec.languages]
        files[f"{spec.name}/{spec.group}.yaml"] = group(spec.group, members, [spec.metric, "score", "official"])
        for language in spec.languages:
            files[f"{spec.name}/{spec.leaf(language)}.yaml"] = leaf(spec, language)
    return files


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    wanted = files()
    paths = [
        path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".yml"
    ]  # prompts are written by hand
    present = {str(path.relative_to(FOLDER)): path.read_text() for path in paths}
    differing = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if parser.parse_args().check:
        for name in differing:
            print(f"tasks/{name} differs from the table: run python -m tools.make_tasks")
        return 1 if differing else 0
    for name in differing:
        path = FOLDER / name
        if name not in wanted:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[name])
    print(f"{len(wanted)} files, {len(differing)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
