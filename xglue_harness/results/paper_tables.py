"""Runs in the layout of the paper's Tables 1 and 4: seeds together, with the leaderboard's intervals."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.leaderboard.contributions.recipes import PAPER, is_paper
from xglue_harness.leaderboard.contributions.results import TOLERANCE, LanguageResult, TaskResult, rescored
from xglue_harness.leaderboard.validation.rescoring import RescoredResult, gold_sha256
from xglue_harness.records.predictions import RowPredictions
from xglue_harness.records.schema import RunRecord
from xglue_harness.results.run import Run
from xglue_harness.results.series import Series, series_of
from xglue_harness.scoring import PredictionScores
from xglue_harness.sweeps.comparison import compare, restricted
from xglue_harness.sweeps.report import caption, compared, published_systems, tasks_of_several_recipes
from xglue_harness.sweeps.shapes import backbones_in
from xglue_harness.sweeps.tables import CONTRASTS, Grid, paper_tables

logger = logging.getLogger(__name__)


def tables_of(
    runs: Sequence[Run], tree: Path, *, published: bool = False, language_intervals: bool = False
) -> tuple[Grid, ...]:
    """Table 1, Table 4, and the contrasts between families where there are any, and a task has one recipe.

    Every score is computed from its predictions, and must be the one that the results state. A line is a backbone with
    a recipe; a task's columns are the languages that all of its runs have.

    Args:
        runs: of fine-tuned encoders.
        tree: a leaderboard's, whose descriptions say which family a backbone is of.
        published: show the paper's numbers below ours.
        language_intervals: show the interval of every language's score in Table 4.

    Raises:
        DataError: for runs that no such table holds, or whose predictions are missing or give another score.
        SweepError: where runs are of other data, or one name stands for two encoders.
    """
    from tqdm import tqdm

    all_series = [_checked(series) for series in series_of(runs)]
    languages = {spec.name: _common_languages(spec, all_series) for spec in TASKS.values()}
    keys = {title: f"b{place}" for place, title in enumerate(dict.fromkeys(series.title for series in all_series))}
    results = []
    for number, series in enumerate(tqdm(all_series, unit="line", desc="scoring", disable=None)):
        results += _results(series, keys[series.title], f"recipe{number}", languages[series.spec.name])
    checkpoints = {keys[series.title]: _record(series.runs[0]).backbone.name for series in all_series}
    titles = {key: title for title, key in keys.items()}
    backbones = compared(titles, checkpoints, results, [*backbones_in(tree)])
    specs = [restricted(spec, languages[name]) for name, spec in TASKS.items() if languages[name]]
    seeds = max(len({run.seed for run in series.runs}) for series in all_series)
    comparison = compare(backbones, specs, seeds, results, one_recipe=False)
    paper = published_systems(checkpoints) if published else {}
    grids = paper_tables(comparison, paper, caption(comparison, results, 0), language_intervals=language_intervals)
    if mixed := tasks_of_several_recipes(results):
        logger.warning(
            "no contrasts between families: results on %s are of several recipes; give those of one to have them",
            ", ".join(mixed),
        )
        grids = tuple(grid for grid in grids if grid.name != CONTRASTS)
    return grids


def _record(run: Run) -> RunRecord:
    """The record of a fine-tuned encoder's test score.

    Raises:
        DataError: where it is another kind of run.
    """
    if run.split != "test":
        raise DataError(f"{run}: dev scores of the store; the tables hold test scores: give lm_eval's results")
    if not isinstance(run.record, RunRecord):
        raise DataError(
            f"{run}: protocol {run.protocol!r}; the tables hold fine-tuned encoders, which others don't compare "
            "with: see `xglue-harness results show`"
        )
    return run.record


def _checked(series: Series) -> Series:
    """A series with one run for each seed and language.

    Raises:
        DataError: where there are two, or a run is none of a fine-tuned encoder.
    """
    seen: dict[tuple[int | None, str], Run] = {}
    for run in series.runs:
        _record(run)
        if (other := seen.setdefault((run.seed, run.language), run)) is not run:
            raise DataError(f"{run}: seed {run.seed}, as in {other}: give one of the two")
    return series


def _common_languages(spec: TaskSpec, all_series: Sequence[Series]) -> list[str]:
    """The languages that every seed of every line of a task has; what is left out is said.

    Raises:
        DataError: where there is none.
    """
    of_seed: dict[tuple[str, int | None], set[str]] = defaultdict(set)
    for series in all_series:
        for run in series.runs if series.spec is spec else ():
            of_seed[series.title, run.seed].add(run.language)
    if not of_seed:
        return []
    common = set.intersection(*of_seed.values())
    if not common:
        raise DataError(f"{spec.title}: these runs have no language in common: give some that have, by --tasks")
    if left_out := [language for language in spec.languages if language in set.union(*of_seed.values()) - common]:
        logger.warning("%s: %s left out, which not all of the runs have", spec.title, ", ".join(left_out))
    return [language for language in spec.languages if language in common]


def _results(series: Series, key: str, recipe: str, languages: Sequence[str]) -> list[RescoredResult]:
    by_seed: dict[int, list[Run]] = defaultdict(list)
    for run in series.runs:
        if run.language in languages and run.seed is not None:
            by_seed[run.seed].append(run)
    return [_result(runs, key, recipe, languages) for runs in by_seed.values()]


def _result(runs: Sequence[Run], key: str, recipe: str, languages: Sequence[str]) -> RescoredResult:
    """The runs of one seed, scored again from their predictions."""
    by_language = {run.language: run for run in runs}
    results, items, labels = {}, {}, {}
    for language in languages:
        run = by_language[language]
        predictions = complete_predictions(run)
        scores = scores_again(run, predictions)
        record = _record(run).model_copy(update=asdict(scores.official))
        results[language] = LanguageResult(
            score=scores.score, stderr=scores.stderr, official=scores.official.official, record=record
        )
        items[language] = np.asarray(scores.items, dtype=np.float64)
        labels[language] = gold_sha256(predictions.labels, predictions.documents)
    first = runs[0]
    paper = is_paper(first.spec, first.recipe, _record(first).selection.rule)
    result = TaskResult(
        backbone=key, task=first.task, recipe=PAPER if paper else recipe, seed=first.seed or 0, languages=results
    )
    return RescoredResult(first.source, result, items, labels)


def complete_predictions(run: Run) -> RowPredictions:
    """All predictions of a run.

    Raises:
        DataError: where they are missing, or of some rows only.
    """
    predictions = run.read_predictions()
    if not predictions.complete:
        raise DataError(
            f"{run}: predictions of {len(predictions.rows)} of {predictions.header.rows} rows; expected all of them: "
            "run it again without --limit"
        )
    return predictions


def scores_again(run: Run, predictions: RowPredictions) -> PredictionScores:
    """The scores that predictions give.

    Raises:
        DataError: where they can't be scored, or give another score than the results state.
    """
    try:
        scores = rescored(predictions)
    except ValueError as error:
        raise DataError(f"{run}: its predictions can't be scored: {error}") from None
    stated = run.score
    if stated is not None and not math.isclose(stated.value, scores.score, abs_tol=TOLERANCE, rel_tol=0):
        raise DataError(f"{run}: {run.spec.metric} {stated.value}; its predictions give {scores.score}")
    return scores
