"""One result of the leaderboard: a backbone, a recipe, a seed and a task in all of its languages.

``results/<backbone>/<recipe>/<seed>/<task>.json`` holds scores and the record of each language
(`xglue_harness.records.schema.RunRecord`, or `xglue_harness.records.probe_schema.ProbeRecord` of a frozen encoder);
beside it lies ``<task>.<language>.parquet`` with the predictions (`xglue_harness.records.predictions`) without their
scores by class, which are large and not needed to score again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xglue_harness.benchmark import LANGUAGES, TASKS, TaskSpec
from xglue_harness.errors import LeaderboardError
from xglue_harness.records.parts import Share
from xglue_harness.records.predictions import RowPredictions
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.schema import RunRecord
from xglue_harness.scoring import PredictionScores, score_predictions
from xglue_harness.untrusted.problems import problems_of
from xglue_harness.untrusted.text import FROM_LIST, Name, Text
from xglue_harness.untrusted.values import read_json

RESULT_LIMIT = 1_500_000
"""Most bytes of a result's JSON; POS in 18 languages has about 200,000."""

PREDICTIONS_LIMIT = 250_000
"""Most bytes of one language's predictions; the largest, those of NER, have about 50,000."""

TOLERANCE = 1e-9
"""Between a score and the same computed again: only the order of additions may differ."""

ONE_PROTOCOL = "the leaderboard has fine-tuned and frozen encoders; scores by prompting don't compare with theirs"

RECORDS: Mapping[str, type[RunRecord] | type[ProbeRecord]] = {"finetune": RunRecord, "probe": ProbeRecord}
"""The record of each protocol that it takes."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LanguageResult(_Part):
    """One language's scores, from 0 to 1, and where they come from."""

    score: Share = Field(description="by the task's metric")
    stderr: Annotated[float, Field(ge=0)] | None = Field(description="over test documents; null: not defined")
    official: Share = Field(description="by XGLUE's own evaluator")
    record: Annotated[RunRecord | ProbeRecord, Field(discriminator="protocol", description="of the run")]

    @property
    def run(self) -> RunRecord:
        """The record, of a fine-tuning: what shows those never sees a frozen encoder."""
        assert isinstance(self.record, RunRecord)
        return self.record


class Change(_Part):
    """Why a score is not what it was."""

    reason: Text = Field(description="what was wrong with the scores before")
    previous: dict[str, Share] = Field(min_length=1, description="the scores before, by language")


class TaskResult(_Part):
    """A file of results."""

    schema_version: Literal[1] = 1
    backbone: Name
    task: str
    recipe: Name
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    languages: dict[str, LanguageResult] = Field(min_length=1)
    changes: Annotated[tuple[Change, ...], FROM_LIST] = Field(
        (), description="oldest first; empty: the scores never changed"
    )

    @field_validator("task")
    @classmethod
    def _of_the_benchmark(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"no task {task!r}; one of {', '.join(TASKS)}")
        return task

    @model_validator(mode="after")
    def _of_one_protocol(self) -> TaskResult:
        protocols = {item.record.protocol for item in self.languages.values()}
        if len(protocols) > 1:
            raise ValueError(f"languages: the records have different protocols: {', '.join(sorted(protocols))}")
        return self

    @model_validator(mode="after")
    def _of_the_task(self) -> TaskResult:
        for number, change in enumerate(self.changes):
            if unknown := [language for language in change.previous if language not in self.spec.languages]:
                raise ValueError(
                    f"changes.{number}.previous: {', '.join(unknown)}: {self.spec.title} has no such language"
                )
        return self

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return TASKS[self.task]

    @property
    def is_frozen(self) -> bool:
        """Whether the encoder was frozen and probed, not fine-tuned."""
        return any(isinstance(item.record, ProbeRecord) for item in self.languages.values())

    @property
    def is_seeded(self) -> bool:
        """Whether the seed decides anything: it does not where a probe was fitted on all training rows."""
        return any(
            isinstance(item.record, RunRecord) or item.record.probe.train_rows < item.record.probe.train_rows_there
            for item in self.languages.values()
        )

    @property
    def sample(self) -> bool:
        """Whether any of it is of the packaged toy."""
        return any(item.record.sample for item in self.languages.values())

    @property
    def path(self) -> Path:
        """Of its file below ``results``."""
        return Path(self.backbone, self.recipe, str(self.seed), f"{self.task}.json")

    @property
    def scores(self) -> dict[str, float]:
        """Score of each language."""
        return {language: item.score for language, item in self.languages.items()}

    @property
    def mean(self) -> float:
        """The task's score: the mean over its languages."""
        return sum(self.scores.values()) / len(self.languages)


def read_result(path: Path) -> TaskResult:
    """Read and check one file against the schema.

    Raises:
        LeaderboardError: where it is too large, or against the schema; the message names the keys.
    """
    value = read_json(path, RESULT_LIMIT)
    try:
        shared = dict(value.pop("record"))
        protocols = []
        if unknown := [language for language in value["languages"] if language not in LANGUAGES]:
            raise ValueError(f"languages: no {unknown[0]!r} in XGLUE")
        for item in value["languages"].values():
            item["record"] = {**shared, **item["record"]}
            protocols.append(item["record"]["protocol"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LeaderboardError(f"{path}: no result of the leaderboard: {error!r}; make it with 'add'") from None
    if other := [protocol for protocol in protocols if protocol not in (*RECORDS,)]:
        raise LeaderboardError(f"{path}: protocol {other[0]!r}: {ONE_PROTOCOL}")
    for language, item in value["languages"].items():  # one by one, so that a fault in what they share is reported once
        try:
            record = RECORDS[item["record"]["protocol"]]
            item["record"] = record.model_validate(item["record"], strict=True, context="json")
        except ValidationError as error:
            raise LeaderboardError(f"{path}: {problems_of(error, f'languages.{language}.record.')}") from None
    try:
        return TaskResult.model_validate(value, strict=True, context="json")
    except ValidationError as error:
        raise LeaderboardError(f"{path}: {problems_of(error)}") from None


def render(result: TaskResult) -> str:
    """The file of a result; `read_result` reads it back. What the records of all languages share stands there once."""
    value = result.model_dump(mode="json", by_alias=True)
    records = [item["record"] for item in value["languages"].values()]
    shared = {key: content for key, content in records[0].items() if all(other[key] == content for other in records)}
    for item in value["languages"].values():
        item["record"] = {key: content for key, content in item["record"].items() if key not in shared}
    return json.dumps({**value, "record": shared}, ensure_ascii=False, indent=1) + "\n"


def predictions_path(result: Path, language: str) -> Path:
    """Where the predictions of a language lie, beside a result's file."""
    return result.with_name(f"{result.stem}.{language}.parquet")


def without_class_scores(predictions: RowPredictions) -> RowPredictions:
    """Predictions without the scores of the classes."""
    return replace(predictions, header=predictions.header.model_copy(update={"scores": None}), scores=None)


def rescored(predictions: RowPredictions) -> PredictionScores:
    """Score predictions again.

    Raises:
        ValueError: they can not be scored.
    """
    return score_predictions(predictions.spec, predictions.labels, predictions.predictions, predictions.documents)
