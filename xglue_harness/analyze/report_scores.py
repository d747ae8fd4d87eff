"""The scores of a report: means over trainings, and the transfer gap, with the leaderboard's intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.leaderboard.ranking.board import blocks
from xglue_harness.leaderboard.ranking.statistics import LEVEL, Floats, TaskRuns, estimate
from xglue_harness.records.predictions import RowPredictions
from xglue_harness.results.comparing import check_same_rows
from xglue_harness.results.paper_tables import scores_again
from xglue_harness.results.run import Run
from xglue_harness.results.series import Series, english_first
from xglue_harness.sweeps.comparison import restricted

Over = Literal["trainings and rows", "trainings", "rows", "nothing"]


@dataclass(frozen=True)
class Number:
    """A mean over trainings with its 95% interval.

    Attributes:
        value: in the unit of what it is a mean of.
        low: lower end; ``None``: nothing is known of its chance.
        high: upper end.
        seeds: trainings that it is the mean of.
        over: the chance that the interval holds; of one training it holds nothing of other trainings.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int
    over: Over


@dataclass(frozen=True)
class ScoreLine:
    """A backbone with a recipe on one task.

    Attributes:
        series: its runs.
        cells: score of each language, from 0 to 1, English first.
        targets: mean over the languages that all trainings have but English; ``None``: there is none.
        gap: English less ``targets``; ``None``: English or the others are missing.
    """

    series: Series
    cells: Mapping[str, Number]
    targets: Number | None
    gap: Number | None


def combined(values: Sequence[float], stderrs: Sequence[float | None]) -> Number:
    """The mean of a number over trainings on the same rows, from each one's standard error over rows.

    Its variance is ``s²/S``, that between ``S`` trainings, and the mean of those over rows; the part of training × row
    is in both, so that the interval is a little too wide rather than too narrow. Degrees of freedom are by
    Satterthwaite 1946.

    Args:
        values: of each training.
        stderrs: over rows; ``None``: unknown, and the interval is then over trainings alone.
    """
    size, value = len(values), float(np.mean(values))
    known = [stderr for stderr in stderrs if stderr is not None]
    rows = float(np.mean(np.square(known))) if len(known) == size else None
    between = float(np.var(values, ddof=1)) / size if size > 1 else 0.0
    if rows is None and size == 1:
        return Number(value, None, None, size, "nothing")
    variance = between + (rows or 0.0)
    df = (size - 1) * (variance / between) ** 2 if between > 0 else math.inf
    level = (1 + LEVEL) / 2
    reach = float(special.stdtrit(df, level) if math.isfinite(df) else special.ndtri(level)) * math.sqrt(variance)
    over: Over = "rows" if size == 1 else "trainings" if rows is None else "trainings and rows"
    return Number(value, value - reach, value + reach, size, over)


def score_line(series: Series) -> ScoreLine:
    """All scores of a series.

    Args:
        series: with one run for each seed and language, each with a score.

    Raises:
        DataError: for two runs of one seed and language, predictions that are not those of the record, or seeds that
            were scored on other rows.
    """
    by_seed: dict[int | None, dict[str, Run]] = defaultdict(dict)
    for run in series.runs:
        if other := by_seed[run.seed].get(run.language):
            raise DataError(f"{run}: seed {run.seed}, as in {other}: give one of the two")
        by_seed[run.seed][run.language] = run
    languages = english_first(series.languages)
    rows = _rows_of(series)
    cells = {}
    for language in languages:
        own = {seed: runs for seed, runs in by_seed.items() if language in runs}
        cells[language] = _mean([*own.values()], rows, {language: 1.0})
    common = [language for language in languages if all(language in own for own in by_seed.values())]
    others = [language for language in common if language != SOURCE_LANGUAGE]
    every, shares = [*by_seed.values()], {language: 1 / len(others) for language in others}
    targets = _mean(every, rows, shares) if others else None
    contrast = {SOURCE_LANGUAGE: 1.0, **{language: -share for language, share in shares.items()}}
    gap = _mean(every, rows, contrast) if others and SOURCE_LANGUAGE in common else None
    return ScoreLine(series, cells, targets, gap)


def score_of(run: Run) -> float:
    """The score of a run that has one.

    Raises:
        DataError: where it has none.
    """
    if run.score is None:
        raise DataError(f"{run}: no score; expected one: run it without --predict_only")
    return run.score.value


@dataclass(frozen=True)
class _Rows:
    """The test rows behind the scores of a series.

    Attributes:
        spec: the task; ``parallel`` where the rows of all languages have the same labels, as translations have.
        items: what each document adds to the score, by language and seed; empty where predictions are missing.
    """

    spec: TaskSpec
    items: Mapping[tuple[str, int | None], Floats]


def _rows_of(series: Series) -> _Rows:
    """Scores by document, of the same rows in all seeds of a language."""
    if any(run.predictions is None or run.record is None or run.record.predictions is None for run in series.runs):
        return _Rows(series.spec, {})
    first: dict[str, tuple[Run, RowPredictions]] = {}
    items = {}
    for run in series.runs:
        predictions = run.read_predictions()
        before, theirs = first.setdefault(run.language, (run, predictions))
        check_same_rows((run, before), (predictions, theirs))
        items[run.language, run.seed] = np.asarray(scores_again(run, predictions).items, dtype=np.float64)
    labels = [[*predictions.labels] for _, predictions in first.values()]
    translations = series.spec.parallel and all(other == labels[0] for other in labels)  # one's own data need not be
    return _Rows(replace(series.spec, parallel=translations), items)


def _mean(trainings: Sequence[Mapping[str, Run]], rows: _Rows, weights: Mapping[str, float]) -> Number:
    """A weighted sum over languages, mean over trainings, by `xglue_harness.leaderboard.ranking.statistics`."""
    spec = restricted(rows.spec, weights)
    chosen = [{language: own[language] for language in spec.languages} for own in trainings]
    scores = np.array([[score_of(run) for run in own.values()] for own in chosen])
    shares = np.array([weights[language] for language in spec.languages])
    if not rows.items:
        return combined([*map(float, scores @ shares)], [None] * len(scores))
    items = [{language: rows.items[language, run.seed] for language, run in own.items()} for own in chosen]
    runs = TaskRuns(np.zeros(len(scores), dtype=np.int64), scores, blocks(spec, items))
    found = estimate([(runs, shares[None])])
    over: Over = "trainings and rows" if found.seeds == "own" else "rows"
    return Number(found.value, found.low, found.high, len(scores), over)
