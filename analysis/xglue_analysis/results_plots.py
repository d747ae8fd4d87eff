"""The figures of results: scores by language, how trainings went, and scores against diagnostics.

Rows, style and errors are as in :mod:`xglue_analysis.plots`; write a figure with :func:`xglue_analysis.figures.save`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xglue_analysis.correlation_plot import name_points
from xglue_analysis.figures import (
    COLUMN,
    PAGE,
    SMALL,
    Row,
    blank,
    legend_below,
    look,
    need_value,
    number,
    paper_style,
    plain_ticks,
    save,
    values,
)

__all__ = ["language_scores", "learning_curves", "save", "score_against"]

BANDS = "bars: 95% interval"


@paper_style
def language_scores(rows: Sequence[Row], *, bars: str = BANDS, title: str | None = None) -> Figure:
    """Draw the score of every language: a panel a task, a colour a run, a bar for each interval.

    Runs stand beside each other within a language. A dotted line is the score of guessing one class, where the rows
    have ``chance``: that of English dev, which other test sets need not have.

    Args:
        rows: of keys ``task``, ``metric``, ``run``, ``language``, ``score`` and, each of which may be ``None`` or
            absent, ``low``, ``high`` and ``chance``; all from 0 to 100.
        bars: what a bar is, for the legend.
        title: what stands above.

    Returns:
        A figure of as many panels as there are tasks.

    Raises:
        ValueError: there are no rows, two are of the same, or a run has no score in a task.
    """
    filled: list[Row] = [{"low": None, "high": None, "chance": None, **row} for row in rows]
    names = ("task", "metric", "run", "language")
    scores, low, high, chance = (values(filled, key, names) for key in ("score", "low", "high", "chance"))
    panels = list(dict.fromkeys((task, metric) for task, metric, *_ in scores))
    runs = list(dict.fromkeys(key[2] for key in scores))
    figure = blank(PAGE, 1.75 * len(panels), title)
    with_bars = False
    guess = False
    for place, (task, metric) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        own = {key[2:]: line[()] for key, line in scores.items() if key[0] == task}
        languages = list(dict.fromkeys(language for _, language in own))
        here = [run for run in runs if any(other == run for other, _ in own)]
        for run in here:
            shift = min(0.14, 0.7 / len(here)) * (here.index(run) - (len(here) - 1) / 2)
            there = [language for language in languages if (run, language) in own]
            x = np.array([languages.index(language) + shift for language in there])
            y = np.array([own[run, language] for language in there])
            need_value(y, f"score of {run} in {task}")
            style = {**look(runs.index(run)), "linestyle": "none"}
            below, above = (
                np.array([part[task, metric, run, language][()] for language in there]) for part in (low, high)
            )
            if np.isfinite(below + above).any():
                with_bars = True
                axes.vlines(x, below, above, color=style["color"], linewidth=0.9, alpha=0.6, zorder=2)
            axes.plot(x, y, label=run, zorder=3, clip_on=False, **style)
        guesses = [line[()] for key, line in chance.items() if key[0] == task and math.isfinite(line[()])]
        if guesses:
            guess = True
            axes.axhline(max(guesses), color="0.6", linewidth=0.7, linestyle=":", zorder=1)
        axes.set_xticks(range(len(languages)), languages)
        axes.set_xlim(-0.6, len(languages) - 0.4)
        axes.set(title=task, ylabel=f"{metric} (%)")
        _widen(axes)
        plain_ticks(axes)
    handles = [Line2D([], [], label=run, **{**look(i), "linestyle": "none"}) for i, run in enumerate(runs)]
    if with_bars:
        handles.append(Line2D([], [], color="0.3", linewidth=0.9, alpha=0.6, label=bars))
    if guess:
        handles.append(
            Line2D([], [], color="0.6", linewidth=0.7, linestyle=":", label="guessing one class (English dev)")
        )
    legend_below(figure, handles)
    return figure


def _widen(axes: Axes) -> None:
    """Let an axis of percentages cover a point at least: equal scores would stand in a panel without a scale."""
    low, high = axes.get_ylim()
    if high - low < 1:
        bottom = max((low + high) / 2 - 0.5, -0.05)  # no score is below 0
        axes.set_ylim(bottom, bottom + 1)


@paper_style
def learning_curves(losses: Sequence[Row], dev: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw how trainings went: above the loss by step, below the dev scores by epoch; a column a task.

    Both share their axis, which counts epochs. A colour is a run; each dev line ends in the name of its language.

    Args:
        losses: of keys ``task``, ``run``, ``epoch`` (that the step stands at, a float) and ``loss``.
        dev: of keys ``task``, ``metric``, ``run``, ``language``, ``epoch`` and ``score`` (0 to 100).
        title: what stands above.

    Returns:
        A figure of two panels a task; of one where no run has losses, or none has dev scores.

    Raises:
        ValueError: there are neither losses nor dev scores, or a row lacks a key.
    """
    if not losses and not dev:
        raise ValueError("there are neither losses nor dev scores to draw")
    kept = (("loss", losses), ("dev", dev))
    parts = [(name, rows) for name, rows in kept if rows]
    tasks = list(dict.fromkeys(_text(row, "task") for _, rows in parts for row in rows))
    runs = list(dict.fromkeys(_text(row, "run") for _, rows in parts for row in rows))
    width = COLUMN if len(tasks) == 1 else PAGE
    figure = blank(width, 1.7 * len(parts), title)
    above: dict[str, Axes] = {}
    for line, (part, rows) in enumerate(parts):
        for column, task in enumerate(tasks):
            place = line * len(tasks) + column + 1
            axes = figure.add_subplot(len(parts), len(tasks), place, sharex=above.get(task))
            above[task] = axes
            own = [row for row in rows if _text(row, "task") == task]
            if not own:
                axes.text(0.5, 0.5, "none kept", transform=axes.transAxes, ha="center", va="center", color="0.5")
            elif part == "loss":
                _draw_losses(axes, own, runs)
            else:
                _draw_dev(axes, own, runs)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            label = "training loss" if part == "loss" else f"dev {_text(own[0], 'metric') if own else ''} (%)"
            axes.set(title=task if line == 0 else "", ylabel=label, xlabel="epoch" if line == len(parts) - 1 else "")
            plain_ticks(axes)
    legend_below(figure, [Line2D([], [], label=run, **{**look(i), "marker": ""}) for i, run in enumerate(runs)])
    return figure


def _draw_losses(axes: Axes, rows: Sequence[Row], runs: Sequence[str]) -> None:
    for run, points in _lines(rows, "run", "loss").items():
        style = {**look(runs.index(run)), "marker": ""}
        axes.plot(*points, **style)
    axes.set_ylim(0, 1.05 * max(float(np.max(line.get_ydata())) for line in axes.lines))


def _draw_dev(axes: Axes, rows: Sequence[Row], runs: Sequence[str]) -> None:
    """A line for each run and language, which is named at its end."""
    ends: list[tuple[float, float, str, str]] = []
    for run in dict.fromkeys(_text(row, "run") for row in rows):
        own = [row for row in rows if _text(row, "run") == run]
        style = look(runs.index(run))
        for language, (epochs, scores) in _lines(own, "language", "score").items():
            axes.plot(epochs, scores, **style)
            ends.append((epochs[-1], scores[-1], language, str(style["color"])))
    _widen(axes)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.1 * (high - low))
    room = 0.075 * float(np.ptp(axes.get_ylim()))
    below = -math.inf
    for x, y, language, colour in sorted(ends, key=lambda end: end[1]):
        below = max(y, below + room)  # names stand above each other where their lines end in one place
        place = (x + 0.03 * (high - low), below)
        axes.annotate(language, (x, y), place, fontsize=SMALL - 1, color=colour, va="center", annotation_clip=False)


def _lines(rows: Iterable[Row], name: str, value: str) -> dict[str, tuple[list[float], list[float]]]:
    """Values by epoch, of each name; ascending, and without those that are missing."""
    points: dict[str, list[tuple[float, float]]] = {}
    for i, row in enumerate(rows):
        lacking = [key for key in (name, "epoch", value) if key not in row]
        if lacking:
            raise ValueError(f"row {i} has no {lacking[0]!r}; it has {', '.join(row) or 'nothing'}")
        x, y = number(row["epoch"], f"'epoch' of row {i}"), number(row[value], f"{value!r} of row {i}")
        if math.isfinite(x + y):
            points.setdefault(_text(row, name), []).append((x, y))
    lines = {key: sorted(line) for key, line in points.items()}
    return {key: ([x for x, _ in line], [y for _, y in line]) for key, line in lines.items()}


def _text(row: Row, key: str) -> str:
    if key not in row:
        raise ValueError(f"a row has no {key!r}; it has {', '.join(row) or 'nothing'}")
    return str(row[key])


@paper_style
def score_against(rows: Sequence[Row], *, measure: str, label: str | None = None, title: str | None = None) -> Figure:
    """Draw scores against a diagnostic: a panel a task, a point a language, a colour a run; points bear their names.

    Args:
        rows: of keys ``task``, ``metric``, ``run``, ``language``, ``score`` (0 to 100) and the measure.
        measure: key of the diagnostic.
        label: what the axis calls it; by default its key.
        title: what stands above.

    Returns:
        A figure of as many panels as there are tasks.

    Raises:
        ValueError: there are no rows, two are of the same, or a task has no more than one point.
    """
    names = ("task", "metric", "run", "language")
    across, up = (values(rows, key, names) for key in (measure, "score"))
    panels = list(dict.fromkeys((task, metric) for task, metric, *_ in across))
    runs = list(dict.fromkeys(key[2] for key in across))
    columns = min(2, len(panels))
    lines = math.ceil(len(panels) / columns)
    width = COLUMN if columns == 1 else PAGE
    figure = blank(width, 2.3 * lines, title)
    drawn = []
    for place, (task, metric) in enumerate(panels):
        axes = figure.add_subplot(lines, columns, place + 1)
        points = {key[2:]: (line[()], up[key][()]) for key, line in across.items() if key[0] == task}
        points = {key: point for key, point in points.items() if math.isfinite(sum(point))}
        if len(points) < 2:
            raise ValueError(f"{task} has {len(points)} points of {measure} and score: there is nothing to compare")
        for (run, _), (x, y) in points.items():
            style = {**look(runs.index(run)), "linestyle": "none", "markersize": 3.5}
            axes.plot([x], [y], **style)
        axes.margins(0.12)
        axes.set(title=task, xlabel=label or measure, ylabel=f"{metric} (%)")
        axes.locator_params(nbins=5)
        plain_ticks(axes)
        drawn.append((axes, points))
    legend_below(figure, [Line2D([], [], label=run, **{**look(i), "linestyle": "none"}) for i, run in enumerate(runs)])
    figure.draw_without_rendering()
    for axes, points in drawn:
        named = [(language, *point) for (_, language), point in points.items()]
        name_points(axes, named, [str(look(runs.index(run))["color"]) for run, _ in points])
    return figure
