"""Results from wherever they lie: lm_eval's files, entries of the store, a leaderboard's tree.

Each number becomes a `Run`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.errors import DataError, LeaderboardError, StoreError
from xglue_harness.files import read_json
from xglue_harness.leaderboard.contributions.results import TaskResult, predictions_path, read_result
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.results_files import (
    WrittenRun,
    predictions_file,
    results_files,
    runs_in,
)
from xglue_harness.records.schema import RunRecord
from xglue_harness.records.training_schema import Training
from xglue_harness.results.run import Record, Run, Score
from xglue_harness.store.trainings import MANIFEST, Entry, Store, read_entry
from xglue_harness.untrusted.problems import problems_of

logger = logging.getLogger(__name__)

_RECORDS: Mapping[str, type[RunRecord] | type[PromptRecord] | type[ProbeRecord]] = {
    "finetune": RunRecord,
    "prompt": PromptRecord,
    "probe": ProbeRecord,
}
_KEY = re.compile("[0-9a-f]{6,32}")
_STDERR = "_stderr"


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """All runs in some places; tasks that are not ours are counted and named in the log.

    Args:
        paths: lm_eval's results files (``results*.json``), or folders of them at any depth; a leaderboard's tree, or a
            result in it; the store or one of its entries, or an entry's key (its first digits).

    Returns:
        The runs in the order of the paths; those that two paths lead to once.

    Raises:
        DataError: for a path that has no results, and for a file that is none; the message names file and key.
        LeaderboardError: for a result of a tree that is against its schema.
        StoreError: for an entry that is damaged.
    """
    from tqdm import tqdm

    files: dict[Path, Path] = {}
    for path in paths:
        there = [*_files(path)]
        if not there:
            raise DataError(
                f"{path}: no results here; expected results*.json of lm_eval (give others by name), a leaderboard's "
                "tree, or entries of the store"
            )
        files |= {file.resolve(): path for file in there}
    runs: list[Run] = []
    others: list[str] = []
    with_runs: set[Path] = set()
    for file, path in tqdm(
        files.items(), unit="file", desc="reading results", disable=None if len(files) > 9 else True
    ):
        found, strange = _read(file)
        with_runs |= {path} if found else set()
        runs += found
        others += [f"{file.name}: {name}" for name in strange]
    if others:
        shown = ", ".join(others[:10]) + f" and {len(others) - 10} more" * (len(others) > 10)
        logger.warning("%d results are not of xglue-harness, and left out: %s", len(others), shown)
    if empty := [path for path in paths if path in files.values() and path not in with_runs]:
        raise DataError(f"{empty[0]}: no record of xglue-harness; expected results of lm_eval on tasks xglue_*")
    return runs


def _files(path: Path) -> Iterator[Path]:
    """The files of a path that `_read` reads."""
    if path.is_dir():
        if (path / MANIFEST).is_file():
            yield path / MANIFEST
        elif (path / "entries").is_dir():
            yield from (folder / MANIFEST for folder in Store(path).folders("entries"))
        elif (path / "backbones").is_dir() and (path / "results").is_dir():
            yield from sorted(path.glob("results/*/*/*/*.json"))
        else:
            yield from results_files(path)
    elif path.exists() or not _KEY.fullmatch(str(path)):
        yield path
    else:
        found = [folder for folder in Store().folders("entries") if folder.name.startswith(str(path))]
        if len(found) != 1:
            raise StoreError(
                f"{path}: no such file, and {len(found)} entries of the store have keys that begin so; expected one: "
                "see `xglue-harness store ls`"
            )
        yield found[0] / MANIFEST


def _read(file: Path) -> tuple[list[Run], list[str]]:
    """The runs of a file, and the names of what in it is not ours."""
    if file.name == MANIFEST:
        return [*_of_entry(read_entry(file.parent))], []
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{file}: can't be read as results: {reason}") from None
    if isinstance(content, Mapping) and "backbone" in content and "languages" in content:
        return [*_of_tree(file, read_result(file))], []
    ours, others = runs_in(file, content)
    return [_of_lm_eval(run) for run in ours], others


# ---------------------------------------------------------------- lm_eval's files


def _of_lm_eval(run: WrittenRun) -> Run:
    record = _record(run)
    try:
        predictions = predictions_file(run)
    except DataError:
        predictions = None
    return Run(
        source=run.file,
        name=run.leaf,
        task=record.task,
        language=record.target_language,
        split="test",
        protocol=record.protocol,
        backbone=record.model.name if isinstance(record, PromptRecord) else record.backbone.name,
        seed=None if isinstance(record, PromptRecord) else _seed(record.recipe, f"{run}: recipe.seed"),
        recipe=_fixed(record.prompt.model_dump() if isinstance(record, PromptRecord) else record.recipe),
        scores=_scores(run),
        official=record.official,
        record=record,
        training=record.training if isinstance(record, RunRecord) else None,
        predictions=predictions,
    )


def _seed(recipe: Mapping[str, Any], where: str) -> int:
    seed = recipe.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DataError(f"{where}: {seed!r}; expected a whole number")
    return seed


def _record(run: WrittenRun) -> Record:
    """The record of a run, checked.

    Raises:
        DataError: naming file, task and key of what is wrong.
    """
    protocol = str(run.record.get("protocol")) if isinstance(run.record, Mapping) else "none"
    if protocol not in _RECORDS:
        raise DataError(f"{run}: protocol: {protocol!r}; expected one of {', '.join(_RECORDS)}")
    try:
        record = _RECORDS[protocol].model_validate(run.record, strict=True, context="json")
    except ValidationError as error:
        raise DataError(f"{run}: {problems_of(error)}") from None
    spec = TASKS.get(record.task)
    if spec is None or record.target_language not in spec.languages:
        raise DataError(f"{run}: task, target_language: XGLUE has no {record.task} in {record.target_language}")
    return record


def _scores(run: WrittenRun) -> Mapping[str, Score]:
    """The numbers of lm_eval's table, by the names of their measures."""
    numbers = {key.partition(",")[0]: value for key, value in run.numbers.items() if "," in key}
    scores = {}
    for name, value in numbers.items():
        if name.endswith(_STDERR) or value == "N/A":
            continue
        stderr = numbers.get(f"{name}{_STDERR}", "N/A")
        scores[name] = Score(
            _number(value, run, name), None if stderr == "N/A" else _number(stderr, run, name + _STDERR)
        )
    return MappingProxyType(scores)


def _number(value: Any, run: WrittenRun, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{run.file}: results.{run.leaf}.{name}: {value!r}; expected a number")
    return float(value)


def _fixed(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(recipe))


# ---------------------------------------------------------------- a tree, and the store


def _of_tree(file: Path, result: TaskResult) -> Iterator[Run]:
    """The languages of a contributed result."""
    for language, item in result.languages.items():
        path = predictions_path(file, language)
        scores = {result.spec.metric: Score(item.score, item.stderr), "score": Score(item.score, item.stderr)}
        if isinstance(item.record, RunRecord) and item.record.diagnostics is not None:
            metrics = item.record.diagnostics.metrics.items()
            scores |= {name: Score(metric.value, metric.stderr) for name, metric in metrics}
        if (item.record.task, item.record.target_language) != (result.task, language):
            raise LeaderboardError(f"{file}: languages.{language}.record: of another task or language")
        yield Run(
            source=file,
            name=language,
            task=result.task,
            language=language,
            split="test",
            protocol=item.record.protocol,
            backbone=result.backbone,
            seed=result.seed,
            recipe=_fixed(item.record.recipe),
            scores=MappingProxyType(scores),
            official=item.official,
            record=item.record,
            training=item.record.training if isinstance(item.record, RunRecord) else None,
            predictions=path if path.exists() else None,
        )


def _of_entry(entry: Entry) -> Iterator[Run]:
    """The dev scores of a training after its last epoch; where it has none, one run of its source language without."""
    file = entry.folder / MANIFEST
    try:
        training = Training.model_validate(entry.training, strict=True, context="json")
    except ValidationError as error:
        raise StoreError(f"{file}: {problems_of(error, 'training.')}") from None
    recipe = entry.identity.get("recipe")
    if not isinstance(recipe, Mapping) or recipe.get("task") not in TASKS:
        raise StoreError(f"{file}: identity.recipe.task: expected one of {', '.join(TASKS)}")
    spec = TASKS[recipe["task"]]
    dev = training.epochs[-1].dev if training.epochs else {}
    for language in [name for name in spec.languages if name in dev] or [SOURCE_LANGUAGE]:
        scores = {spec.metric: Score(dev[language], None)} if language in dev else {}
        yield Run(
            source=file,
            name=entry.key,
            task=spec.name,
            language=language,
            split="dev",
            protocol="finetune",
            backbone=entry.name,
            seed=_seed(recipe, f"{file}: identity.recipe.seed"),
            recipe=_fixed(recipe),
            scores=MappingProxyType(scores),
            official=None,
            record=None,
            training=training,
            predictions=None,
        )
