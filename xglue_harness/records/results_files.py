"""lm_eval's results files: our records in them, and the predictions beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        numbers: the task's line of lm_eval's table (``acc,none``, ``acc_stderr,none``, ...), not validated.
    """

    file: Path
    leaf: str
    record: Mapping[str, Any]
    numbers: Mapping[str, Any] = field(default_factory=dict)

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
        files = results_files(path)
        in_path = [run for file in files for run in runs_in(file, _content(file))[0]]
        if not in_path:
            where = f"the {len(files)} files named results*.json (give others by name)" if path.is_dir() else "it"
            raise DataError(
                f"{path}: no record of xglue-harness in {where}; expected results of lm_eval on tasks xglue_*"
            )
        runs += in_path
    return runs


def results_files(path: Path) -> list[Path]:
    """The results files of a folder, ``results*.json`` at any depth; a file itself."""
    return sorted(path.rglob("results*.json")) if path.is_dir() else [path]


def runs_in(file: Path, content: Any) -> tuple[list[WrittenRun], list[str]]:
    """What a results file holds.

    Args:
        file: its path.
        content: the JSON value in it.

    Returns:
        Our runs, and the names of the tasks that have no record of ours.

    Raises:
        DataError: where lm_eval did not write it.
    """
    try:
        configs, numbers = content["configs"], content.get("results") or {}
        records = {leaf: (config.get("metadata") or {}).get("xglue") for leaf, config in configs.items()}
        ours = [WrittenRun(file, leaf, record, numbers.get(leaf) or {}) for leaf, record in records.items() if record]
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{file} is no results file of lm_eval: {error!r}") from error
    return ours, [leaf for leaf, record in records.items() if not record]


def _content(file: Path) -> Any:
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no results file of lm_eval: {error!r}") from error


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


def predictions_file(run: WrittenRun) -> Path:
    """Where predictions lie: beside their results file (``predictions_<leaf>_<date>.parquet``), else in the cache.

    Raises:
        DataError: where they are in neither, or the record names none.
    """
    date = run.file.stem.rpartition("_")[2]
    beside = run.file.with_name(f"predictions_{run.leaf}_{date}.parquet")
    if beside.exists():
        return beside
    reference = run.record.get("predictions")
    if reference is None:
        raise DataError(f"{run}: no predictions are kept with this result; run it again with this version")
    path = saved_predictions(reference["sha256"])
    if not path.exists():
        raise DataError(
            f"{run}: its predictions are neither in {beside} nor in the cache ({path}); keep them beside the results "
            "file, or run it again"
        )
    return path


def predictions_of(run: WrittenRun) -> RowPredictions:
    """The predictions of a run, from where `predictions_file` finds them.

    Raises:
        DataError: where they are missing, not those of the record, or not of all rows.
    """
    sha256, total = recorded_predictions(run)
    path = predictions_file(run)
    predictions = checked_predictions(path, sha256, str(run))
    header = predictions.header
    expected = (run.record["task"], run.record["target_language"], "test", [*range(total)])
    if (header.task, header.language, header.split, [*predictions.rows]) != expected:
        raise DataError(
            f"{path}: {len(predictions.rows)} rows of {header.task} in {header.language} ({header.split}); expected "
            f"the {total} of {expected[0]} in {expected[1]} (test), as {run} says"
        )
    return predictions


def checked_predictions(path: Path, sha256: str, run: str) -> RowPredictions:
    """Predictions that are what a record says by their hash.

    Args:
        path: of the file.
        sha256: that the record names.
        run: whose record it is, for the message.

    Raises:
        DataError: where the file can't be read, or is another.
    """
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if actual != sha256:
        raise DataError(
            f"{path}: sha256 {actual}; expected {sha256}, as {run} says: the file is damaged, edited or another's"
        )
    return read(path)
