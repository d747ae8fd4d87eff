"""The figures of a report that no other module draws: measures by layer, and what interventions did to scores.

Rows, style and errors are as in :mod:`xglue_analysis.plots`; write a figure with :func:`xglue_analysis.figures.save`.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xglue_analysis.figures import (
    COLUMN,
    PAGE,
    SMALL,
    Row,
    blank,
    layer_axis,
    layers_of,
    legend_below,
    look,
    need_value,
    number,
    over,
    paper_style,
    plain_ticks,
    values,
)

__all__ = ["BANDED", "LETTERS", "gains", "inline_svg", "measures_by_layer", "pages_of_text", "save_pdf"]

A4 = (8.27, 11.69)
LETTERS = 130
"""That a line of `pages_of_text` holds."""
LINES_OF_A_PAGE = 96
BANDED = 4
"""Most languages whose lines have bands; more would hide each other."""


@paper_style
def measures_by_layer(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw measures of one encoder by layer: a panel a measure, a line a language; of few languages a band, too.

    Args:
        rows: of keys ``measure``, ``language``, ``layer``, ``value`` and, which may be ``None``, ``low`` and ``high``.
        title: what stands above.

    Returns:
        A figure of as many panels as there are measures, two beside each other.

    Raises:
        ValueError: there are no rows, two are of the same, or a measure has no value.
    """
    lines, low, high = (values(rows, key, ("measure", "language"), ("layer",)) for key in ("value", "low", "high"))
    names = list(dict.fromkeys(measure for measure, _ in lines))
    languages = list(dict.fromkeys(language for _, language in lines))
    columns = min(2, len(names))
    down = math.ceil(len(names) / columns)
    figure = blank(PAGE if columns > 1 else COLUMN, 1.7 * down, title)
    for place, name in enumerate(names):
        axes = figure.add_subplot(down, columns, place + 1)
        own = {language: line for (measure, language), line in lines.items() if measure == name}
        layers = layers_of(own.values())
        for language, line in own.items():
            style, key = look(languages.index(language)), (name, language)
            y = over(layers, line)
            need_value(y, f"{name} of {language}")
            axes.plot(layers, y, **style)
            below, above = (over(layers, part[key]) for part in (low, high))
            if len(languages) <= BANDED and np.isfinite(below).any():
                axes.fill_between(layers, below, above, color=style["color"], alpha=0.12, linewidth=0)
        axes.set(title=name, xlabel="layer" if place + columns >= len(names) else "")
        layer_axis(axes, layers)
    legend_below(figure, [Line2D([], [], label=name, **look(i)) for i, name in enumerate(languages)])
    return figure


@paper_style
def gains(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw what interventions and their controls did to scores: a panel an intervention, a point a language.

    Args:
        rows: of keys ``panel``, ``language``, ``what`` (whose gain it is, such as the control's), ``gain`` and, which
            may be ``None``, ``low`` and ``high``; all in percentage points.
        title: what stands above.

    Returns:
        A figure of as many panels as there are interventions, below each other.

    Raises:
        ValueError: there are no rows, two are of the same, or a panel has no value.
    """
    points, low, high = (values(rows, key, ("panel", "what", "language")) for key in ("gain", "low", "high"))
    panels = list(dict.fromkeys(panel for panel, *_ in points))
    kinds = list(dict.fromkeys(what for _, what, _ in points))
    figure = blank(PAGE, 1.6 * len(panels), title)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        languages = list(dict.fromkeys(language for other, _, language in points if other == panel))
        axes.axhline(0, color="0.6", linewidth=0.7, zorder=1)
        for i, what in enumerate(kinds):
            shift = min(0.2, 0.6 / len(kinds)) * (i - (len(kinds) - 1) / 2)
            keys = [(panel, what, language) for language in languages if (panel, what, language) in points]
            x = np.array([languages.index(key[2]) + shift for key in keys])
            y, below, above = (np.array([part[key][()] for key in keys]) for part in (points, low, high))
            need_value(y, f"gain of {what} in {panel}")
            style = {**look(i), "linestyle": "none"}
            axes.vlines(x, below, above, color=style["color"], linewidth=0.9, alpha=0.6, zorder=2)
            axes.plot(x, y, zorder=3, **style)
        axes.set_xticks(range(len(languages)), languages)
        axes.set_xlim(-0.6, len(languages) - 0.4)
        axes.set(title=panel, ylabel="gain (points)")
        plain_ticks(axes)
        axes.tick_params(axis="x", labelsize=SMALL)
    handles = [Line2D([], [], label=what, **{**look(i), "linestyle": "none"}) for i, what in enumerate(kinds)]
    if any(math.isfinite(number(row.get("low"), "low")) for row in rows):
        handles.append(Line2D([], [], color="0.3", linewidth=0.9, alpha=0.6, label="bars: 95% interval"))
    legend_below(figure, handles)
    return figure


@paper_style
def inline_svg(figure: Figure, name: str) -> str:
    """A figure as an ``<svg>`` element that can stand in a page beside others.

    Comments and metadata, which repeat the figure's texts, are left out, and every id begins with ``name``: so two
    figures of one page do not share any.

    Args:
        figure: the figure.
        name: of letters, digits and hyphens; another one for each figure of a page.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # each pass would shift it a little, and equal figures are to be equal bytes
    memory = io.StringIO()
    figure.savefig(memory, format="svg", facecolor="white", metadata={"Date": None})
    svg = memory.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)


@paper_style
def pages_of_text(lines: Sequence[str]) -> list[Figure]:
    """Lines of text in a font of one width, on as many A4 pages as they take.

    Args:
        lines: each no longer than `LETTERS`.
    """
    figures = []
    for start in range(0, len(lines), LINES_OF_A_PAGE):
        figure = Figure(figsize=A4)
        text = "\n".join(lines[start : start + LINES_OF_A_PAGE])
        figure.text(
            0.07,
            0.95,
            text,
            family="monospace",
            fontsize=SMALL,
            linespacing=1.3,
            va="top",
            parse_math=False,
        )
        figures.append(figure)
    return figures


@paper_style
def save_pdf(figures: Iterable[Figure], path: Path, title: str) -> None:
    """Write figures into one PDF, each on a page of its own size; equal figures give equal bytes.

    Args:
        figures: in their order; each must have one page at least.
        path: of the file.
        title: of the document.

    Raises:
        OSError: it can't be written.
    """
    with PdfPages(path, metadata={"Title": title, "CreationDate": None, "ModDate": None}) as pdf:
        for figure in figures:
            pdf.savefig(figure)
