"""From lm_eval's results to a folder in XGLUE's submission format, complete or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.folder import file_sha256
from xglue_harness.data.prepare import check_new
from xglue_harness.errors import DataError
from xglue_harness.results.predictions import kept, read
from xglue_harness.submission.files import relative_path, render


@dataclass(frozen=True)
class Summary:
    """What was exported.

    Attributes:
        folder: the submission.
        protocol: ``finetune`` or ``prompt``.
        model: name of the encoder or the language model.
        sample: whether the predictions are of the packaged toy, of which no submission can be made.
        files: the prediction files, relative to the folder.
        missing: those that a full submission of the eight tasks has beside them.
    """

    folder: str
    protocol: str
    model: str
    sample: bool
    files: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    """What a record in a results file says of one task and language.

    Attributes:
        file: the results file.
        leaf: the task's name there.
        spec: the task.
        language: the language that was predicted.
        protocol: ``finetune`` or ``prompt``.
        model: name of the encoder or the language model.
        sample: whether the data are the packaged toy.
        whose: what all parts of a submission must have in common, in words.
        sha256: of the kept predictions.
        total: rows of the test set.
    """

    file: Path
    leaf: str
    spec: TaskSpec
    language: str
    protocol: str
    model: str
    sample: bool
    whose: str
    sha256: str
    total: int

    def __str__(self) -> str:
        return f"{self.file}: {self.leaf}"

    @property
    def path(self) -> str:
        """Of its prediction file in a submission."""
        return relative_path(self.spec, self.language)


def export(results: Sequence[Path], folder: Path) -> Summary:
    """Write the predictions that are kept with results as a submission.

    They are looked for beside the results file (``predictions_<leaf>_<date>.parquet``), then in the cache.

    Args:
        results: lm_eval's results files, or folders that are searched for ``results_*.json``.
        folder: where the submission goes; it may exist if it is empty.

    Raises:
        DataError: for results without a record of ours or without all predictions, for predictions that are not those
            of the record, for results of several models, or two that differ on one task and language, and where
            ``folder`` is not empty or can't be written; then nothing is left behind.
    """
    from tqdm import tqdm

    check_new(folder)
    runs = _consistent([run for path in results for run in _runs_of(path)])
    contents = {run.path: _content(run) for run in tqdm(runs, unit="file", desc="reading", disable=None)}
    _write(contents, folder)
    everything = [relative_path(spec, language) for spec in TASKS.values() for language in spec.languages]
    return Summary(
        str(folder),
        runs[0].protocol,
        runs[0].model,
        runs[0].sample,
        tuple(path for path in everything if path in contents),
        tuple(path for path in everything if path not in contents),
    )


def _runs_of(path: Path) -> list[_Run]:
    """All runs in a results file, or in those of a folder."""
    files = sorted(path.rglob("results_*.json")) if path.is_dir() else [path]
    found = [run for file in files for run in _runs_in(file)]
    if not found:
        where = f"the {len(files)} files named results_*.json (give others by name)" if path.is_dir() else "it"
        raise DataError(f"{path}: no record of xglue-harness in {where}; expected results of lm_eval on tasks xglue_*")
    return found


def _runs_in(file: Path) -> Iterator[_Run]:
    try:
        configs = json.loads(file.read_text(encoding="utf-8"))["configs"]
        records = {leaf: (config.get("metadata") or {}).get("xglue") for leaf, config in configs.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{file} is no results file of lm_eval: {error!r}") from error
    for leaf, record in records.items():
        if record:
            yield _run(file, leaf, record)


def _run(file: Path, leaf: str, record: Mapping[str, Any]) -> _Run:
    try:
        protocol, sample = record["protocol"], record["SAMPLE"]
        model = record["backbone"] if protocol == "finetune" else record["model"]
        # An encoder has one hash, whether its name is that of the Hub or of a folder.
        identity = f"encoder {model['encoder_sha256']}" if protocol == "finetune" else f"model {model['name']}"
        spec, language = TASKS[record["task"]], record["target_language"]
        spec.path("test", language)
        sha256, total = _kept_with(record, f"{file}: {leaf}")
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: {leaf}: no record of xglue-harness: {error!r}") from error
    whose = f"protocol {protocol}, {identity}, {'SAMPLE' if sample else 'real'} data"
    return _Run(file, leaf, spec, language, protocol, model["name"], sample, whose, sha256, total)


def _kept_with(record: Mapping[str, Any], where: str) -> tuple[str, int]:
    """Hash and rows of the predictions that a record tells of."""
    predictions = record.get("predictions")
    if predictions is None:
        raise DataError(f"{where}: no predictions are kept with this result; run it again with this version")
    rows, total = predictions["rows"], predictions["total"]
    if rows != total:
        raise DataError(
            f"{where}: predictions of {rows} of {total} rows; expected all of them: run it again without --limit"
        )
    return predictions["sha256"], total


def _consistent(runs: Sequence[_Run]) -> list[_Run]:
    """Runs of one model, one for each task and language."""
    first = runs[0]
    found: dict[str, _Run] = {}
    for run in runs:
        if run.whose != first.whose:
            raise DataError(
                f"{run}: {run.model} ({run.whose}), but {first}: {first.model} ({first.whose}); expected results of "
                "one model: export each on its own"
            )
        other = found.setdefault(run.path, run)
        if other.sha256 != run.sha256:
            raise DataError(f"{run}: other predictions than {other} for the same task and language: give one of them")
    return [*found.values()]


def _content(run: _Run) -> bytes:
    """A run's predictions as the submission has them."""
    date = run.file.stem.rpartition("_")[2]
    beside = run.file.with_name(f"predictions_{run.leaf}_{date}.parquet")
    path = beside if beside.exists() else kept(run.sha256)
    if not path.exists():
        raise DataError(
            f"{run}: its predictions are neither in {beside} nor in the cache ({path}); keep them beside the results "
            "file, or run it again"
        )
    try:
        found = file_sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if found != run.sha256:
        raise DataError(
            f"{path}: sha256 {found}; expected {run.sha256}, as {run} says: the file is damaged, edited or another's"
        )
    predictions = read(path)
    header = predictions.header
    expected = (run.spec.name, run.language, "test", [*range(run.total)])
    if (header.task, header.language, header.split, [*predictions.rows]) != expected:
        raise DataError(
            f"{path}: {len(predictions.rows)} rows of {header.task} in {header.language} ({header.split}); expected "
            f"the {run.total} of {run.spec.name} in {run.language} (test), as {run} says"
        )
    return render(run.spec, predictions.predictions)


def _write(contents: Mapping[str, bytes], folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            inner = Path(temporary) / "submission"
            for path, content in contents.items():
                place = inner / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            inner.replace(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}; nothing was left behind") from error
