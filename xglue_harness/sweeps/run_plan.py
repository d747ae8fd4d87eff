"""What a run of lm_eval has before it, by its arguments: trainings, steps, time, memory and room; nothing starts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import filter as matching
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from xglue_harness.benchmark import ALL_GROUP, TASKS
from xglue_harness.data.resolve import VARIABLE
from xglue_harness.errors import RecipeError
from xglue_harness.files import user_path
from xglue_harness.harness.asked import RunArguments
from xglue_harness.recipe import Options
from xglue_harness.store.trainings import Store
from xglue_harness.sweeps.file import leaves_of
from xglue_harness.sweeps.finished import Finished, in_store
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.memory import Memory, memory_of
from xglue_harness.sweeps.plan import Group, plan, size, total
from xglue_harness.sweeps.shapes import config_of

MODELS = ("hf", "hf-encoder")
"""lm_eval's models whose encoder is trained."""


@dataclass(frozen=True)
class TaskPlan:
    """A task of a run.

    Attributes:
        languages: that are scored.
        steps: of its training, about, where long rows of a tagging task give several inputs.
        memory: that its training takes; ``None``: not known.
        group: all else, as in a sweep's plan.
    """

    languages: int
    steps: int
    memory: Memory | None
    group: Group

    @property
    def state(self) -> str:
        """What the store has of the training."""
        return "in the store" if self.group.stored else "goes on" if self.group.begun else "to train"


@dataclass(frozen=True)
class RunPlan:
    """All of a run.

    Attributes:
        tasks: in the benchmark's order.
        device: that it is for; ``None``: not known.
        store: where trainings are kept.
        facts: what estimates went by, a line each.
        results_bytes: of results, about.
        tokens_bytes: of the cache of tokens, about.
    """

    tasks: tuple[TaskPlan, ...]
    device: str | None
    store: str
    facts: tuple[str, ...]
    results_bytes: int
    tokens_bytes: int

    @property
    def minutes_left(self) -> float | None:
        """Of all tasks, one after the other; ``None`` where that of one is not known."""
        return total([task.group.minutes_left for task in self.tasks])

    def words(self) -> Iterator[str]:
        """The totals, a line each."""
        stored = sum(task.group.stored for task in self.tasks)
        left, minutes = len(self.tasks) - stored, self.minutes_left
        time = "time unknown, see the last column" if minutes is None else _duration(minutes)
        yield f"{left} of {len(self.tasks)} trainings to do: {time}, on {self.device or 'a device not named'}"
        if stored:
            same = "taken from it if data and weights are the same, too"
            yield f"in the store by encoder, recipe and rows: {stored}; {same}"
        kept = [task.group.store_bytes for task in self.tasks if not task.group.stored]
        room = total(kept)
        working = max((task.group.working_bytes or 0 for task in self.tasks), default=0)
        yield (
            f"disk: {'unknown' if room is None else size(room)} at most in the store {self.store}, "
            f"{size(working)} beside while it trains"
        )
        yield f"disk: about {size(self.results_bytes)} of results, {size(self.tokens_bytes)} of tokens in the cache"
        yield "memory: + states of weights and optimizer alone; activations come on top, and batches are split to fit"
        yield "subwords: of an epoch; ~ by the bytes of the text, ? official rows times usual subwords of a row"
        yield from self.facts

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        states = [{"state": task.state, **asdict(task)} for task in self.tasks]
        return {**asdict(self), "tasks": states, "minutes_left": self.minutes_left}


def plan_run(
    asked: RunArguments,
    store: Store,
    *,
    device: str | None,
    rates: Mapping[str, float] | None = None,
    share: float,
) -> RunPlan:
    """Plan a run. Only files are read; no encoder is loaded and nothing is fetched.

    Args:
        asked: its arguments.
        store: where its trainings will be.
        device: that is planned for.
        rates: subwords a second in training, as for `xglue_harness.sweeps.estimates.Known`.
        share: of a card's peak that is reached.

    Raises:
        RecipeError: for a task that is not ours, or a model that nothing is trained of.
    """
    jobs = jobs_of(asked)
    finished = [*in_store(store)]
    names = list(dict.fromkeys(job.backbone for job in jobs))
    made = plan(names, jobs, None, store, device=device, rates=rates, share=share)
    by_task = {job.task: job for job in jobs}
    tasks = tuple(_task_plan(group, by_task[group.task], asked.options, finished, device) for group in made.groups)
    return RunPlan(tasks, made.device, str(store.root), made.facts, made.results_bytes, made.tokens_bytes)


def _task_plan(group: Group, job: Job, options: Options, finished: Sequence[Finished], device: str | None) -> TaskPlan:
    # Rounded as the training does it: 100 * 1.1 is a little more than 110.
    steps = math.ceil(round(math.ceil(group.rows / options.batch_size) * options.epochs, 6))
    return TaskPlan(len(job.languages), steps, memory_of(job, group, finished, device), group)


def jobs_of(asked: RunArguments) -> list[Job]:
    """The trainings of a run, one a task, in the benchmark's order.

    Args:
        asked: its arguments.

    Raises:
        RecipeError: for a task that is not ours, or a model that nothing is trained of.
    """
    if asked.model not in MODELS or asked.options.protocol == "prompt":
        given = f"--model {asked.model}" if asked.model not in MODELS else "protocol prompt"
        raise RecipeError(f"{given}: plan is of trainings, and a model that is prompted has none")
    if not isinstance(asked.model_args.get("pretrained"), str):
        raise RecipeError("--model_args names no encoder: write pretrained=..., a Hub id or a folder")
    config = config_of(asked.model_args["pretrained"], asked.model_args.get("revision"))
    if asked.options.protocol == "auto" and config is not None and _is_decoder_only(config):
        raise RecipeError(
            f"{asked.model_args['pretrained']} is a decoder-only model: it is prompted, and has no training"
        )
    wanted = _leaves(asked.tasks)
    metadata = asked.options.model_dump(mode="json", exclude_unset=True, exclude={"seed", "data"})
    seed = asked.seed if asked.options.seed is None else asked.options.seed
    arguments = {key: value for key, value in asked.model_args.items() if key not in metadata}
    name = str(arguments["pretrained"]).rstrip("/").rpartition("/")[2]
    jobs = []
    for task, spec in TASKS.items():
        if languages := tuple(language for language in spec.languages if (task, language) in wanted):
            own = {**metadata, "data": _data(asked.options)}
            jobs.append(Job(name, task, languages, seed, asked.model, arguments, own))
    return jobs


def _is_decoder_only(config: Mapping[str, Any]) -> bool:
    from xglue_harness.encoders.backbone import is_decoder_only

    return "model_type" in config and is_decoder_only(SimpleNamespace(**config))


def _leaves(names: Sequence[str]) -> set[tuple[str, str]]:
    """Pairs of task and language that names or patterns of lm_eval's stand for.

    Raises:
        RecipeError: for one that is not ours.
    """
    groups = [ALL_GROUP, *(spec.group for spec in TASKS.values())]
    known = [*groups, *(spec.leaf(language) for spec in TASKS.values() for language in spec.languages)]
    found: set[tuple[str, str]] = set()
    for name in names:
        matches = matching(known, name)
        if not matches:
            raise RecipeError(
                f"--tasks {name}: no task of ours; plan knows {', '.join(groups)}, and xglue_xnli_zs_de, ..."
            )
        found.update(pair for match in matches for pair in leaves_of(match))
    return found


def _data(options: Options) -> str | dict[str, str]:
    """Where the data are, by an absolute path where they are in a folder."""
    data = options.data or os.environ.get(VARIABLE) or "hub"
    if not isinstance(data, str) or data in ("hub", "sample"):
        return data
    path = user_path(data)
    return str(path.absolute()) if Path(path).exists() else data


def device_here(asked: str | None) -> str:
    """The device to plan for: a card, by its name or as the one that is here; else the CPU, as lm_eval does.

    Args:
        asked: lm_eval's ``--device``, or a card that is not here.
    """
    if asked is not None and not asked.startswith("cuda"):
        return asked
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(asked or "cuda")
    return "cpu"


def _duration(minutes: float) -> str:
    return f"about {minutes:,.1f} minutes" if minutes < 120 else f"about {minutes / 60:,.1f} hours"
