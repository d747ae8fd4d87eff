"""The figure of frozen encoders: a probe's score by layer and language, a panel a task."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xglue_analysis.figures import (
    METRICS,
    PAGE,
    Row,
    blank,
    layer_axis,
    layers_of,
    legend_below,
    look,
    need_value,
    over,
    paper_style,
    values,
)

COLUMNS = 3
"""Most panels beside each other."""


@paper_style
def probe_lines(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw the score of every language, layer by layer; each panel names its metric.

    Args:
        rows: of keys ``task``, ``metric``, ``language``, ``layer`` and ``score``, of one encoder.
        title: what stands above.

    Returns:
        A figure with a panel a task, each from 0 to 1; a language looks the same in all of them.

    Raises:
        ValueError: there are no rows, two are of the same, or a language has no score in any layer.
    """
    lines = values(rows, "score", ("task", "metric", "language"), ("layer",))
    panels = list(dict.fromkeys((task, metric) for task, metric, _ in lines))
    languages = list(dict.fromkeys(language for _, _, language in lines))
    across = min(COLUMNS, len(panels))
    down = math.ceil(len(panels) / across)
    figure = blank(PAGE, 1.9 * down, title)
    shown: dict[str, Line2D] = {}
    for place, (task, metric) in enumerate(panels):
        axes = figure.add_subplot(down, across, place + 1)
        own = {language: line for (name, _, language), line in lines.items() if name == task}
        layers = layers_of(own.values())
        for language, line in own.items():
            heights = over(layers, line)
            need_value(heights, f"{task} of {language}")
            (drawn,) = axes.plot(layers, heights, label=language, clip_on=False, **look(languages.index(language)))
            shown.setdefault(language, drawn)
        layer_axis(axes, layers)
        axes.set_ylim(0, 1)  # else noise about chance looks like a curve, and figures of two encoders don't compare
        axes.set(
            title=task, ylabel=METRICS.get(metric, metric), xlabel="layer" if place >= len(panels) - across else ""
        )
    legend_below(figure, [shown[language] for language in languages])
    return figure
