"""What the figures of results draw: tidy rows out of runs."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from scipy import special

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.errors import DataError
from xglue_harness.leaderboard.ranking.statistics import LEVEL
from xglue_harness.results.run import Run
from xglue_harness.results.series import english_first, series_of
from xglue_harness.results.trajectories import epoch_rows

logger = logging.getLogger(__name__)

BARS = "bars: 95% interval over test documents, not over seeds"

Row = dict[str, Any]


def draw(runs: Sequence[Run], folder: Path) -> Iterator[Path]:
    """Write the figures that these runs allow: scores by language, learning curves, what was looked at meanwhile.

    Scores are drawn against each diagnostic, and where the record has some, gradients and CKA by epoch.

    A figure that has nothing to draw is left out, and the log says why.

    Args:
        runs: any.
        folder: where PNG and SVG go; it is made.

    Yields:
        The path of each file, once it is written.

    Raises:
        DataError: where matplotlib is not installed.
        OSError: where a file can't be written.
    """
    from tqdm import tqdm

    plots = _plots()
    folder.mkdir(parents=True, exist_ok=True)
    titled = [*_titled(runs)]
    scores = [*score_rows(titled)]
    losses, dev = [*loss_rows(titled)], [*dev_rows(titled)]
    mark = _mark(runs)
    figures: dict[str, Callable[[], Any]] = {
        "scores": partial(plots.language_scores, scores, bars=BARS, title=mark),
        "curves": partial(plots.learning_curves, losses, dev, title=mark),
    }
    if looked := [*gradient_rows(titled)]:
        gradients = import_module("xglue_analysis.gradient_plots")
        figures["gradients"] = partial(gradients.gradient_lines, looked, title=mark)
    if by_epoch := [{**_facts(run, title), **row} for run, title in titled for row in epoch_rows(run)]:
        lines = import_module("xglue_analysis.trajectory_plots").epoch_lines
        figures["trajectory"] = partial(lines, by_epoch, title=mark)
    for name in dict.fromkeys(name for run, _ in titled for name in _diagnostics(run)):
        rows = [*diagnostic_rows(titled, name)]
        figures[f"scores_{name}"] = partial(plots.score_against, rows, measure=name, title=mark)
    for name, figure in tqdm(figures.items(), unit="figure", desc="drawing", disable=None):
        try:
            yield from plots.save(figure(), folder / name)
        except ValueError as error:
            logger.warning("no figure %s: %s", name, error)


def _plots() -> ModuleType:
    try:
        return import_module("xglue_analysis.results_plots")
    except ImportError:
        raise DataError("figures need matplotlib: pip install 'xglue-harness[plots]'") from None


def _mark(runs: Sequence[Run]) -> str | None:
    """What stands above a figure whose numbers must not be taken for XGLUE's."""
    marks = ["SAMPLE"] * any(run.sample for run in runs) + ["UNOFFICIAL data"] * any(run.unofficial for run in runs)
    return f"[{', '.join(marks)}]" if marks else None


def _titled(runs: Sequence[Run]) -> Iterator[tuple[Run, str]]:
    """Runs with what a legend calls them, by task in the order of the benchmark, English first."""
    every = series_of(runs)
    seeds: dict[str, set[int | None]] = defaultdict(set)
    for series in every:
        seeds[series.title] |= {run.seed for run in series.runs}
    for series in every:
        order = english_first(series.languages)
        several = len(seeds[series.title]) > 1
        for run in sorted(series.runs, key=lambda run: order.index(run.language)):
            yield run, f"{series.title}, seed {run.seed}" if several else series.title


def score_rows(titled: Sequence[tuple[Run, str]]) -> Iterator[Row]:
    """The test scores with their intervals, for `xglue_analysis.results_plots.language_scores`."""
    reach = float(special.ndtri((1 + LEVEL) / 2))
    for run, title in titled:
        if run.split != "test" or run.score is None:
            continue
        value, stderr = run.score.value, run.score.stderr
        row = {**_facts(run, title), "language": run.language, "score": 100 * value}
        if stderr is not None:
            row |= {"low": 100 * (value - reach * stderr), "high": 100 * (value + reach * stderr)}
        if run.language == SOURCE_LANGUAGE and run.training is not None and run.training.chance is not None:
            row["chance"] = 100 * run.training.chance
        yield row


def loss_rows(titled: Sequence[tuple[Run, str]]) -> Iterator[Row]:
    """The losses of each training that has kept them, for `xglue_analysis.results_plots.learning_curves`."""
    for run, title in _trainings(titled):
        training = run.training
        if training is None or training.curve is None:  # older records have none
            continue
        epochs = float(run.recipe["epochs"])
        for step, loss in zip(training.curve.step, training.curve.loss, strict=True):
            yield {**_facts(run, title), "epoch": epochs * step / training.steps, "loss": loss}


def dev_rows(titled: Sequence[tuple[Run, str]]) -> Iterator[Row]:
    """The dev scores of each training by epoch, for the same figure."""
    for run, title in _trainings(titled):
        for scores in run.training.epochs if run.training else ():
            for language in english_first(scores.dev):
                score = 100 * scores.dev[language]
                yield {**_facts(run, title), "language": language, "epoch": scores.epoch, "score": score}


def gradient_rows(titled: Sequence[tuple[Run, str]]) -> Iterator[Row]:
    """The gradients of each training that looked at them, for `xglue_analysis.gradient_plots.gradient_lines`."""
    lists = ("cosine", "shuffled", "task_agreement", "alignment_agreement")
    for run, title in _trainings(titled):
        seen = None if run.training is None else run.training.gradients
        if run.training is None or seen is None:
            continue
        epochs = float(run.recipe["epochs"]) / run.training.steps
        for point in seen.points:
            for place, layer in enumerate(seen.layers):
                numbers = {name: getattr(point, name)[place] for name in lists}
                facts = {"layer": layer, "step": point.step, "epoch": epochs * point.step}
                yield {**_facts(run, title), **facts, **numbers, "null_p95": seen.null_p95[place]}


def _trainings(titled: Sequence[tuple[Run, str]]) -> list[tuple[Run, str]]:
    """One run of each training: its languages share it."""
    first: dict[tuple[str, str], tuple[Run, str]] = {}
    for run, title in titled:
        if run.training is not None:
            first.setdefault((run.training.store_key, run.task), (run, title))
    return [*first.values()]


def diagnostic_rows(titled: Sequence[tuple[Run, str]], name: str) -> Iterator[Row]:
    """Scores and a diagnostic of each language that is transferred to, of tasks with more than one such point."""
    points: dict[str, list[Row]] = defaultdict(list)
    for run, title in titled:
        diagnostics = _diagnostics(run)
        if name in diagnostics and run.score is not None and run.language != SOURCE_LANGUAGE:
            numbers = {"score": 100 * run.score.value, name: diagnostics[name]}
            points[run.task].append({**_facts(run, title), "language": run.language, **numbers})
    for task, rows in points.items():
        if len(rows) < 2:
            logger.warning("scores against %s: one point of %s alone says nothing, and is left out", name, task)
        else:
            yield from rows


def _diagnostics(run: Run) -> dict[str, float]:
    found = getattr(run.record, "diagnostics", None)
    return {} if found is None else {name: metric.value for name, metric in found.metrics.items()}


def _facts(run: Run, title: str) -> Row:
    return {"task": run.spec.title, "metric": run.spec.metric, "run": title}
