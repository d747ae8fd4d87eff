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
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from xglue_analysis.figures import (
    COLUMN,
    PAGE,
    SMALL,
    TEXT,
    Line,
    Row,
    blank,
    corner,
    label_few,
    layer_axis,
    layers_of,
    legend_below,
    look,
    looks_beside_black,
    need_value,
    number,
    over,
    paper_style,
    plain_ticks,
    save,
    short,
    values,
)
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
    "spectra_lines",
]

SYMMETRIC = ("cka", "cka_biased", "anc")
"""Measures of a pair of languages that have no direction; P@1 has: ``language_a`` asks, ``language_b`` is searched."""
MEASURES = {
    "cka": "CKA",
    "cka_biased": "CKA (biased)",
    "anc": "ANC",
    "p1_cosine": "P@1 (cosine)",
    "p1_csls": "P@1 (CSLS)",
}
BANDS = 6
"""Most languages whose intervals are drawn."""
NAMED = 12
"""Most models that :func:`correlation` names."""
DOTS = {"linestyle": "none", "markersize": 4.5}
GREY = {"color": "0.4", "marker": "o", "markeredgewidth": 0}


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
    handles = list(axes.lines)
    nulls = np.array([over(layers, line) for line in null.values()])
    if np.isfinite(nulls).any():
        top, bottom = np.fmax.reduce(nulls), np.fmin.reduce(nulls)
        axes.fill_between(layers, bottom, top, color="0.5", alpha=0.25, linewidth=0, zorder=1)
        handles += axes.plot(layers, top, color="0.4", linewidth=0.7, linestyle="--", label="null, 95%", zorder=2)
        shown.extend(bottom)
    axes.set(xlabel="layer", ylabel="CKA", ylim=(float(np.nanmin(shown)), 1.0))
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
    bar = figure.colorbar(image, ax=figure.axes, shrink=min(1.0, 2 / lines), aspect=25, fraction=0.05, label="CKA")
    plain_ticks(bar.ax)
    figure.supxlabel(f"layer of {name_b}", fontsize=TEXT)
    figure.supylabel(f"layer of {name_a}", fontsize=TEXT)
    return figure


@paper_style
def language_matrix(rows: Sequence[Row], *, measure: str, layer: int, title: str | None = None) -> Figure:
    """Draw how alike the languages are in one layer of one model: a matrix with its values in the cells.

    For CKA and ANC a pair that is given once fills both its cells. P@1 is directed: ``language_a``, to the left, asks,
    and ``language_b``, above, is searched. The diagonal is grey, cells without a value are white. Colours go from 0 to
    1; those of an ANC with negative values from -1 over white to 1.

    Args:
        rows: of keys ``language_a``, ``language_b``, ``layer`` and ``measure``; other layers are left out.
        measure: ``"cka"``, ``"cka_biased"``, ``"anc"``, ``"p1_cosine"`` or ``"p1_csls"``.
        layer: which layer, 0 being the embeddings.
        title: what stands above.

    Returns:
        A figure of one panel.

    Raises:
        ValueError: the measure is none of these, the layer is not in the rows, or no pair has a value.

    Source:
        Ji et al. 2024 (arXiv:2403.16777), Figure 2.
    """
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}: expected one of {', '.join(MEASURES)}")
    lines = values(rows, measure, ("language_a", "language_b"), ("layer",))
    known = layers_of(lines.values())
    if layer not in known:
        raise ValueError(f"no row is of layer {layer}: there are {', '.join(map(str, known))}")
    names = list(dict.fromkeys(name for pair in lines for name in pair))
    cells = np.full((len(names), len(names)), math.nan)
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if a != b:
                cells[i, j] = _pair(lines.get((a, b)), lines.get((b, a)), layer, measure in SYMMETRIC)
    need_value(cells, f"{measure} of two languages in layer {layer}")

    signed = measure == "anc" and float(np.nanmin(cells)) < -0.005  # what is printed as negative
    scale = Normalize(-1 if signed else 0, 1, clip=True)
    colours = colormaps["PuOr_r" if signed else "viridis"].with_extremes(bad="white")
    figure = blank(COLUMN, COLUMN - 0.05, title)
    axes = figure.add_subplot()
    axes.imshow(cells, norm=scale, cmap=colours)
    axes.imshow(np.where(np.eye(len(names)) > 0, 0.0, math.nan), cmap="Greys", vmin=-0.6, vmax=1)
    texts = {(i, j): short(cells[i, j]) for i, j in np.argwhere(np.isfinite(cells))}
    size = min(TEXT, (COLUMN - 0.5) * 72 / len(names) / (0.65 * max(3, *map(len, texts.values()))))
    for (i, j), text in texts.items():
        bright = np.dot(colours(scale(cells[i, j]))[:3], (0.299, 0.587, 0.114)) > 0.45
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color="black" if bright else "white")
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    if measure not in SYMMETRIC:
        axes.set(xlabel="searched language", ylabel="asking language")
        axes.xaxis.set_label_position("top")
        axes.xaxis.labelpad = 4
    axes.spines[:].set_visible(False)
    plain_ticks(axes)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    return figure


def _pair(there: Line | None, back: Line | None, layer: int, symmetric: bool) -> float:
    """The value of a pair in a layer; of its reverse where that is the same thing; NaN where there is none."""
    value = (there or {}).get((layer,), math.nan)
    return (back or {}).get((layer,), math.nan) if symmetric and math.isnan(value) else value


@paper_style
def language_lines(rows: Sequence[Row], *, pivot: str = "en", title: str | None = None) -> Figure:
    """Draw how near every language is to one, layer by layer: CKA, ANC and P@1 below each other.

    P@1 is the mean of both directions (a gap where one is missing), by CSLS where the rows have that, else by cosine.

    Args:
        rows: of keys ``language_a``, ``language_b``, ``layer``, ``cka``, ``anc`` and ``p1_csls`` or ``p1_cosine``, of
            one model. Pairs without the pivot are left out.
        pivot: the language that all others are compared with.
        title: what stands above.

    Returns:
        A figure of three panels that share their layers.

    Raises:
        ValueError: no pair has the pivot, or a language has no value of a measure.
    """
    pairs = [r for r in rows if pivot in (a_b := (r.get("language_a"), r.get("language_b"))) and a_b[0] != a_b[1]]
    if rows and not pairs:
        raise ValueError(f"no row compares {pivot!r} with another language: there is no line to draw")
    retrieval = "p1_csls" if any(math.isfinite(number(row.get("p1_csls"), "p1_csls")) for row in pairs) else "p1_cosine"
    figure = blank(COLUMN, 3.9, title)
    above: Axes | None = None
    for place, measure in enumerate(("cka", "anc", retrieval)):
        lines = values(pairs, measure, ("language_a", "language_b"), ("layer",))
        layers = layers_of(lines.values())
        names = list(dict.fromkeys(b if a == pivot else a for a, b in lines))
        axes = figure.add_subplot(3, 1, place + 1, sharex=above)
        for i, name in enumerate(names):
            one, other, same = lines.get((pivot, name)), lines.get((name, pivot)), measure in SYMMETRIC
            both = [[_pair(one, other, layer, same), _pair(other, one, layer, same)] for layer in layers]
            y = np.array([sum(directions) / 2 for directions in both])
            need_value(y, f"{measure} of {name} with {pivot}")
            axes.plot(layers, y, label=name, clip_on=False, **look(i))
        lowest = min(0.0, *(float(np.nanmin(line.get_ydata())) for line in axes.lines))
        axes.set(ylabel=MEASURES[measure], ylim=(lowest, None if measure == "anc" else 1.0))
        layer_axis(axes, layers)
        above = axes
        axes.label_outer()
    axes.set_xlabel("layer")
    figure.align_ylabels()
    legend_below(figure, list(axes.lines))
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

    figure = blank(PAGE, 2.7, title)
    left: Axes | None = None
    for line, (curves, label) in enumerate(((norms, r"$\Vert\sigma\Vert$"), (distances, "$d$ from the base"))):
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


@paper_style
def correlation(
    rows: Sequence[Row], correlations: Sequence[Row], *, x: str, y: str = "score", title: str | None = None
) -> Figure:
    """Draw one quantity of the models against another: one panel a task, one point a model.

    Up to twelve points are told apart by colour and marker, the same in all panels, and named below; more are grey
    dots. The corner of each panel says Spearman's rho, its p, the number of points and, where a model has several, that
    of models.

    Args:
        rows: of keys ``model``, ``task``, ``x`` and ``y``.
        correlations: of keys ``task``, ``rho``, ``p`` (either may be ``None``: too few points), ``models`` (how many)
            and ``points`` (as many as models where it is absent).
        x: key of the horizontal quantity.
        y: key of the vertical quantity.
        title: what stands above.

    Returns:
        A figure of as many panels as there are tasks.

    Raises:
        ValueError: the tasks of ``rows`` and ``correlations`` differ, or a task has no model with both quantities.
    """
    across, up = (values(rows, key, ("task", "model")) for key in (x, y))
    corners = {str(row.get("task")): corner(row) for row in correlations}
    tasks, models = (list(dict.fromkeys(key[part] for key in across)) for part in (0, 1))
    if different := set(tasks) ^ set(corners):
        raise ValueError(f"task {min(different)!r} is only in one of the points and the correlations")

    columns = min(2, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    figure = blank(COLUMN, lines * (2.2 / columns + 0.2) + 0.2, title)
    named = len(models) <= NAMED
    styles = {model: {**(look(i) if named else GREY), **DOTS} for i, model in enumerate(models)}
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(lines, columns, place + 1)
        points = {m: (across[task, m][()], up[task, m][()]) for m in models if (task, m) in across}
        points = {m: point for m, point in points.items() if math.isfinite(sum(point))}
        need_value(np.array(list(points.values())), f"model with both {x} and {y} in {task}")
        for model, point in points.items():
            axes.plot(*([value] for value in point), label=model, **styles[model])
        axes.margins(0.08)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.2 * (high - low))  # the text stands above all points
        axes.text(0.03, 0.97, corners[task], transform=axes.transAxes, ha="left", va="top", fontsize=SMALL)
        axes.set_title(task)
        axes.locator_params(nbins=4)
        axes.set(xlabel=x if place + columns >= len(tasks) else "", ylabel="" if place % columns else y)
        plain_ticks(axes)
    if named:
        legend_below(figure, [Line2D([], [], label=model, **styles[model]) for model in models])
    return figure
