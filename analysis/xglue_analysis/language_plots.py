"""The figures of languages within one encoder: a matrix of all pairs, and lines of each against one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xglue_analysis.figures import (
    CHANCE,
    COLUMN,
    TEXT,
    Line,
    Row,
    blank,
    layer_axis,
    layers_of,
    legend_below,
    look,
    need_value,
    number,
    paper_style,
    plain_ticks,
    short,
    two_digits,
    values,
)

SYMMETRIC: tuple[str, ...] = ("cka", "cka_biased", "anc", "mutual_knn", "mexa", "separability")
"""Measures of a pair of languages that have no direction; P@1 has: ``language_a`` asks, ``language_b`` is searched."""
MEASURES = {
    "cka": "CKA (debiased)",
    "cka_biased": "CKA (biased)",
    "anc": "ANC",
    "p1_cosine": "P@1 (cosine)",
    "p1_csls": "P@1 (CSLS)",
    "mutual_knn": "mutual k-NN",
    "mexa": "MEXA",
    "separability": "separability",
}
"""Names of the measures, on every figure."""
BY_CHANCE = {
    "cka": "null_p95",
    "cka_biased": "null_mean_biased",
    "anc": "anc_null",
    "mutual_knn": "mutual_knn_null",
    "mexa": "mexa_null",
}
"""Which key says what a measure is by chance; P@1 is ``1 / n``, and two languages are told apart half the time."""
MEASURES |= {f"{name}_calibrated": f"{label}, calibrated" for name, label in MEASURES.items()}
SYMMETRIC += tuple(f"{name}_calibrated" for name in SYMMETRIC)


def by_chance(row: Row, measure: str) -> float:
    """What a measure reaches by chance: of CKA the 95th percentile over shuffled sentences, of the others the mean.

    Args:
        row: as `compare_languages` gives them.
        measure: one of `MEASURES`.

    Returns:
        NaN where the row does not say.
    """
    if measure.endswith("_calibrated"):
        return 0.0
    if measure == "separability":
        return 0.5
    if measure in BY_CHANCE:
        return number(row.get(BY_CHANCE[measure]), BY_CHANCE[measure])
    sentences = number(row.get("n"), "n")
    return 1 / sentences if sentences > 0 else math.nan


def _highest(rows: Sequence[Row], measure: str) -> float:
    """The most that a measure reaches by chance in some rows; NaN where none says."""
    known = [value for row in rows if math.isfinite(value := by_chance(row, measure))]
    return max(known, default=math.nan)


@paper_style
def language_matrix(rows: Sequence[Row], *, measure: str, layer: int, title: str | None = None) -> Figure:
    """Draw how alike the languages are in one layer of one model: a matrix with its values, and a colour bar.

    The title names the measure. On the colour bar stands what is reached by chance, where the rows say so: of CKA the
    highest 95th percentile over shuffled sentences of all pairs, of the others the mean.

    For CKA and ANC a pair that is given once fills both its cells. P@1 is directed: ``language_a``, to the left, asks,
    and ``language_b``, above, is searched. The diagonal is grey, cells without a value are white. Colours go from 0 to
    1; those of an ANC with negative values from -1 over white to 1.

    Args:
        rows: of keys ``language_a``, ``language_b``, ``layer`` and ``measure``; other layers are left out. What is
            reached by chance is in ``null_p95``, ``null_mean_biased``, ``anc_null`` or, for P@1, ``n`` (sentences),
            each of which may be ``None`` or absent.
        measure: one of `MEASURES`.
        layer: which layer, 0 being the embeddings.
        title: what stands above, behind the measure's name.

    Returns:
        A figure of one panel and its colour bar.

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
    chosen = [row for row in rows if row["layer"] == layer and row["language_a"] != row["language_b"]]
    cells = np.full((len(names), len(names)), math.nan)
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if a != b:
                cells[i, j] = _pair(lines.get((a, b)), lines.get((b, a)), layer, measure in SYMMETRIC)
    need_value(cells, f"{measure} of two languages in layer {layer}")

    signed = measure == "anc" and float(np.nanmin(cells)) < -0.005  # what is printed as negative
    scale = Normalize(-1 if signed else 0, 1, clip=True)
    colours = colormaps["PuOr_r" if signed else "viridis"].with_extremes(bad="white")
    figure = blank(
        COLUMN, COLUMN + (0.3 if measure in SYMMETRIC else 0.45), ": ".join(filter(None, (MEASURES[measure], title)))
    )
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
    _colour_bar(figure, axes, ScalarMappable(scale, colours), measure, _highest(chosen, measure))
    return figure


def _colour_bar(figure: Figure, axes: Axes, colours: ScalarMappable, measure: str, chance: float) -> None:
    """Put the scale of colours below a matrix, and mark what is reached by chance on it."""
    label = MEASURES[measure]
    if math.isfinite(chance):
        label += f"   ▲ by chance{' (95%)' if measure == 'cka' else ''}: {two_digits(chance)}"
    bar = figure.colorbar(
        colours, ax=axes, orientation="horizontal", shrink=0.75, aspect=35, fraction=0.04, pad=0.02, label=label
    )
    bar.outline.set_linewidth(0.4)
    plain_ticks(bar.ax)
    if math.isfinite(chance):
        bar.ax.plot(
            [chance],
            [0],
            marker="^",
            markersize=4,
            color="black",
            clip_on=False,
            transform=bar.ax.get_xaxis_transform(),
        )


def _pair(there: Line | None, back: Line | None, layer: int, symmetric: bool) -> float:
    """The value of a pair in a layer; of its reverse where that is the same thing; NaN where there is none."""
    value = (there or {}).get((layer,), math.nan)
    return (back or {}).get((layer,), math.nan) if symmetric and math.isnan(value) else value


@paper_style
def language_lines(
    rows: Sequence[Row], *, pivot: str = "en", title: str | None = None, measures: Sequence[str] = ()
) -> Figure:
    """Draw how near every language is to one, layer by layer: CKA, ANC and P@1, or other measures, below each other.

    P@1 is the mean of both directions (a gap where one is missing), by CSLS where the rows have that, else by cosine.
    What is reached by chance is dashed, where the rows say so, at the highest of the languages.

    Args:
        rows: of keys ``language_a``, ``language_b``, ``layer``, ``cka``, ``anc`` and ``p1_csls`` or ``p1_cosine``, of
            one model. Pairs without the pivot are left out. What is reached by chance as in :func:`language_matrix`.
        pivot: the language that all others are compared with.
        title: what stands above.
        measures: of `MEASURES`, whose columns the rows have; by default the three.

    Returns:
        A figure of a panel a measure, which share their layers.

    Raises:
        ValueError: no pair has the pivot, or a language has no value of a measure.
    """
    pairs = [r for r in rows if pivot in (a_b := (r.get("language_a"), r.get("language_b"))) and a_b[0] != a_b[1]]
    if rows and not pairs:
        raise ValueError(f"no row compares {pivot!r} with another language: there is no line to draw")
    retrieval = "p1_csls" if any(math.isfinite(number(row.get("p1_csls"), "p1_csls")) for row in pairs) else "p1_cosine"
    shown = tuple(measures) or ("cka", "anc", retrieval)
    figure = blank(COLUMN, 0.6 + 1.1 * len(shown), title)
    by = "by chance (CKA: 95%)" if "cka" in shown else "by chance"
    above: Axes | None = None
    everyone = list(dict.fromkeys(str(row[key]) for row in rows for key in ("language_a", "language_b") if key in row))
    languages: dict[str, Line2D] = {}
    dashed: list[Line2D] = []
    for place, measure in enumerate(shown):
        lines = values(pairs, measure, ("language_a", "language_b"), ("layer",))
        layers = layers_of(lines.values())
        names = list(dict.fromkeys(b if a == pivot else a for a, b in lines))
        axes = figure.add_subplot(len(shown), 1, place + 1, sharex=above)
        for name in names:
            i = everyone.index(name)  # the pivot's colour stays free: a language looks as in `space_lines`
            one, other, same = lines.get((pivot, name)), lines.get((name, pivot)), measure in SYMMETRIC
            both = [[_pair(one, other, layer, same), _pair(other, one, layer, same)] for layer in layers]
            y = np.array([sum(directions) / 2 for directions in both])
            need_value(y, f"{measure} of {name} with {pivot}")
            (languages[name],) = axes.plot(layers, y, label=name, clip_on=False, **look(i))
        chance = np.array([_highest([row for row in pairs if row["layer"] == layer], measure) for layer in layers])
        if np.isfinite(chance).any():
            dashed = axes.plot(layers, chance, label=by, **CHANCE)
        lowest = min(0.0, *(float(np.nanmin(line.get_ydata())) for line in axes.lines))
        axes.set(ylabel=MEASURES[measure].replace(", ", "\n"), ylim=(lowest, None if measure == "anc" else 1.0))
        layer_axis(axes, layers)
        above = axes
        axes.label_outer()
    axes.set_xlabel("layer")
    figure.align_ylabels()
    legend_below(figure, [*languages.values(), *dashed])
    return figure


@paper_style
def space_lines(rows: Sequence[Row], *, title: str | None = None) -> Figure:
    """Draw how each language fills its space, and how well it is told from all others, layer by layer.

    Args:
        rows: of keys ``language``, ``layer``, ``iso_score``, ``told`` and ``chance``, as `language_spaces` gives them.
        title: what stands above.

    Returns:
        A figure of two panels that share their layers: IsoScore, and the share of sentences whose language a linear
        probe finds, with what guessing finds dashed.

    Raises:
        ValueError: a language has no value of one of them.
    """
    figure = blank(COLUMN, 3.0, title)
    languages: dict[str, Line2D] = {}
    above: Axes | None = None
    for place, (column, label) in enumerate((("iso_score", "IsoScore"), ("told", "language found"))):
        lines = values(rows, column, ("language",), ("layer",))
        layers = layers_of(lines.values())
        axes = figure.add_subplot(2, 1, place + 1, sharex=above)
        for i, ((name,), line) in enumerate(lines.items()):
            y = np.array([line.get((layer,), math.nan) for layer in layers])
            need_value(y, f"{column} of {name}")
            (languages[name],) = axes.plot(layers, y, label=name, clip_on=False, **look(i))
        axes.set(ylabel=label, ylim=(0, 1.0 if column == "told" else None))
        layer_axis(axes, layers)
        above = axes
        axes.label_outer()
    chance = max(number(row.get("chance"), "chance") for row in rows)
    dashed = axes.plot(layers, [chance] * len(layers), label="by chance", **CHANCE)
    axes.set_xlabel("layer")
    figure.align_ylabels()
    legend_below(figure, [*languages.values(), *dashed])
    return figure
