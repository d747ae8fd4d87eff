"""Which runs are one thing but for seed and language, and what to call them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.schema import RunRecord
from xglue_harness.results.run import Run

_OF_THE_RUN = ("task", "seed", "key", "dev", "compile")
"""Entries of a recipe that do not bear on the weights, or have a place of their own."""


@dataclass(frozen=True)
class Series:
    """Runs of a task with the same backbone and recipe.

    Attributes:
        spec: the task.
        title: the backbone's name, and the protocol and options in which its series of the task differ.
        title_within: the same without the protocol, for tables of one protocol.
        runs: of all seeds and languages, in the order in which they were read.
    """

    spec: TaskSpec
    title: str
    title_within: str
    runs: tuple[Run, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that any run is of, in the task's order."""
        there = {run.language for run in self.runs}
        return tuple(language for language in self.spec.languages if language in there)


def series_of(runs: Sequence[Run]) -> list[Series]:
    """Put runs together, by task in the order of the benchmark.

    Args:
        runs: of any tasks, backbones and recipes.
    """
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    facts: dict[tuple[str, ...], dict[str, Any]] = {}
    for run in runs:
        terms = _terms(run)
        key: tuple[str, ...] = (
            run.task,
            run.split,
            run.protocol,
            run.backbone,
            json.dumps(terms, sort_keys=True, default=str),
        )
        groups[key].append(run)
        facts[key] = terms
    names = short_names([run.backbone for run in runs])
    made = []
    for task in TASKS:
        for key, members in groups.items():
            if key[0] != task:
                continue
            others = [facts[other] for other in groups if other[:-1] == key[:-1]]
            name, words = names[members[0].backbone], _words(facts[key], others)
            within = _title(name, words)
            if len({other[2] for other in groups if (*other[:2], other[3]) == (*key[:2], key[3])}) > 1:
                words = [f"protocol {members[0].protocol}", *words]
            made.append(Series(TASKS[task], _title(name, words), within, tuple(members)))
    return made


def english_first(languages: Iterable[str]) -> list[str]:
    """Languages with the one that was trained on before the others."""
    return sorted(languages, key=lambda language: language != SOURCE_LANGUAGE)


def chosen(runs: Sequence[Run], tasks: Collection[str], backbones: Collection[str] = ()) -> list[Run]:
    """The runs of some tasks and backbones; of all where none is named.

    Args:
        runs: any.
        tasks: short names.
        backbones: names, or the `short_names` of them.

    Raises:
        DataError: for a name that no run has.
    """
    names = short_names([run.backbone for run in runs])
    for what, wanted, there in (
        ("--tasks", tasks, {run.task for run in runs}),
        ("--backbones", backbones, {*names, *names.values()}),
    ):
        if unknown := [name for name in wanted if name not in there]:
            raise DataError(f"{what} {unknown[0]}: no run here is of it; there are {', '.join(sorted(there))}")
    kept = [run for run in runs if not tasks or run.task in tasks]
    return [run for run in kept if not backbones or {run.backbone, names[run.backbone]} & {*backbones}]


def short_names(backbones: Sequence[str]) -> dict[str, str]:
    """The last part of each name or path; all of it where the last parts of two are the same."""
    last = {name: name.rstrip("/").rsplit("/", 1)[-1] for name in backbones}
    counts = [*last.values()]
    return {name: short if counts.count(short) == 1 else name for name, short in last.items()}


def _terms(run: Run) -> dict[str, Any]:
    """All that two runs of a series share beside task and backbone."""
    terms = {name: value for name, value in run.recipe.items() if name not in _OF_THE_RUN}
    record = run.record
    if record is None:
        return terms
    kept = record.predictions
    terms["limited"] = kept is not None and kept.rows != kept.total
    if isinstance(record, PromptRecord):
        return terms | {"weights": record.model.weights_sha256, "revision": record.model.revision}
    train = record.data.files.get(run.spec.path("train", record.source_language))
    terms |= {"weights": record.backbone.encoder_sha256[:8], "training data": train and train[:8]}
    return terms | {"select": record.selection.rule} if isinstance(record, RunRecord) else terms


def _title(name: str, words: Sequence[str]) -> str:
    return f"{name} ({', '.join(words)})" if words else name


def _words(terms: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """The terms that not all of the others share, in words."""
    names = dict.fromkeys(name for other in others for name in other)
    differ = [name for name in names if len({json.dumps(other.get(name), default=str) for other in others}) > 1]
    return [f"{name} {_value(terms.get(name))}" for name in differ]


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
