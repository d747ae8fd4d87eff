"""The figure of a training by epoch: CKA to the pretrained encoder and to English, beside the scores.

Rows, style and errors are as in :mod:`xglue_analysis.plots`; write a figure with :func:`xglue_analysis.figures.save`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from xglue_analysis.figures import (
    CHANCE,
    METRICS,
    PAGE,
    Row,
    blank,
    legend_below,
    look,
    need_value,
    number,
    paper_style,
    plain_ticks,
)

BANDED = 6
"""Most languages whose intervals are drawn; more would cover each other."""
CROSSES: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 4.5, "markeredgewidth": 0.9}
SCORES = ("dev", "test")
"""Measures that share one panel."""
LABELS = {"cka_pretrained": "CKA to the pretrained encoder", "cka_en": "CKA to English, same epoch"}


@paper_style
def epoch_lines(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw a training by epoch, a line a language: a row of panels a training, a panel for each CKA and one for scores.

    A band is the 95% interval over sentences, where there are at most `BANDED` languages. Dashed is what chance reaches
    (95% of permutations of the sentences, the highest of all points), where the axis comes near it. Dev scores are
    lines; test scores, which not every epoch has, are crosses.

    Args:
        rows: of keys ``task``, ``metric``, ``run``, ``measure`` (``dev``, ``test`` or that of a CKA), ``language``,
            ``epoch``, ``value`` (scores from 0 to 100), ``low``, ``high`` and ``null_p95``, each of which may be
            ``None``.
        title: what stands above.

    Returns:
        A figure of as many rows of panels as there are trainings.

    Raises:
        ValueError: there are no rows, or a row lacks a key or holds something else, or there is no value.
    """
    if not rows:
        raise ValueError("there are no rows to draw")
    need_value(np.array([number(row["value"], "a value") for row in rows]), "value by epoch")
    trainings = list(dict.fromkeys((row["task"], row["metric"], row["run"]) for row in rows))
    measures = list(dict.fromkeys(str(row["measure"]) for row in rows if row["measure"] not in SCORES))
    scored = any(row["measure"] in SCORES for row in rows)
    panels = [(measure,) for measure in measures] + [SCORES] * scored
    languages = list(dict.fromkeys(str(row["language"]) for row in rows))
    figure = blank(PAGE, 2.0 * len(trainings), title)
    drawn: set[str] = set()
    for line, (task, metric, run) in enumerate(trainings):
        own = [row for row in rows if (row["task"], row["metric"], row["run"]) == (task, metric, run)]
        for place, panel in enumerate(panels):
            axes = figure.add_subplot(len(trainings), len(panels), line * len(panels) + place + 1)
            here = [row for row in own if row["measure"] in panel]
            if here:
                drawn |= _draw(axes, here, languages)
            else:
                axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="0.5")
            name = METRICS.get(str(metric), str(metric))
            axes.set_ylabel(f"{name} (%)" if panel == SCORES else LABELS.get(panel[0], panel[0]))
            axes.set_title(f"{task}: {run}" if place == 0 else "", loc="left")
            axes.set_xlabel("epoch" if line == len(trainings) - 1 else "")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            plain_ticks(axes)
    legend_below(figure, _handles(languages, drawn))
    return figure


def _draw(axes: Axes, rows: Sequence[Row], languages: Sequence[str]) -> set[str]:
    """Lines of one panel.

    Returns:
        What the legend has to explain: ``band``, ``chance``, ``dev`` and ``test``.
    """
    drawn: set[str] = set()
    for language, measure in dict.fromkeys((str(row["language"]), str(row["measure"])) for row in rows):
        own = [row for row in rows if (row["language"], row["measure"]) == (language, measure)]
        keys = ("epoch", "value", "low", "high")
        table = np.array(sorted([number(row[key], f"{key!r} of {language}") for key in keys] for row in own))
        epochs, values, low, high = table.T
        style = look(languages.index(language))
        if measure == "test":
            crosses = {**CROSSES, "color": style["color"], "markeredgecolor": style["color"]}
            axes.plot(epochs, values, **crosses, zorder=4)
        else:
            axes.plot(epochs, values, **style, zorder=3)
            if len(languages) <= BANDED and np.isfinite(low + high).any():
                axes.fill_between(epochs, low, high, color=style["color"], alpha=0.15, linewidth=0)
                drawn.add("band")
        drawn |= {measure} & {*SCORES}
    nulls = [number(row["null_p95"], "'null_p95'") for row in rows]
    chance = max((value for value in nulls if math.isfinite(value)), default=math.nan)
    bottom, top = axes.get_ylim()
    if chance > bottom - (top - bottom):  # else the lines would have no room
        axes.axhline(chance, **CHANCE)
        drawn.add("chance")
    return drawn


def _handles(languages: Sequence[str], drawn: set[str]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [Line2D([], [], label=name, **look(i)) for i, name in enumerate(languages)]
    if "band" in drawn:
        handles.append(Patch(color="0.5", alpha=0.3, linewidth=0, label="95% interval over documents"))
    if "chance" in drawn:
        handles.append(Line2D([], [], label="by chance, 95%", **CHANCE))
    if "dev" in drawn:
        handles.append(Line2D([], [], color="0.3", linewidth=0.9, label="dev"))
    if "test" in drawn:
        handles.append(Line2D([], [], **CROSSES, color="0.3", label="test"))
    return handles
