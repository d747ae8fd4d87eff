"""The figures: from the tidy rows that the commands write to PNG and SVG.

Every function takes a list of rows, draws one :class:`matplotlib.figure.Figure` and touches no file; :func:`save`
writes it. Languages, models and tasks come in the order in which the rows first name them. A value that is ``None`` or
NaN, or whose row is absent, is a gap; a line or a panel without any value is an error that says what is missing, and so
are two rows of the same.

matplotlib is an optional dependency: import this module only where a figure is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from xglue_analysis.correlation_plot import correlation
from xglue_analysis.figures import (
    CHANCE,
    COLUMN,
    PAGE,
    TEXT,
    Row,
    blank,
    label_few,
    layer_axis,
    layers_of,
    legend_below,
    look,
    looks_beside_black,
    need_value,
    over,
    paper_style,
    plain_ticks,
    save,
    values,
)
from xglue_analysis.language_plots import MEASURES, language_lines, language_matrix, space_lines
from xglue_analysis.probe_plots import probe_lines
from xglue_analysis.roles import ROLES

__all__ = [
    "cka_heatmaps",
    "cka_lines",
    "correlation",
    "language_lines",
    "language_matrix",
    "probe_lines",
    "save",
    "space_lines",
    "spectra_lines",
]

BANDS = 6
"""Most languages whose intervals are drawn."""


@paper_style
def cka_lines(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw how alike two models are, layer by layer: one line a language.

    The debiased CKA of layer ``l`` of the one with layer ``l`` of the other, the interval as a band where there are at
    most six languages, and what the null (sentences shuffled) reaches at its 95th percentile: grey from the lowest to
    the highest of the languages, dashed at the highest. Pairs of different layers are left to :func:`cka_heatmaps`, and
    the biased estimate to the table.

    Args:
        rows: of keys ``language``, ``layer_a``, ``layer_b``, ``cka`` and, each of which may be ``None`` or absent,
            ``null_p95``, ``low`` and ``high``. Layer 0 is the embeddings.
        title: what stands above.

    Returns:
        A figure of one panel.

    Raises:
        ValueError: no row has ``layer_a`` equal to ``layer_b``, or a language has no value.

    Source:
        Ji et al. 2024 (arXiv:2403.16777), Figure 1.
    """
    matched = [row for row in rows if row.get("layer_a") == row.get("layer_b")]
    if rows and not matched:
        raise ValueError("no row compares layer l with layer l (layer_a equal to layer_b): there is no line to draw")
    lines = values(matched, "cka", ("language",), ("layer_a",))
    filled = [{"null_p95": None, "low": None, "high": None, **row} for row in matched]
    low, high, null = (values(filled, key, ("language",), ("layer_a",)) for key in ("low", "high", "null_p95"))
    layers = layers_of(lines.values())

    figure = blank(COLUMN, 2.1, title)
    axes = figure.add_subplot()
    shown = [0.0]
    for i, (language, line) in enumerate(lines.items()):
        y = over(layers, line)
        need_value(y, f"cka of {language[0]} in a matched layer")
        axes.plot(layers, y, label=language[0], zorder=3, clip_on=False, **look(i))
        shown.extend(y)
        if len(lines) <= BANDS:
            below, above = over(layers, low[language]), over(layers, high[language])
            if np.isfinite(below + above).any():
                axes.fill_between(layers, below, above, color=look(i)["color"], alpha=0.2, linewidth=0)
                shown.extend(below)
    handles: list[Line2D | Patch] = list(axes.lines)
    if axes.collections:
        handles.append(Patch(color="0.5", alpha=0.3, linewidth=0, label="95% interval"))
    nulls = np.array([over(layers, line) for line in null.values()])
    if np.isfinite(nulls).any():
        top, bottom = np.fmax.reduce(nulls), np.fmin.reduce(nulls)
        axes.fill_between(layers, bottom, top, color="0.5", alpha=0.25, linewidth=0, zorder=1)
        handles += axes.plot(layers, top, label="by chance, 95%", **CHANCE)
        shown.extend(bottom)
    axes.set(xlabel="layer", ylabel=MEASURES["cka"], ylim=(float(np.nanmin(shown)), 1.0))
    layer_axis(axes, layers)
    legend_below(figure, handles)
    return figure


@paper_style
def cka_heatmaps(rows: Sequence[Row], *, title: str | None = None, name_a: str = "A", name_b: str = "B") -> Figure:
    """Draw the debiased CKA of every layer of one model with every layer of another: one panel a language.

    The first panel is the mean over the languages where there are several; a pair of layers that one of them lacks is
    a gap there. All panels share colours from 0 to 1: the few values below 0 are drawn as 0.

    Args:
        rows: of keys ``language``, ``layer_a``, ``layer_b`` and ``cka``.
        title: what stands above.
        name_a: the model of ``layer_a``, upwards.
        name_b: the model of ``layer_b``, to the right.

    Returns:
        A figure of one panel, or of one more than there are languages, and the colour bar.

    Raises:
        ValueError: a panel has no value.
    """
    grids = values(rows, "cka", ("language",), ("layer_a", "layer_b"))
    up, right = layers_of(grids.values(), 0), layers_of(grids.values(), 1)
    panels: dict[str, NDArray[np.float64]] = {}
    for (language,), cells in grids.items():
        panels[language] = np.array([[cells.get((a, b), math.nan) for b in right] for a in up])
        need_value(panels[language], f"cka of {language}")
    if len(panels) > 1:
        mean = np.mean(list(panels.values()), axis=0)
        need_value(mean, "pair of layers that has a cka in every language, and so no mean")
        panels = {"mean": mean, **panels}

    columns = min(4, math.ceil(math.sqrt(len(panels))))
    lines = math.ceil(len(panels) / columns)
    height = ((COLUMN - 0.95) / columns - 0.07) * len(up) / len(right)
    figure = blank(COLUMN, lines * (height + 0.2) + 0.35, title)
    for i, (name, panel) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, columns, i + 1)
        image = axes.imshow(
            panel, origin="lower", vmin=0, vmax=1, cmap=colormaps["viridis"].with_extremes(bad="0.85"), aspect="equal"
        )
        axes.set_title(name)
        label_few(axes, right, up, x=i + columns >= len(panels), y=i % columns == 0)
    bar = figure.colorbar(
        image, ax=figure.axes, shrink=min(1.0, 2 / lines), aspect=25, fraction=0.05, label=MEASURES["cka"]
    )
    plain_ticks(bar.ax)
    figure.supxlabel(f"layer of {name_b}", fontsize=TEXT)
    figure.supylabel(f"layer of {name_a}", fontsize=TEXT)
    return figure


@paper_style
def spectra_lines(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw the singular values of the weights, layer by layer: their norm, and how far they are from the base's.

    Two rows of six panels over two columns of a paper: above the norm, below the distance, each for the six matrices of
    a layer. Within a row the four of attention share one scale and the two of the feed-forward net another. A model
    whose rows have no distance is the base: black, and absent below.

    Args:
        rows: of keys ``model``, ``layer`` (from 0), ``role`` (``K``, ``Q``, ``V``, ``Out``, ``FC up``, ``FC down``),
            ``norm`` and ``distance`` (``None`` for the base).
        title: what stands above.

    Returns:
        A figure of twelve panels.

    Raises:
        ValueError: a role is unknown or has no row, no model has a distance, or a line has no value.

    Source:
        Ji et al. 2024 (arXiv:2403.16777): the norm and the distance.
    """
    norms, distances = (values(rows, key, ("role", "model"), ("layer",)) for key in ("norm", "distance"))
    if unknown := {role for role, _ in norms} - set(ROLES):
        raise ValueError(f"unknown role {min(unknown)!r}: expected one of {', '.join(ROLES)}")
    models = list(dict.fromkeys(model for _, model in norms))
    moved = {m for (_, m), line in distances.items() if any(math.isfinite(value) for value in line.values())}
    if not moved:
        raise ValueError("no row has a distance: there is no model beside the base")
    styles = looks_beside_black(models, moved)

    base = next((model for model in models if model not in moved and len(models) == len(moved) + 1), "the base")
    figure = blank(PAGE, 2.7, title)
    left: Axes | None = None
    for line, (curves, label) in enumerate(
        ((norms, r"norm $\Vert\sigma\Vert$"), (distances, f"distance $d$ from {base}"))
    ):
        for column, role in enumerate(ROLES):
            first = column in (0, 4)  # K, Q, V and Out share one scale; FC up and FC down another
            axes = figure.add_subplot(2, len(ROLES), line * len(ROLES) + column + 1, sharey=None if first else left)
            left = axes if first else left
            layers = layers_of(each for (its, _), each in curves.items() if its == role)
            for model in models if curves is norms else [m for m in models if m in moved]:
                y = over(layers, curves.get((role, model), {}))
                need_value(y, f"{('norm', 'distance')[line]} of {model} in {role}")
                axes.plot(layers, y, label=model, **styles[model])
            layer_axis(axes, layers, ticks=4)
            axes.tick_params(labelleft=first, labelbottom=line == 1)
            axes.set(title="" if line else role, xlabel="layer" if line else "", ylabel="" if column else label)
    legend_below(figure, list(figure.axes[0].lines))
    return figure
