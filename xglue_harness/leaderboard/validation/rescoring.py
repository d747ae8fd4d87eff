"""Are the predictions those of the record, and do they give its scores? Everything is computed again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xglue_harness.collapse import classes_of
from xglue_harness.errors import DataError, LeaderboardError
from xglue_harness.kinds import kind_of
from xglue_harness.leaderboard.contributions.parquet import check_sizes
from xglue_harness.leaderboard.contributions.results import (
    PREDICTIONS_LIMIT,
    TOLERANCE,
    TaskResult,
    predictions_path,
    rescored,
)
from xglue_harness.records.predictions import RowPredictions, decoded, metadata_of, opened
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.schema import RunRecord
from xglue_harness.untrusted.values import parse_json, read_limited


@dataclass(frozen=True)
class RescoredResult:
    """A result whose predictions give the scores that it states.

    Attributes:
        file: its path.
        result: the result.
        items: score of each document that counts, by language (`xglue_harness.scoring.PredictionScores`):
            ``[documents]``, or ``[documents, 2]`` for ratios.
        labels: hash of gold labels and queries (`gold_sha256`), by language.
    """

    file: Path
    result: TaskResult
    items: dict[str, NDArray[np.float64]]
    labels: dict[str, str]


def rescore(path: Path, result: TaskResult) -> RescoredResult:
    """Read the predictions and compute the scores again.

    Raises:
        LeaderboardError: listing what differs from the result.
    """
    problems: list[str] = []
    items: dict[str, NDArray[np.float64]] = {}
    labels: dict[str, str] = {}
    for language, claimed in result.languages.items():
        place = predictions_path(path, language)
        try:
            predictions = _predictions(place, claimed.record)
        except DataError as error:
            raise LeaderboardError(str(error)) from None
        try:
            scores = rescored(predictions)
        except ValueError as error:
            raise LeaderboardError(f"{place}: can't be scored: {error}") from None
        items[language] = np.asarray(scores.items, dtype=np.float64)  # a quarter of the memory that a list takes
        labels[language] = gold_sha256(predictions.labels, predictions.documents)
        official = scores.official
        for key, stated, again in (
            ("score", claimed.score, scores.score),
            ("stderr", claimed.stderr, scores.stderr),
            ("official", claimed.official, official.official),
            ("record.official", claimed.record.official, official.official),
            ("record.official_seqeval1", claimed.record.official_seqeval1, official.official_seqeval1),
        ):
            if not _equal(stated, again):
                problems.append(f"{path}: languages.{language}.{key}: {stated}; its predictions give {again}")
        if claimed.record.official_rule != official.official_rule:
            problems.append(f"{path}: languages.{language}.record.official_rule: expected {official.official_rule}")
        if len(classes_of(predictions.predictions)) == 1 and not claimed.record.flags.collapsed:
            problems.append(
                f"{path}: languages.{language}.record.flags.collapsed: false, but every prediction is the same class"
            )
    if problems:
        raise LeaderboardError("\n- ".join(problems))
    return RescoredResult(path, result, items, labels)


def gold_sha256(labels: Sequence[Any], documents: Sequence[int]) -> str:
    """Hash (hex) of what scores depend on beside predictions: gold class ids and the document (query) of each row."""
    return hashlib.sha256(json.dumps([[*labels], [*documents]]).encode()).hexdigest()


def _predictions(path: Path, record: RunRecord | ProbeRecord) -> RowPredictions:
    """The predictions that a record tells of.

    Raises:
        LeaderboardError: where they are others, or too large.
        DataError: where they are none.
    """
    data = read_limited(path, PREDICTIONS_LIMIT)
    sha256 = hashlib.sha256(data).hexdigest()
    if record.predictions is None or sha256 != record.predictions.sha256:
        expected = "none" if record.predictions is None else record.predictions.sha256
        raise LeaderboardError(f"{path}: sha256 {sha256}; expected {expected}, as the record says")
    try:
        check_sizes(data)
    except ValueError as error:
        raise LeaderboardError(f"{path}: {error}") from None
    parse_json(metadata_of(opened(data, path)) or b"{}", path)
    predictions = decoded(data, path)
    header = predictions.header
    expected_header = (record.task, record.target_language, "test", record.protocol)
    if (header.task, header.language, header.split, header.protocol) != expected_header:
        raise LeaderboardError(
            f"{path}: {header.task} in {header.language} ({header.split}, {header.protocol}); expected "
            f"{record.task} in {record.target_language} (test, {record.protocol})"
        )
    count = len(predictions.rows)
    if not count == header.rows == record.predictions.total or [*predictions.rows] != [*range(count)]:
        raise LeaderboardError(
            f"{path}: {count} of {header.rows} rows; expected all {record.predictions.total}, each once, in order"
        )
    if not kind_of(predictions.spec).several_rows and [*predictions.documents] != [*predictions.rows]:
        raise LeaderboardError(f"{path}: document: expected the row itself, for {record.task} ranks nothing")
    for label, predicted in zip(predictions.labels, predictions.predictions, strict=True):
        if isinstance(label, list) and len(label) != len(predicted):
            raise LeaderboardError(f"{path}: a sentence of {len(label)} words has {len(predicted)} predictions")
    return predictions


def _equal(claimed: float | None, again: float | None) -> bool:
    if claimed is None or again is None:
        return claimed is again
    return math.isclose(claimed, again, abs_tol=TOLERANCE, rel_tol=0)
