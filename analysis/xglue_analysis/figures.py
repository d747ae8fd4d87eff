"""What the figures of :mod:`xglue_analysis.plots` share: reading rows, style, legends and files.

The figures are made for one column of a paper (3.35 inches wide, text of 6 to 8 points) with matplotlib's
object-oriented interface only: no pyplot, no window, and no setting of the caller's is read or left changed.

Source:
    Colours: Okabe and Ito 2008, *Color Universal Design*.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerLine2D
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

Row: TypeAlias = Mapping[str, object]
"""One tidy row, as the commands write them; ``None`` and NaN are missing values."""
Line: TypeAlias = dict[tuple[int, ...], float]
"""Values by the layers they are of: one line, or the cells of one matrix."""
Values: TypeAlias = dict[tuple[str, ...], Line]
"""One column of the rows, by what names the row and then by its layers."""

COLUMN, PAGE = 3.35, 6.9
"""Widths of one and of two columns of a paper, in inches."""
TEXT, SMALL = 7.0, 6.0
"""Sizes of labels and legends, and of tick labels, in points."""
BLACK, YELLOW = "#000000", "#F0E442"
CHANCE: dict[str, Any] = {"color": "0.4", "linewidth": 0.7, "linestyle": "--", "zorder": 2}
"""How what is reached by chance is drawn, in every figure."""
METRICS = {"acc": "accuracy", "f1": "F1", "ndcg": "nDCG"}
"""Names of the metrics of tasks, on axes."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK, YELLOW)
MARKERS = {"o": 3.0, "s": 2.8, "^": 3.4, "D": 2.6, "v": 3.4, "P": 3.8, "X": 3.8, "<": 3.4, ">": 3.4, "p": 3.6, "*": 5.0}
"""Markers and their sizes in points, so that they look equally large."""
DASHES = ("-", "--", ":")
LINES = len(OKABE_ITO) * len(DASHES)
"""Most lines that one figure keeps apart: eight colours in three dashes, and neighbours differ in their markers."""

paper_style = style.context(
    [
        "default",
        {
            "figure.dpi": 300,
            "font.size": TEXT,
            "axes.titlesize": TEXT,
            "axes.titlepad": 3,
            "axes.labelpad": 2,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.titlesize": 8,
            "figure.constrained_layout.h_pad": 0.04,
            "figure.constrained_layout.w_pad": 0.04,
            "svg.fonttype": "path",  # glyphs as outlines: the same picture where DejaVu Sans is not installed
            "svg.hashsalt": "xglue_analysis",
            "image.cmap": "viridis",
        },
    ]
)
"""Decorator and context in which figures are built and saved: matplotlib's defaults and ours, the caller's put back."""


def values(rows: Sequence[Row], column: str, names: Sequence[str], layers: Sequence[str] = ()) -> Values:
    """Read one column of tidy rows.

    Args:
        rows: the rows.
        column: key of the value; ``None``, NaN and infinities are read as NaN, which is drawn as a gap.
        names: keys of the text that names a row, such as ``("language_a", "language_b")``.
        layers: keys of its layer numbers, such as ``("layer",)``.

    Returns:
        ``{(name, ...): {(layer, ...): value}}`` in the order of the rows.

    Raises:
        ValueError: there are no rows, a row lacks a key or holds another kind of value, or two rows are of the same.
    """
    if not rows:
        raise ValueError("there are no rows to draw")
    lines: Values = {}
    for i, row in enumerate(rows):
        lacking = [key for key in (*names, *layers, column) if key not in row]
        if lacking:
            raise ValueError(f"row {i} has no {lacking[0]!r}; it has {', '.join(row) or 'nothing'}")
        line = lines.setdefault(tuple(str(row[key]) for key in names), {})
        place = tuple(_layer(row[key], f"{key!r} of row {i}") for key in layers)
        if place in line:
            same = ", ".join(f"{key} {row[key]}" for key in (*names, *layers))
            raise ValueError(f"row {i} is the second of {same}: draw the rows of one comparison at a time")
        line[place] = number(row[column], f"{column!r} of row {i}")
    return lines


def _layer(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{where} is {value!r}: expected a layer's number")
    return int(value)


def number(value: object, where: str) -> float:
    """Read a number; ``None``, NaN and infinities as NaN.

    Raises:
        ValueError: the value at ``where`` is something else.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{where} is {value!r}: expected a number or None")
    return float(value) if math.isfinite(value) else math.nan


def layers_of(lines: Iterable[Line], position: int = 0) -> list[int]:
    """The layer numbers of some lines of :func:`values`, ascending: number ``position`` of each key."""
    return sorted({place[position] for line in lines for place in line})


def over(layers: Sequence[int], line: Line) -> NDArray[np.float64]:
    """One line of :func:`values` over given layers, ``[layers]``; NaN where it has none."""
    return np.array([line.get((layer,), math.nan) for layer in layers], dtype=np.float64)


def need_value(array: NDArray[np.float64], what: str) -> None:
    """Refuse to draw nothing.

    Raises:
        ValueError: no entry of ``array`` is a number; the message says that ``what`` is missing.
    """
    if not np.isfinite(array).any():
        raise ValueError(f"there is no {what}: every value is None, NaN or absent")


def blank(width: float, height: float, title: str | None) -> Figure:
    """An empty figure in constrained layout, ``height`` inches and the lines of its title high."""
    lines = textwrap.wrap(title or "", int(width * 14.5))
    figure = Figure(figsize=(width, height + 0.14 * len(lines)), layout="constrained")
    if lines:
        figure.suptitle("\n".join(lines))
    return figure


def plain_ticks(axes: Axes) -> None:
    """Fix what matplotlib would read from the settings only when it draws: size and length of ticks."""
    axes.tick_params(labelsize=SMALL, width=0.5, length=2, pad=1.5)


def layer_axis(axes: Axes, layers: Sequence[int], ticks: int = 8) -> None:
    """Make x an axis of layers: whole numbers, half a step of room at both ends."""
    axes.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True, steps=[1, 2, 3, 4, 6, 10]))
    plain_ticks(axes)


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of line ``index``.

    Raises:
        ValueError: there are more lines than :data:`LINES`.
    """
    if index >= LINES:
        raise ValueError(f"more than {LINES} lines can't be told apart in one figure: draw fewer languages or models")
    colour = OKABE_ITO[index % len(OKABE_ITO)]
    marker, size = list(MARKERS.items())[index % len(MARKERS)]
    return {
        "color": colour,
        "linestyle": DASHES[index // len(OKABE_ITO)],
        "linewidth": 0.9,
        "marker": marker,
        "markersize": size,
        "markeredgewidth": 0.5 if colour == YELLOW else 0.0,  # yellow alone is too pale on white
        "markeredgecolor": "0.3",
    }


def looks_beside_black(names: Sequence[str], coloured: Collection[str]) -> dict[str, dict[str, Any]]:
    """The :func:`look` of each of some names: black for all but the ``coloured`` ones.

    Raises:
        ValueError: there are more of either than can be told apart.
    """
    looks = [look(i) for i in range(LINES)]
    free = {black: [each for each in looks if (each["color"] == BLACK) == black] for black in (True, False)}
    for black, pool in free.items():
        if sum((name not in coloured) == black for name in names) > len(pool):
            raise ValueError(f"the lines of {len(names)} models can't be told apart in one figure: draw fewer")
    return {name: free[name not in coloured].pop(0) for name in names}


def legend_below(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """Put one legend under all panels, in as many columns as the width holds, and make room for it."""
    labels = [str(handle.get_label()) for handle in handles]
    length = 2.4 if any(handle.get_linestyle() != "None" for handle in handles) else 1.0
    room = figure.get_figwidth() * 72 / TEXT
    lines = next(n for n in range(1, len(labels) + 1) if n == len(labels) or _width(labels, n, length) < room)
    figure.set_figheight(figure.get_figheight() + lines * TEXT * 1.45 / 72)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=math.ceil(len(labels) / lines),
        fontsize=TEXT,
        frameon=False,
        handlelength=length,
        handletextpad=0.4,
        columnspacing=1.0,
        labelspacing=0.3,
        borderpad=0.1,
        borderaxespad=0.1,
        handler_map={Line2D: HandlerLine2D(numpoints=1)},
    )


def _width(labels: Sequence[str], lines: int, handle: float) -> float:
    """About how wide a legend of so many lines is, in widths of an em: a letter is 0.6 of it."""
    columns = np.array_split(np.array([len(label) for label in labels]), math.ceil(len(labels) / lines))
    return sum(handle + 1.4 + 0.6 * int(column.max()) for column in columns)


def short(value: float, decimals: int = 2) -> str:
    """Two decimals, or so many, without the leading zero, ``.53``."""
    text = f"{abs(value):.{decimals}f}"
    return ("−" if value < 0 and float(text) else "") + (text[1:] if text.startswith("0") else text)


def two_digits(value: float) -> str:
    """Two significant digits without the leading zero, ``.0021``; two decimals at least, and six at most."""
    decimals = 1 - math.floor(math.log10(abs(value))) if value else 2
    return short(value, min(max(decimals, 2), 6))


def corner(row: Row) -> str:
    """What the correlation of one task was found to be: rho, p and how many points it rests on.

    Raises:
        ValueError: a key is missing, or holds no number.
    """
    lacking = [key for key in ("rho", "p", "models") if key not in row]
    if lacking:
        raise ValueError(f"the correlation of task {row.get('task')!r} has no {lacking[0]!r}")
    rho, p = (number(row[key], f"{key!r} of task {row.get('task')!r}") for key in ("rho", "p"))
    said = [] if math.isnan(rho) else [f"ρ = {short(rho)}"]
    if not math.isnan(p):
        said.append("p < .001" if p < 0.001 else f"p = {f'{p:.3f}'.lstrip('0')}")
    points = row.get("points", row["models"])
    said.append(f"n = {points}")
    if row["models"] != points:
        said.append(f"{row['models']} model{'s' * (row['models'] != 1)}")
    return ", ".join(said)


def label_few(axes: Axes, across: Sequence[int], up: Sequence[int], x: bool, y: bool) -> None:
    """Label at most four layers of each axis of an image, from the first in equal steps; or none of an axis."""
    for shown, layers, ticks in ((x, across, axes.set_xticks), (y, up, axes.set_yticks)):
        places = range(0, len(layers), max(1, math.ceil((len(layers) - 1) / 3))) if shown else []
        ticks(places, [str(layers[place]) for place in places])
    plain_ticks(axes)


@paper_style
def save(figure: Figure, path_without_suffix: str | Path) -> list[Path]:
    """Write a figure as PNG (300 dpi) and as SVG: both or, where that fails, neither.

    The same figure gives the same bytes, under the same version of matplotlib: its layout is computed once and then
    fixed, for every pass would shift it a little. Both files are drawn in memory, written beside their place and then
    renamed, so that no reader sees half a file.

    Args:
        figure: the figure.
        path_without_suffix: where to; ``.png`` and ``.svg`` are added to it, whatever dots it has.

    Returns:
        The two paths, PNG first.

    Raises:
        FileNotFoundError: the folder does not exist.
        OSError: a file can't be written.
    """
    target = Path(path_without_suffix)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent} to save the figure {target.name} in: create it")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawn: dict[Path, bytes] = {}
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        memory = io.BytesIO()
        figure.savefig(memory, format=kind, dpi=figure.dpi, bbox_inches=None, facecolor="white", metadata=metadata)
        drawn[target.with_name(f"{target.name}.{kind}")] = memory.getvalue()
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in drawn}
    try:
        for path, content in drawn.items():
            beside[path].write_bytes(content)
        for path, temporary in beside.items():
            temporary.replace(path)
    finally:
        for temporary in beside.values():
            temporary.unlink(missing_ok=True)
    return list(drawn)
