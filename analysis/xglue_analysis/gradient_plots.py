"""The figure of gradients during a training: a task's against an alignment loss's, by layer.

Rows, style and errors are as in :mod:`xglue_analysis.plots`; write a figure with :func:`xglue_analysis.figures.save`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from xglue_analysis.figures import (
    BLACK,
    OKABE_ITO,
    PAGE,
    Row,
    Values,
    blank,
    legend_below,
    need_value,
    paper_style,
    plain_ticks,
)
from xglue_analysis.figures import values as column
from xglue_analysis.gradients import ALL

PANELS = {"cosine": "translations", "shuffled": "shuffled (control)", "agreement": "halves of the rows"}
_NULL = "0.65"
_STYLE: dict[str, Any] = {"linewidth": 0.8, "marker": "o", "markersize": 1.8}


@paper_style
def gradient_lines(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw the cosine of a task's gradient and an alignment loss's over a training, a line a layer; a row a training.

    Beside it stands the control, where sentences do not match. Grey is what 95% of random gradients of the smallest
    layer's size stay within. The last panel says how far noise alone holds cosines down: how well the gradients of two
    halves of the rows agree, over all layers.

    Args:
        rows: of keys ``task``, ``run``, ``layer`` (its number as text, or `ALL`), ``step``, ``epoch`` (that the step
            stands at), ``cosine``, ``shuffled``, ``task_agreement``, ``alignment_agreement`` and ``null_p95``.
        title: what stands above.

    Returns:
        A figure of three panels a training.

    Raises:
        ValueError: there are no rows, or a row lacks a key, or there is no cosine.
    """
    names = ("task", "run", "layer")
    kinds = ("cosine", "shuffled", "task_agreement", "alignment_agreement", "null_p95", "epoch")
    lines = {kind: column(rows, kind, names, ("step",)) for kind in kinds}
    need_value(np.array([value for line in lines["cosine"].values() for value in line.values()]), "cosine")
    trainings = list(dict.fromkeys(key[:2] for key in lines["cosine"]))
    layers = list(dict.fromkeys(key[2] for key in lines["cosine"] if key[2] != ALL))
    figure = blank(PAGE, 1.9 * len(trainings), title)
    for place, training in enumerate(trainings):
        shared: Axes | None = None
        for number, (panel, said) in enumerate(PANELS.items()):
            alike = panel != "agreement"
            axes = figure.add_subplot(len(trainings), 3, 3 * place + number + 1, sharey=shared if alike else None)
            shared = axes if shared is None else shared
            if alike:
                _draw_layers(axes, lines[panel], lines, training, layers)
            else:
                _draw_agreement(axes, lines, training)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            label = {"cosine": "cosine of gradients", "agreement": "cosine"}.get(panel, "")
            axes.set(xlabel="epoch", ylabel=label, title=said if alike else f"agreement of {said}")
            plain_ticks(axes)
        if len(trainings) > 1 and shared is not None:
            shared.set_ylabel(f"{' '.join(training)}\ncosine of gradients")
    legend_below(figure, _handles(layers))
    return figure


def _draw_layers(
    axes: Axes,
    lines: Values,
    every: dict[str, Values],
    training: tuple[str, ...],
    layers: Sequence[str],
) -> None:
    null = max(value for key, line in every["null_p95"].items() if key[:2] == training for value in line.values())
    if math.isfinite(null):
        axes.axhspan(-null, null, color=_NULL, linewidth=0, zorder=0)
    for layer in (*layers, ALL):
        key = (*training, layer)
        if key in lines:
            colour, dashes = (BLACK, "--") if layer == ALL else (_colour(layers, layer), "-")
            steps = sorted(lines[key])
            epochs = [every["epoch"][key][step] for step in steps]
            axes.plot(epochs, [lines[key][step] for step in steps], **_STYLE, color=colour, linestyle=dashes)


def _draw_agreement(axes: Axes, every: dict[str, Values], training: tuple[str, ...]) -> None:
    key = (*training, ALL)
    for kind, colour in (("task_agreement", OKABE_ITO[0]), ("alignment_agreement", OKABE_ITO[1])):
        line = every[kind].get(key, {})
        steps = sorted(line)
        axes.plot([every["epoch"][key][step] for step in steps], [line[step] for step in steps], **_STYLE, color=colour)
    axes.axhline(0, color="0.5", linewidth=0.5, zorder=1)
    axes.set_ylim(top=1)


def _colour(layers: Sequence[str], layer: str) -> str:
    return to_hex(colormaps["viridis"](0.95 * layers.index(layer) / max(1, len(layers) - 1)))


def _handles(layers: Sequence[str]) -> list[Line2D | Patch]:
    shown = [layers[place] for place in sorted({0, len(layers) // 2, len(layers) - 1})] if layers else []
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_colour(layers, layer), linewidth=0.8, label=f"layer {layer}") for layer in shown
    ]
    handles.append(Line2D([], [], color=BLACK, linewidth=0.8, linestyle="--", label="all layers"))
    handles.append(Patch(color=_NULL, label="95% of random gradients"))
    for name, colour in (("task", OKABE_ITO[0]), ("alignment", OKABE_ITO[1])):
        handles.append(Line2D([], [], color=colour, linewidth=0.8, label=name))
    return handles
