"""What a sweep has before it: its trainings, what is there already, how long they take and how much room they need.

Only files are read; no encoder is loaded and nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.store.room import epoch_bytes, working_bytes
from xglue_harness.store.trainings import Store
from xglue_harness.sweeps.amounts import Amount, amount_of
from xglue_harness.sweeps.estimates import (
    LEAST_STEP,
    OVERHEAD,
    Duration,
    Known,
    counted,
    duration,
    has_recipe,
    is_of_shape,
    most_epochs_kept,
    options_of,
    same_device,
    settings_of,
    the_device,
)
from xglue_harness.sweeps.finished import Finished, begun_in_store, in_results, in_store
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import FOLDER, Queue
from xglue_harness.sweeps.shapes import Shape, shape_of

_TRAINED_SHARE = 1 / 6
"""Of an embedding table: at most so many of its rows occur in an English training set."""
_HEAPS = 25.0
"""Different subwords in a text are about so many times the square root of its length, counted on UD and NER in XLM-R's
vocabulary; repetitive texts have fewer."""

_RESULT_BYTES = 100
"""Of a document's prediction in a results folder."""
_TOKEN_BYTES = 5
"""Of a subword in the cache of tokens."""


@dataclass(frozen=True)
class Group:
    """The trainings of a backbone on a task, which differ in their seeds.

    Attributes:
        backbone: its name in the file.
        task: short name.
        jobs: how many there are.
        done: of them have their results.
        stored: of the others have their training in the store, by its name, recipe and rows: they only predict.
        begun: of the rest have a checkpoint in the store, from which their training goes on.
        rows: of the training set.
        subwords: of an epoch.
        counted: how these are known: ``records``, ``data``, or ``XGLUE`` (official rows, usual subwords).
        minutes: of a job; ``None``: not known.
        how: they were estimated: ``finished``, ``rate``, ``given``, ``arithmetic`` or ``unknown``.
        why: the same in words.
        minutes_left: of those that are not done.
        gpu_hours_left: the same, times GPUs.
        store_bytes: that all of these trainings take in the store, at most.
        working_bytes: that one takes beside, while it trains.
        trained: numbers that one trains; ``None``: not known.
    """

    backbone: str
    task: str
    jobs: int
    done: int
    stored: int
    begun: int
    rows: int
    subwords: float
    counted: str
    minutes: float | None
    how: str
    why: str
    minutes_left: float | None
    gpu_hours_left: float | None
    store_bytes: int | None
    working_bytes: int | None
    trained: int | None = None


@dataclass(frozen=True)
class Plan:
    """A sweep's plan.

    Attributes:
        groups: in the order of the file's backbones, then of the tasks.
        device: that it is for; ``None``: not known.
        facts: what estimates went by, in words, a line each.
        results_bytes: of results, about.
        tokens_bytes: of the cache of tokens, about.
    """

    groups: tuple[Group, ...]
    device: str | None
    facts: tuple[str, ...]
    results_bytes: int
    tokens_bytes: int

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return sum(group.jobs for group in self.groups)

    @property
    def left(self) -> int:
        """How many of them have no results yet."""
        return self.jobs - sum(group.done for group in self.groups)

    @property
    def minutes_left(self) -> float | None:
        """Of all jobs that have no results yet, one after the other; ``None`` where that of one is not known."""
        return total(group.minutes_left for group in self.groups)

    @property
    def gpu_hours_left(self) -> float | None:
        """The same in GPU hours."""
        return total(group.gpu_hours_left for group in self.groups)

    @property
    def store_bytes(self) -> int | None:
        """That all trainings take in the store, at most."""
        whole = total(group.store_bytes for group in self.groups)
        return None if whole is None else int(whole)

    def words(self) -> list[str]:
        """The totals, and how estimates came about, a line each."""
        minutes, gpus = self.minutes_left, self.gpu_hours_left
        store, working = self.store_bytes, max((group.working_bytes or 0 for group in self.groups), default=0)
        time = "unknown: see the last column" if minutes is None else f"{_hours(minutes)} one after the other"
        cards = f", {gpus:,.1f} GPU hours" if gpus else ""
        kept = "unknown" if store is None else f"{size(store)} at most" if store else "nothing in the end"
        begun = sum(group.begun for group in self.groups)
        return [
            f"{self.jobs} jobs, {self.left} without results: {time}{cards}, on {self.device or 'a device not named'}",
            *([f"trainings that go on from a checkpoint: {begun}; of theirs less is left than this"] if begun else []),
            f"disk: {kept} in the store, {size(working)} beside for each training at work",
            f"disk: about {size(self.results_bytes)} of results, {size(self.tokens_bytes)} of tokens in the cache",
            "minutes: of one job; GPU h: of those without results; stored: trained already, and only to predict",
            "subwords: of an epoch; ~ by the bytes of the text, ? official rows times usual subwords of a row",
            *self.facts,
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        totals = {key: getattr(self, key) for key in ("jobs", "left", "minutes_left", "gpu_hours_left", "store_bytes")}
        return {**asdict(self), **totals}


def size(count: float) -> str:
    """Bytes in a unit that fits."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e3:,.1f} kB"


def subwords(group: Group) -> str:
    """Subwords of a group, in millions where they are many, with a mark where no training has counted them."""
    mark = {"records": "", "data": "~", "XGLUE": "?"}[group.counted]
    return f"{group.subwords / 1e6:,.2f}M{mark}" if group.subwords >= 1e5 else f"{group.subwords:,.0f}{mark}"


def _hours(minutes: float) -> str:
    return f"{minutes:,.1f} minutes" if minutes < 120 else f"{minutes / 60:,.1f} hours"


def total(parts: Iterator[float | None] | Sequence[float | None]) -> float | None:
    """The sum; ``None`` where a part is not known."""
    known = [*parts]
    return None if any(part is None for part in known) else sum(part for part in known if part is not None)


def plan(
    names: Sequence[str],
    jobs: Sequence[Job],
    output: Path | None,
    store: Store,
    *,
    keep_encoders: bool = True,
    device: str | None = None,
    rates: Mapping[str, float] | None = None,
    share: float,
) -> Plan:
    """Plan a sweep.

    Args:
        names: of the backbones, in the order of the file.
        jobs: all of it (`xglue_harness.sweeps.jobs.expand`).
        output: where its results are; ``None``: there are none to look for.
        store: where its trainings will be.
        keep_encoders: whether they stay there once their job is done.
        device: to plan for; by default the one that everything has run on.
        rates: subwords a second in training, as for `Known`.
        share: of a card's peak that is reached.

    Raises:
        SweepError: where trainings have finished on several devices, and none of them was chosen.
    """
    walls, results, stored, begun = _wall_seconds(output), {}, [*in_store(store)], [*begun_in_store(store)]
    for job in jobs:
        if (folder := _results_folder(output, job)) is not None and (item := in_results(folder)) is not None:
            results[job.key] = item
    finished = [*results.values(), *stored]
    device = the_device(finished, device)
    known = Known(finished, device, rates or {}, share, _overhead(walls, results))
    groups, tokens, documents = [], {}, 0
    tasks = [*TASKS]
    ordered = sorted(jobs, key=lambda job: (names.index(job.backbone), tasks.index(job.task), job.seed))
    for (_, task), members in groupby(ordered, key=lambda job: (job.backbone, job.task)):
        seeds = [*members]
        amount = counted(amount_of(task, seeds[0].languages, settings_of(seeds[0])), seeds[0], finished)
        here = [walls[job.key] for job in seeds if job.key in walls and _ran_here(results.get(job.key), device)]
        group = _group(seeds, amount, known, here, _There(output, stored, begun))
        groups.append(group if keep_encoders else _without_encoders(group))
        tokens[seeds[0].model_args["pretrained"], task] = amount.train + amount.dev + amount.test
        documents += amount.test_rows * len(seeds)
    facts: tuple[str, ...] = ()
    if any(job.metadata.get("diagnostics") for job in jobs) and any(group.how != "finished" for group in groups):
        facts = ("diagnostics are in the minutes of finished jobs only",)
    if (card := known.card) is not None and any(group.how == "arithmetic" for group in groups):
        facts = (
            *facts,
            f"arithmetic: 6 operations a parameter and subword at {share:.0%} of the peak (--share), and at least "
            f"{1000 * LEAST_STEP:.0f} ms a step",
            f"peak of {card.name}: {card.source}",
        )
    return Plan(tuple(groups), device, facts, _RESULT_BYTES * documents, int(_TOKEN_BYTES * sum(tokens.values())))


def _results_folder(output: Path | None, job: Job) -> Path | None:
    """Where a job's results are; ``None`` where there are none yet."""
    folder = None if output is None else output / job.folder
    return folder if folder is not None and folder.is_dir() else None


def _wall_seconds(output: Path | None) -> dict[str, float]:
    """How long jobs took that are done, from their claim to their results, by their keys."""
    if output is None or not (output / FOLDER).is_dir():
        return {}
    return {key: float(facts["seconds"]) for key, facts in Queue(output).facts().items() if facts.get("seconds")}


def _ran_here(item: Finished | None, device: str | None) -> bool:
    """Whether a job's training was done by itself, on the device that is planned for."""
    return item is not None and item.trained and device is not None and same_device(item.device, device)


def _overhead(walls: Mapping[str, float], results: Mapping[str, Finished]) -> float:
    """Seconds that finished jobs took beside what their records tell of; `OVERHEAD` where none has finished."""
    beside = [walls[key] - item.seconds for key, item in results.items() if key in walls and item.trained]
    return max(0.0, median(beside)) if beside else OVERHEAD


@dataclass(frozen=True)
class _There:
    """Where results are, and the trainings of the store: those that are finished, and those that were begun."""

    output: Path | None
    stored: Sequence[Finished]
    begun: Sequence[tuple[str, Mapping[str, Any]]]


def _group(seeds: Sequence[Job], amount: Amount, known: Known, walls: Sequence[float], there: _There) -> Group:
    first = seeds[0]
    shape = shape_of(first.model_args["pretrained"], first.model_args.get("revision"))
    alike = [item for item in there.stored if is_of_shape(item, first, amount)]
    done = [job for job in seeds if _results_folder(there.output, job) is not None]
    kept_seeds = {item.recipe.get("seed") for item in alike}
    trained = [job for job in seeds if job not in done and job.seed in kept_seeds]
    begun_seeds = {recipe.get("seed") for encoder, recipe in there.begun if has_recipe(encoder, recipe, first)}
    begun = [job for job in seeds if job not in (*done, *trained) and job.seed in begun_seeds]
    time = duration(first, amount, shape, known, walls)
    left = _seconds_left(time, len(seeds) - len(done) - len(trained), len(trained))
    gpus = 0.0 if (known.device or "").lower().startswith("cpu") else _gpus(first)
    trained_numbers = None if shape is None else _trained_numbers(amount, shape, alike)
    kept, working = _bytes(first, trained_numbers, alike)
    return Group(
        backbone=first.backbone,
        task=first.task,
        jobs=len(seeds),
        done=len(done),
        stored=len(trained),
        begun=len(begun),
        rows=amount.train_rows,
        subwords=amount.train,
        counted=amount.source,
        minutes=None if time.seconds is None else time.seconds / 60,
        how=time.how,
        why=time.why,
        minutes_left=None if left is None else left / 60,
        gpu_hours_left=None if left is None else left * gpus / 3600,
        store_bytes=None if kept is None else kept * len(seeds),
        working_bytes=working,
        trained=trained_numbers,
    )


def _without_encoders(group: Group) -> Group:
    """The same where an encoder goes once its job is done: it takes room while the job runs."""
    if group.store_bytes is None or group.working_bytes is None:
        return group
    each = group.store_bytes // group.jobs
    return replace(group, store_bytes=0, working_bytes=group.working_bytes + each)


def _seconds_left(time: Duration, untrained: int, trained: int) -> float | None:
    if untrained + trained == 0:
        return 0.0
    if time.seconds is None or time.predicting is None:
        return None
    return untrained * time.seconds + trained * time.predicting


def _gpus(job: Job) -> float:
    return 1.0 if job.needs.gpus is None else job.needs.gpus


def _trained_numbers(amount: Amount, shape: Shape, alike: Sequence[Finished]) -> int:
    """How many numbers a training changes: all layers, and the rows of the embedding table that its texts have."""
    rows = min(_HEAPS * amount.train**0.5, _TRAINED_SHARE * shape.embedding / max(1, shape.width))
    known_rows = [item.training.embedding_rows for item in alike if item.training.embedding_rows is not None]
    return int(shape.body + (known_rows[0] if known_rows else rows) * shape.width)


def _bytes(job: Job, numbers: int | None, alike: Sequence[Finished]) -> tuple[int | None, int | None]:
    """What a training takes in the store in the end, at most, and beside while it trains."""
    if numbers is None:
        return None, None
    sizes = [item.bytes for item in alike if item.bytes is not None]
    options = options_of(job)
    known = sizes and options.keep_epochs == "selected"  # others need not have kept all of theirs
    kept = max(sizes) if known else epoch_bytes(numbers) * most_epochs_kept(job)
    return kept, working_bytes(numbers, options.epochs) - epoch_bytes(numbers)
