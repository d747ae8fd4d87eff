"""lm_eval's results files: our records in them, and the predictions beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xglue_harness.errors import DataError
from xglue_harness.files import file_sha256, read_json
from xglue_harness.records.prediction_cache import saved_predictions
from xglue_harness.records.predictions import RowPredictions, read


@dataclass(frozen=True)
class WrittenRun:
    """One task and language in a results file.

    Attributes:
        file: the results file.
        leaf: the task's name in it.
        record: what it says of the run (`xglue_harness.records.schema`), not validated.
    """

    file: Path
    leaf: str
    record: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.file}: {self.leaf}"


def read_runs(paths: Sequence[Path]) -> list[WrittenRun]:
    """All of our runs in results files.

    Args:
        paths: results files, or folders that are searched for ``results*.json``.

    Raises:
        DataError: for a file that lm_eval did not write, and for a path without any run of ours.
    """
    runs = []
    for path in paths:
        files = sorted(path.rglob("results*.json")) if path.is_dir() else [path]
        in_path = [run for file in files for run in _runs_in(file)]
        if not in_path:
            where = f"the {len(files)} files named results*.json (give others by name)" if path.is_dir() else "it"
            raise DataError(
                f"{path}: no record of xglue-harness in {where}; expected results of lm_eval on tasks xglue_*"
            )
        runs += in_path
    return runs


def _runs_in(file: Path) -> list[WrittenRun]:
    try:
        configs = read_json(file)["configs"]
        records = {leaf: (config.get("metadata") or {}).get("xglue") for leaf, config in configs.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{file} is no results file of lm_eval: {error!r}") from error
    return [WrittenRun(file, leaf, record) for leaf, record in records.items() if record]


def recorded_predictions(run: WrittenRun) -> tuple[str, int]:
    """Hash and rows of the predictions that a run's record names.

    Raises:
        DataError: where it names none, or not all rows of the test set.
        KeyError: where the record is not ours.
    """
    predictions = run.record["predictions"]
    if predictions is None:
        raise DataError(f"{run}: no predictions are kept with this result; run it again with this version")
    rows, total = predictions["rows"], predictions["total"]
    if rows != total:
        raise DataError(
            f"{run}: predictions of {rows} of {total} rows; expected all of them: run it again without --limit"
        )
    return predictions["sha256"], total


def predictions_of(run: WrittenRun) -> RowPredictions:
    """The predictions of a run, from beside its results file (``predictions_<leaf>_<date>.parquet``) or the cache.

    Raises:
        DataError: where they are missing, not those of the record, or not of all rows.
    """
    sha256, total = recorded_predictions(run)
    date = run.file.stem.rpartition("_")[2]
    beside = run.file.with_name(f"predictions_{run.leaf}_{date}.parquet")
    path = beside if beside.exists() else saved_predictions(sha256)
    if not path.exists():
        raise DataError(
            f"{run}: its predictions are neither in {beside} nor in the cache ({path}); keep them beside the results "
            "file, or run it again"
        )
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if actual != sha256:
        raise DataError(
            f"{path}: sha256 {actual}; expected {sha256}, as {run} says: the file is damaged, edited or another's"
        )
    predictions = read(path)
    header = predictions.header
    expected = (run.record["task"], run.record["target_language"], "test", [*range(total)])
    if (header.task, header.language, header.split, [*predictions.rows]) != expected:
        raise DataError(
            f"{path}: {len(predictions.rows)} rows of {header.task} in {header.language} ({header.split}); expected "
            f"the {total} of {expected[0]} in {expected[1]} (test), as {run} says"
        )
    return predictions
