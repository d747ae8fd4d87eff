"""Scores of a folder of predictions in XGLUE's submission format, whoever made them: ours and the official ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xglue_harness.benchmark import LANGUAGES, TASKS, TaskSpec
from xglue_harness.data import Source, open_source, unofficial
from xglue_harness.data.check import NOT_OURS
from xglue_harness.errors import DataError
from xglue_harness.files import read_regular
from xglue_harness.kinds import kind_of
from xglue_harness.metrics import group_stderr
from xglue_harness.official_metrics import SEQEVAL_0, Rule
from xglue_harness.scoring import PredictionScores, score_predictions
from xglue_harness.submission.evaluator import evaluate, gold_file
from xglue_harness.submission.files import SUFFIX, read, relative_path

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class LanguageScore:
    """Scores of one language, from 0 to 1.

    Attributes:
        language: language code.
        rows: rows of the data, each with its prediction.
        score: by the task's metric.
        stderr: its standard error; ``None`` where it is not defined.
        official: by XGLUE's own evaluator.
        official_seqeval1: by the same with seqeval 1.x; ``None``: not a tagging task, or that seqeval stops.
        official_rule: what gave ``official``.
        single_row_queries: queries of one row, which count for neither score; ``None``: not a ranking task.
    """

    language: str
    rows: int
    score: float
    stderr: float | None
    official: float
    official_seqeval1: float | None
    official_rule: Rule
    single_row_queries: int | None


@dataclass(frozen=True)
class Mean:
    """Plain means over languages or tasks.

    Attributes:
        score: of ours.
        stderr: its standard error for independent test sets; ``None`` where one of theirs is not defined.
        official: of the official ones.
        official_seqeval1: of those with seqeval 1.x, which scores tagging tasks alone; ``None``: there is none.
    """

    score: float
    stderr: float | None
    official: float
    official_seqeval1: float | None


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task.

    Attributes:
        task: short name of the task.
        metric: name of the metric of `LanguageScore.score`.
        languages: of each language, in the task's order.
        mean: over those languages.
    """

    task: str
    metric: str
    languages: tuple[LanguageScore, ...]
    mean: Mean


@dataclass(frozen=True)
class Scores:
    """Scores of a folder of predictions.

    Attributes:
        predictions: path of the folder.
        data: what the gold labels were read from.
        sample: whether that is the packaged toy, whose scores mean nothing.
        split: ``test`` or ``dev``.
        tasks: scores of each task.
        mean: over the tasks, where all eight are there; else ``None``.
        missing: prediction files that are not there, though the data have the language.
        left_out: prediction files, or folders, that the data have no gold labels for.
        as_official: whether files were read as XGLUE's evaluator reads them.
        warnings: what to know about the files: those of no task of the benchmark, and what the evaluator accepts
            though we would not.
        unofficial: sets of the data with another number of rows than the official ones.
    """

    predictions: str
    data: str
    sample: bool
    split: str
    tasks: tuple[TaskScores, ...]
    mean: Mean | None
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    as_official: bool
    warnings: tuple[str, ...]
    unofficial: tuple[str, ...]

    @property
    def partial(self) -> bool:
        """Whether some predictions or gold labels are not there."""
        return bool(self.missing or self.left_out)


def score_folder(
    predictions: Path,
    data: str | None,
    split: Literal["test", "dev"] = "test",
    tasks: Sequence[str] | None = None,
    allow_partial: bool = False,
    as_official: bool = False,
) -> Scores:
    """Score the predictions of every language that the data have.

    Args:
        predictions: a folder of files ``TASK/language.prediction`` (`xglue_harness.submission.files`).
        data: where the gold labels are, as `xglue_harness.data.open_source` takes it.
        split: which of their splits was predicted.
        tasks: short names; those whose folder is there where not given.
        allow_partial: score what is there, and tell what is not.
        as_official: read the files as leniently as XGLUE's evaluator does (`xglue_harness.submission.evaluator`).

    Raises:
        DataError: for predictions that are missing, malformed or of no task or language of XGLUE or of the data, and
            for data that can't be read.
    """
    if not predictions.is_dir():
        raise DataError(f"{predictions}: no such folder; expected one with files such as NER/de{SUFFIX}")
    specs = _chosen(predictions, tasks)
    there, warnings = _files(predictions, [spec.folder for spec in specs] if tasks else None, as_official)
    source = open_source(data)
    jobs, missing, left_out = _jobs(specs, there, source, split)
    if missing and not allow_partial:
        raise DataError(
            f"{predictions}: no {', '.join(missing)}, though the data have the {split} sets: add what is missing, or "
            "score what is there with --allow-partial"
        )
    if left_out and not allow_partial:
        raise DataError(
            f"{predictions}: {', '.join(left_out)}: the data ({source.description}) have no such {split} sets: use "
            "other data, or leave these out with --allow-partial"
        )
    if not jobs:
        raise DataError(f"{predictions}: nothing to score: the data have none of the {split} sets that are predicted")
    scorer = _Scorer(predictions, source, split, as_official, warnings)
    scored = scorer.scores(jobs)
    means = [item.mean for item in scored]
    # Tasks that seqeval does not score have the same official number with either.
    by_seqeval = [kind_of(TASKS[item.task]).official_rule == SEQEVAL_0 for item in scored]
    later = [mean.official_seqeval1 if tags else mean.official for mean, tags in zip(means, by_seqeval, strict=True)]
    whole = _mean(means, later) if len(scored) == len(TASKS) else None
    return Scores(
        str(predictions),
        source.description,
        source.is_sample,
        split,
        scored,
        whole,
        tuple(missing),
        tuple(left_out),
        as_official,
        tuple(scorer.warnings),
        tuple(scorer.unofficial),
    )


def _mean(items: Sequence[LanguageScore | Mean], later: Sequence[float | None]) -> Mean:
    """Mean over languages or tasks; at least one."""
    errors = [item.stderr for item in items if item.stderr is not None]
    known = len(errors) == len(items)
    all_later = [value for value in later if value is not None]
    return Mean(
        sum(item.score for item in items) / len(items),
        group_stderr(errors) if known else None,
        sum(item.official for item in items) / len(items),
        sum(all_later) / len(items) if len(all_later) == len(items) else None,
    )


def _chosen(folder: Path, names: Sequence[str] | None) -> list[TaskSpec]:
    if unknown := [name for name in names or () if name not in TASKS]:
        raise DataError(f"no XGLUE task {', '.join(unknown)}; expected some of {', '.join(TASKS)}")
    if names:
        return [spec for spec in TASKS.values() if spec.name in names]
    specs = [spec for spec in TASKS.values() if (folder / spec.folder).is_dir()]
    if not specs:
        folders = ", ".join(spec.folder for spec in TASKS.values())
        raise DataError(f"{folder}: no predictions of any task; expected folders named {folders}")
    return specs


def _files(folder: Path, folders: Sequence[str] | None, as_official: bool) -> tuple[set[str], list[str]]:
    """Relative paths of the prediction files below some folders (all, where not given), and what to warn of.

    XGLUE's evaluator never sees a file that it does not ask for. We warn of a language that the task does not have
    (the example submission has Chinese PAWS-X), and take what may be a misspelt name for an error.
    """
    known = {relative_path(spec, language) for spec in TASKS.values() for language in spec.languages}
    of_xglue = {relative_path(spec, language) for spec in TASKS.values() for language in LANGUAGES}
    paths = sorted(path.relative_to(folder) for path in folder.rglob(f"[!.]*{SUFFIX}"))
    there = {
        path.as_posix()
        for path in paths
        if path.parts[0] not in NOT_OURS and (folders is None or path.parts[0] in folders)
    }
    strange = sorted(there - (there if as_official else of_xglue))
    if strange:
        raise DataError(
            f"{folder}: {', '.join(strange)}: no language or no task of XGLUE; expected "
            + ", ".join(f"{spec.folder}/{{{','.join(spec.languages)}}}{SUFFIX}" for spec in TASKS.values())
        )
    return there & known, [f"{path}: left out: XGLUE has no such task and language" for path in sorted(there - known)]


def _jobs(
    specs: Sequence[TaskSpec], there: set[str], source: Source, split: str
) -> tuple[list[tuple[TaskSpec, str]], list[str], list[str]]:
    """What can be scored, what the predictions lack and what the data lack."""
    jobs, missing, left_out = [], [], []
    for spec in specs:
        available = source.available(spec, split)
        for language in spec.languages:
            path = relative_path(spec, language)
            if language in available and path in there:
                jobs.append((spec, language))
            elif language in available:
                missing.append(path)
            elif path in there:
                left_out.append(path)
        if not available and not any(relative_path(spec, language) in there for language in spec.languages):
            left_out.append(spec.folder)
    return jobs, missing, left_out


class _Scorer:
    """Scores prediction files, and notes what their reader should know."""

    def __init__(self, folder: Path, source: Source, split: str, as_official: bool, warnings: list[str]) -> None:
        self._folder, self._source, self._split, self._as_official = folder, source, split, as_official
        self.warnings = warnings
        self.unofficial: list[str] = []

    def scores(self, jobs: list[tuple[TaskSpec, str]]) -> tuple[TaskScores, ...]:
        """Scores of all files, by task."""
        from tqdm import tqdm

        by_task: dict[str, list[LanguageScore]] = {}
        for spec, language in tqdm(jobs, unit="language", desc="scoring", disable=None):
            by_task.setdefault(spec.name, []).append(self._language(spec, language))
        return tuple(
            TaskScores(name, TASKS[name].metric, tuple(items), _mean(items, [item.official_seqeval1 for item in items]))
            for name, items in by_task.items()
        )

    def _language(self, spec: TaskSpec, language: str) -> LanguageScore:
        dataset = self._source.load(spec, self._split, language).dataset
        self.unofficial += unofficial(self._source, spec, self._split, language, len(dataset))
        path = self._folder / relative_path(spec, language)
        try:
            data = read_regular(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        if self._as_official:
            gold = self._source.content(spec, self._split, language)
            gold = gold_file(spec, self._split, dataset) if gold is None else gold
            scores = self._officially(data, gold, spec, dataset, str(path))
        else:
            scores = _strictly(data, spec, dataset, str(path))
        return LanguageScore(
            language,
            len(dataset),
            scores.score,
            scores.stderr,
            **asdict(scores.official),
            single_row_queries=scores.single_row_queries,
        )

    def _officially(self, data: bytes, gold: bytes, spec: TaskSpec, dataset: Dataset, path: str) -> PredictionScores:
        """As the evaluator does, with a warning where we would refuse the file or read something else in it."""
        theirs = evaluate(data, gold, spec, self._split, path)
        try:
            ours = _strictly(data, spec, dataset, path).official.official
        except DataError as error:
            self.warnings.append(f"{str(error).removesuffix(_HINT)}; scored as XGLUE's evaluator does")
        else:
            if not math.isclose(ours, theirs.official.official, abs_tol=1e-9):
                self.warnings.append(
                    f"{path}: XGLUE's evaluator reads it otherwise (labels by name, a byte order mark, a carriage "
                    f"return, an empty query): {theirs.official.official:.4f}, where we would say {ours:.4f}"
                )
        return theirs


_HINT = " (--as-official reads the file as XGLUE's evaluator does)"


def _strictly(data: bytes, spec: TaskSpec, dataset: Dataset, path: str) -> PredictionScores:
    kind, gold = kind_of(spec), dataset[spec.label_column][:]
    try:
        predicted = read(data, spec, [kind.label_count(label) for label in gold], path)
    except DataError as error:
        raise DataError(f"{error}{_HINT}") from None
    documents = kind.rows_of_documents(dataset)
    if kind.left_out(documents) == len(documents):
        raise DataError(f"{path}: no query of the data has two rows: there is nothing to rank")
    numbers = [number for number, rows in enumerate(documents) for _ in rows]
    return score_predictions(spec, gold, predicted, numbers)
