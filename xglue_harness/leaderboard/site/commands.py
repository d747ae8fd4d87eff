"""The commands that make a backbone's results again."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import ALL_GROUP, TASKS
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.recipes import changed_options
from xglue_harness.leaderboard.ranking.rows import TaskRow


@dataclass(frozen=True)
class Command:
    """A command to run results again.

    Attributes:
        text: to be copied.
        note: what it is for.
    """

    text: str
    note: str


def commands(backbone: Backbone, tasks: Mapping[str, TaskRow]) -> Iterator[Command]:
    """One command for all tasks that have the same options."""
    groups: dict[str, list[str]] = defaultdict(list)
    for task, row in tasks.items():
        record = next(iter(row.results[0].languages.values())).run
        options = changed_options(record.recipe, record.selection.rule, TASKS[task])
        if record.data.source in ("sample", "hub"):
            options = {"data": record.data.source, **options}
        whole = {
            key: int(value) if value == int(value) else value
            for key, value in options.items()
            if isinstance(value, float)
        }
        groups[json.dumps({**options, **whole})].append(task)
    place = "FOLDER" if backbone.hub is None else f"{backbone.hub},revision={backbone.revision}"
    for options_text, names in groups.items():
        seeds = sorted({result.seed for name in names for result in tasks[name].results})
        chosen = ALL_GROUP if len(names) == len(TASKS) else ",".join(TASKS[name].group for name in names)
        parts = ["lm_eval --model hf", f"--model_args pretrained={place}", f"--tasks {chosen}", f"--seed {seeds[0]}"]
        if json.loads(options_text):
            parts.append(f"--metadata {shlex.quote(options_text)}")
        parts.append("--output_path results")
        yield Command(" ".join(parts), _note(backbone, names, seeds, json.loads(options_text)))


def _note(backbone: Backbone, names: Sequence[str], seeds: Sequence[int], options: Mapping[str, Any]) -> str:
    notes = [", ".join(TASKS[name].title for name in names)]
    if len(seeds) > 1:
        notes.append(f"and again with {' and '.join(f'--seed {seed}' for seed in seeds[1:])}")
    if backbone.hub is None:
        notes.append("the checkpoint is not on the Hub: FOLDER is where it lies")
    if "data" not in options:
        notes.append("with XGLUE_DATA set to the official data")
    return "; ".join(notes)
