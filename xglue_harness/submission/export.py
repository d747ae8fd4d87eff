"""From lm_eval's results to a folder in XGLUE's submission format, complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.atomic import new_folder
from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.prepare import check_new
from xglue_harness.errors import DataError
from xglue_harness.records.results_files import WrittenRun, predictions_of, read_runs, recorded_predictions
from xglue_harness.submission.files import relative_path, render


@dataclass(frozen=True)
class Summary:
    """What was exported.

    Attributes:
        folder: the submission.
        protocol: ``finetune``, ``prompt`` or ``probe``.
        model: name of the encoder or the language model.
        sample: whether the predictions are of the packaged toy, of which no submission can be made.
        files: the prediction files, relative to the folder.
        missing: those that a full submission of the eight tasks has beside them.
        unofficial: test sets with another number of rows than XGLUE's: no submission can be made of them, either.
    """

    folder: str
    protocol: str
    model: str
    sample: bool
    files: tuple[str, ...]
    missing: tuple[str, ...]
    unofficial: tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    """What a record in a results file says of one task and language.

    Attributes:
        written: where it stands.
        spec: the task.
        language: the language that was predicted.
        protocol: ``finetune``, ``prompt`` or ``probe``.
        model: name of the encoder or the language model.
        sample: whether the data are the packaged toy.
        whose: what all parts of a submission must have in common, in words.
        sha256: of the kept predictions.
        unofficial: what to say of a test set that does not have XGLUE's number of rows.
    """

    written: WrittenRun
    spec: TaskSpec
    language: str
    protocol: str
    model: str
    sample: bool
    whose: str
    sha256: str
    unofficial: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.written)

    @property
    def path(self) -> str:
        """Of its prediction file in a submission."""
        return relative_path(self.spec, self.language)


def export(results: Sequence[Path], folder: Path) -> Summary:
    """Write the predictions that are kept with results as a submission.

    They are looked for beside the results file (``predictions_<leaf>_<date>.parquet``), then in the cache.

    Args:
        results: lm_eval's results files, or folders that are searched for ``results*.json``.
        folder: where the submission goes; it may exist if it is empty.

    Raises:
        DataError: for results without a record of ours or without all predictions, for predictions that are not those
            of the record, for results of several models, or two that differ on one task and language, and where
            ``folder`` is not empty or can't be written; then nothing is left behind.
    """
    from tqdm import tqdm

    check_new(folder)
    runs = _consistent([_run(written) for written in read_runs(results)])
    contents = {}
    for run in tqdm(runs, unit="file", desc="reading", disable=None):
        contents[run.path] = render(run.spec, predictions_of(run.written).predictions)
    _write(contents, folder)
    everything = [relative_path(spec, language) for spec in TASKS.values() for language in spec.languages]
    return Summary(
        str(folder),
        runs[0].protocol,
        runs[0].model,
        runs[0].sample,
        tuple(path for path in everything if path in contents),
        tuple(path for path in everything if path not in contents),
        tuple(line for run in runs for line in run.unofficial),
    )


def _run(written: WrittenRun) -> _Run:
    record = written.record
    try:
        protocol, sample = record["protocol"], record["SAMPLE"]
        model = record["model"] if protocol == "prompt" else record["backbone"]
        # An encoder has one hash, whether its name is that of the Hub or of a folder.
        identity = f"encoder {model['encoder_sha256']}" if protocol != "prompt" else f"model {model['name']}"
        spec, language = TASKS[record["task"]], record["target_language"]
        test = spec.path("test", language)
        sha256, _ = recorded_predictions(written)
        lines = record.get("data", {}).get("unofficial", ())  # records of older versions say nothing of it
        unofficial = tuple(line for line in lines if line.startswith(f"{test}:"))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{written}: no record of xglue-harness: {error!r}") from error
    whose = f"protocol {protocol}, {identity}, {'SAMPLE' if sample else 'real'} data"
    return _Run(written, spec, language, protocol, model["name"], sample, whose, sha256, unofficial)


def _consistent(runs: Sequence[_Run]) -> list[_Run]:
    """Runs of one model, one for each task and language."""
    first = runs[0]
    by_path: dict[str, _Run] = {}
    for run in runs:
        if run.whose != first.whose:
            raise DataError(
                f"{run}: {run.model} ({run.whose}), but {first}: {first.model} ({first.whose}); expected results of "
                "one model: export each on its own"
            )
        other = by_path.setdefault(run.path, run)
        if other.sha256 != run.sha256:
            raise DataError(f"{run}: other predictions than {other} for the same task and language: give one of them")
    return [*by_path.values()]


def _write(contents: Mapping[str, bytes], folder: Path) -> None:
    try:
        with new_folder(folder) as inner:
            for path, content in contents.items():
                place = inner / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}; nothing was left behind") from error
