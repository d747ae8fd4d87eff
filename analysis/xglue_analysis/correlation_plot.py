"""The figure of correlations: one quantity of the models against another, every point with its name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from xglue_analysis.figures import (
    COLUMN,
    METRICS,
    PAGE,
    SMALL,
    Row,
    blank,
    corner,
    look,
    need_value,
    paper_style,
    plain_ticks,
    values,
)

NAMED = 40
"""Most points of a panel that have their names beside them."""
COLOURED = 12
"""Most models that are told apart by colour and marker."""
NARROW = 8
"""Most letters of a name that fit into a panel of half a column."""
DOTS = {"linestyle": "none", "markersize": 4.5, "clip_on": False}
GREY = {"color": "0.4", "marker": "o", "markeredgewidth": 0}
QUANTITIES = {
    "cka_en": "cka_en: CKA with English",
    "cka_pretrained": "cka_pretrained: CKA with the pretrained encoder",
    "cka_reference": "cka_reference: CKA with the reference encoder",
    "sigma_norm": r"sigma_norm: $\Vert\sigma\Vert$ of the weights",
    "sigma_distance": "sigma_distance: $d$ from the pretrained weights",
}
"""Names of our own diagnostics, on axes."""
PLACES = (
    *((5, 0, "left", "center"), (-5, 0, "right", "center"), (0, 5, "center", "bottom"), (0, -5, "center", "top")),
    *((4, 4, "left", "bottom"), (-4, 4, "right", "bottom"), (4, -4, "left", "top"), (-4, -4, "right", "top")),
)
"""Where a name may stand beside its point: offset in points (1/72 inch), and how the text is aligned."""


@paper_style
def correlation(
    rows: Sequence[Row], correlations: Sequence[Row], *, x: str, y: str = "score", title: str | None = None
) -> Figure:
    """Draw one quantity of the models against another: one panel a task, one point a model, its name beside it.

    Up to twelve models are told apart by colour and marker, too, the same in all panels; panels of more than forty
    points have no names. The corner of each panel says Spearman's rho, its p, the number of points and, where a model
    has several, that of models. A task with one point has no panel.

    Args:
        rows: of keys ``model``, ``task``, ``x`` and ``y``.
        correlations: of keys ``task``, ``rho``, ``p`` (either may be ``None``: too few points), ``models`` (how many),
            ``points`` (as many as models where it is absent) and, to name the axis, ``metric`` (may be absent).
        x: key of the horizontal quantity.
        y: key of the vertical quantity.
        title: what stands above.

    Returns:
        A figure of as many panels as there are tasks with two points; as wide as two columns of a paper where there
        are several panels and long names.

    Raises:
        ValueError: the tasks of ``rows`` and ``correlations`` differ, a task has no model with both quantities, or none
            has two of them.
    """
    across, up = (values(rows, key, ("task", "model")) for key in (x, y))
    corners = {str(row.get("task")): corner(row) for row in correlations}
    metrics = {str(row.get("task")): str(row["metric"]) for row in correlations if row.get("metric")}
    tasks, models = (list(dict.fromkeys(key[part] for key in across)) for part in (0, 1))
    if different := set(tasks) ^ set(corners):
        raise ValueError(f"task {min(different)!r} is only in one of the points and the correlations")
    panels: dict[str, dict[str, tuple[float, float]]] = {}
    for task in tasks:
        points = {m: (across[task, m][()], up[task, m][()]) for m in models if (task, m) in across}
        panels[task] = {m: point for m, point in points.items() if math.isfinite(sum(point))}
        need_value(np.array(list(panels[task].values())), f"model with both {x} and {y} in {task}")
    panels = {task: points for task, points in panels.items() if len(points) > 1}
    if not panels:
        raise ValueError(f"a scatter of {x} and {y} needs two points at least, and no task has more than one")

    columns = min(2, len(panels))
    lines = math.ceil(len(panels) / columns)
    width = PAGE if columns > 1 and max(map(len, models)) > NARROW else COLUMN
    figure = blank(width, lines * (2.2 * width / COLUMN / columns + 0.2) + 0.2, title)
    styles = {m: {**(look(i) if len(models) <= COLOURED else GREY), **DOTS} for i, m in enumerate(models)}
    drawn = []
    for place, (task, points) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, columns, place + 1)
        for model, point in points.items():
            axes.plot(*([value] for value in point), label=model, **styles[model])
        axes.margins(0.15)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.2 * (high - low))  # the text stands above all points
        axes.text(0.03, 0.97, corners[task], transform=axes.transAxes, ha="left", va="top", fontsize=SMALL)
        axes.set_title(task)
        axes.locator_params(nbins=4)
        metric = f" ({METRICS.get(metrics[task], metrics[task])})" if task in metrics else ""
        named = y + metric if metric or not place % columns else ""
        axes.set(xlabel=QUANTITIES.get(x, x) if place + columns >= len(panels) else "", ylabel=named)
        plain_ticks(axes)
        drawn.append(axes)
    figure.draw_without_rendering()  # where points lie is known only then
    for axes, points in zip(drawn, panels.values(), strict=True):
        name_points(axes, [(name, *point) for name, point in points.items()])
    return figure


def name_points(axes: Axes, points: Sequence[tuple[str, float, float]], colours: Sequence[str] | None = None) -> None:
    """Write the name of each point beside it, where it covers least of the others' points and names.

    Names take no part in the layout, which would move the points again. The figure must have been laid out
    (``draw_without_rendering``), since where points lie is known only then.

    Args:
        axes: of the points.
        points: name, x and y of each; more than `NAMED` are not named, for they would cover each other.
        colours: of the names, ``[points]``; ``None``: grey.
    """
    if not points or len(points) > NAMED:
        return
    radius = 2.5 * axes.figure.dpi / 72
    pixels = axes.transData.transform([(x, y) for _, x, y in points])
    taken = [Bbox([(px - radius, py - radius), (px + radius, py + radius)]) for px, py in pixels]
    taken += [text.get_window_extent() for text in axes.texts]
    frame = axes.get_window_extent()
    for (name, x, y), colour in zip(points, colours or ["0.25"] * len(points), strict=True):
        best: tuple[float, int] | None = None
        text = axes.annotate(name, (x, y), (0, 0), textcoords="offset points", fontsize=SMALL, color=colour)
        text.set_in_layout(False)
        boxes = []
        for number, place in enumerate(PLACES):
            _put(text, place)
            box = text.get_window_extent()
            boxes.append(box)
            outside = box.width * box.height - _common(box, frame)
            covered = sum(_common(box, other) for other in taken) + 4 * outside
            if best is None or covered < best[0] - 1e-6:
                best = covered, number
        assert best is not None
        _put(text, PLACES[best[1]])
        taken.append(boxes[best[1]])


def _put(text: Annotation, place: tuple[int, int, str, str]) -> None:
    """Move a name to one of the places beside its point."""
    right, up, horizontal, vertical = place
    text.set(position=(right, up), horizontalalignment=horizontal, verticalalignment=vertical)


def _common(one: Bbox, other: Bbox) -> float:
    """Area (square pixels) that two boxes share."""
    wide, high = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, wide) * max(0.0, high))
