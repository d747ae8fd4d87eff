"""From the runs that lm_eval wrote to a task's result: complete, and scored from its predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.recipes import FROZEN, is_standard_probe, packaged_recipe
from xglue_harness.leaderboard.contributions.results import (
    RECORDS,
    LanguageResult,
    TaskResult,
    rescored,
    without_class_scores,
)
from xglue_harness.leaderboard.validation.rescoring import RescoredResult, gold_sha256
from xglue_harness.recipe_files import recipe_names
from xglue_harness.records.parts import PredictionsRef
from xglue_harness.records.predictions import encoded
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.results_files import WrittenRun, predictions_of
from xglue_harness.records.schema import RunRecord
from xglue_harness.untrusted.problems import problems_of


@dataclass(frozen=True)
class WrittenResult:
    """A task's result that was just made of lm_eval's files.

    Attributes:
        rescored: the result with the scores of its documents; its file is lm_eval's.
        predictions: the file of predictions of each language, as the tree keeps it.
    """

    rescored: RescoredResult
    predictions: dict[str, bytes]

    @property
    def result(self) -> TaskResult:
        """The result."""
        return self.rescored.result


def written_result(
    name: str, runs: Mapping[str, WrittenRun], recipe: str | None, wanted: Sequence[str] | None = None
) -> WrittenResult:
    """A result out of the runs of its languages, every score computed from the predictions.

    Args:
        name: of the backbone.
        runs: of one task and seed, by language.
        recipe: a name for the recipe, where it is none that comes with us; by default that of the run's own file. Of
            frozen encoders, what follows ``frozen-``.
        wanted: languages; by default all of the task's, which a result of the tree has.

    Raises:
        LeaderboardError: where a language is missing, a record is not ours, or the recipe has no name.
        DataError: where predictions are missing or not those of the record.
    """
    first = next(iter(runs.values()))
    spec = TASKS.get(str(first.record.get("task")))
    if spec is None:
        raise LeaderboardError(f"{first}: no task {first.record.get('task')!r}; one of {', '.join(TASKS)}")
    wanted = spec.languages if wanted is None else wanted
    if missing := [language for language in wanted if language not in runs]:
        raise LeaderboardError(
            f"{first.file}: {spec.title} lacks {', '.join(missing)}; a result has all languages: run --tasks "
            f"{spec.group}"
        )
    languages: dict[str, LanguageResult] = {}
    files: dict[str, bytes] = {}
    items: dict[str, NDArray[np.float64]] = {}
    labels: dict[str, str] = {}
    for language in wanted:
        predictions = without_class_scores(predictions_of(runs[language]))
        files[language] = encoded(predictions)
        scores = rescored(predictions)
        items[language] = np.asarray(scores.items, dtype=np.float64)
        labels[language] = gold_sha256(predictions.labels, predictions.documents)
        try:
            record = RECORDS[str(first.record["protocol"])].model_validate(_without_places(runs[language].record))
        except ValidationError as error:
            raise LeaderboardError(f"{runs[language]}: {problems_of(error)}") from None
        rows = len(predictions.rows)
        kept = PredictionsRef(sha256=hashlib.sha256(files[language]).hexdigest(), rows=rows, total=rows)
        record = record.model_copy(update={"predictions": kept, **asdict(scores.official)})
        languages[language] = LanguageResult(
            score=scores.score, stderr=scores.stderr, official=scores.official.official, record=record
        )
    first_record = languages[wanted[0]].record
    try:
        result = TaskResult(
            backbone=name,
            task=spec.name,
            recipe=_recipe_name(spec, first_record, recipe, first.file),
            seed=first_record.recipe["seed"],
            languages=languages,
        )
    except ValidationError as error:
        raise LeaderboardError(f"{first.file}: {problems_of(error)}") from None
    return WrittenResult(RescoredResult(first.file, result, items, labels), files)


def _recipe_name(spec: TaskSpec, record: RunRecord | ProbeRecord, given: str | None, where: Path) -> str:
    """The recipe's name in the tree: that of one that comes with us, or what it was given."""
    if isinstance(record, ProbeRecord):
        known, ours = FROZEN if is_standard_probe(spec, record.recipe) else None, "not the probe of all defaults"
        name = known or (f"{FROZEN}-{given.removeprefix(f'{FROZEN}-')}" if given else None)
    else:
        known, ours = (
            packaged_recipe(spec, record.recipe, record.selection.rule),
            f"none of {', '.join(recipe_names())}",
        )
        name = known or given or _own_name(record)
    if name is None:
        raise LeaderboardError(
            f"{where}: the recipe of {spec.title} is {ours}: name it with --recipe NAME, the same for all backbones "
            "that are to be compared"
        )
    return name


def _own_name(record: RunRecord) -> str | None:
    """Name of the file of a recipe that a run has followed, unless options beside it have changed it."""
    named = record.named_recipe
    return None if named is None or named.changed else named.name


def _without_places(value: Any) -> Any:
    """A record without the folders of the machine that it was made on: of an absolute path only the last part."""
    if isinstance(value, Mapping):
        return {key: _without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    if isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return PureWindowsPath(value).name or value
    return value
