"""The figures, by what their artists hold; and their files, by their bytes."""

from __future__ import annotations

import functools
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xglue_analysis import figures, plots

Rows = list[dict[str, Any]]
CODES = [
    *("en", "ar", "bg", "de", "el", "es", "fr", "hi", "it", "nl"),
    *("pl", "pt", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
]


def cka_rows(languages: list[str], a: int = 3, b: int = 3) -> Rows:
    """CKA 0.9 for the first language, 0.01 less for every next, 0.1 less for every step between the layers."""
    return [
        {"language": name, "layer_a": i, "layer_b": j, "cka": 0.9 - 0.01 * at - 0.1 * abs(i - j) - 0.02 * i}
        | {"cka_biased": 0.95, "null_p95": 0.05 + 0.01 * at, "low": 0.7, "high": 0.95}
        for at, name in enumerate(languages)
        for i in range(a)
        for j in range(b)
    ]


def pair_rows(languages: list[str], layers: int = 3) -> Rows:
    """Pairs as the command writes them: both directions, CKA and ANC in the first only."""
    return [
        {"language_a": a, "language_b": b, "layer": layer, "p1_cosine": 0.1, "p1_csls": 0.5 if i < j else 0.3}
        | {"cka": 0.8 - 0.1 * layer if i < j else None, "cka_biased": 0.9, "anc": 0.25 if i < j else None}
        for (i, a), (j, b) in itertools.permutations(enumerate(languages), 2)
        for layer in range(layers)
    ]


def spectra_rows(models: list[str], layers: int = 4) -> Rows:
    """The first model is the base; the feed-forward matrices are ten times as large."""
    return [
        {"model": model, "layer": layer, "role": role, "norm": size * (1 + at + layer)}
        | {"distance": size * at * 0.1 if at else None}
        for at, model in enumerate(models)
        for role, size in zip(plots.ROLES, (1, 2, 3, 4, 10, 20), strict=True)
        for layer in range(layers)
    ]


def score_rows(tasks: list[str], models: int) -> tuple[Rows, Rows]:
    rows = [{"task": t, "model": f"m{i}", "cka": i / 10, "score": 60 + i} for t in tasks for i in range(models)]
    return rows, [{"task": task, "rho": -0.5, "p": 0.0421, "models": models} for task in tasks]


def probe_rows(tasks: list[str], languages: list[str], layers: int = 3) -> Rows:
    return [
        {"task": task, "metric": "acc", "language": language, "layer": layer, "score": (at + layer) / 40}
        for task in tasks
        for at, language in enumerate(languages)
        for layer in range(layers)
    ]


EVERY: dict[str, Callable[[], Figure]] = {
    "cka_lines": lambda: plots.cka_lines(cka_rows(CODES), title="all languages"),
    "cka_lines, bands": lambda: plots.cka_lines(cka_rows(CODES[:5], 13, 13)),
    "cka_heatmaps": lambda: plots.cka_heatmaps(cka_rows(CODES, 13, 13), title="all languages"),
    "cka_heatmaps, one": lambda: plots.cka_heatmaps(cka_rows(["de"], 13, 25), name_a="base", name_b="large"),
    "language_matrix": lambda: plots.language_matrix(pair_rows(CODES), measure="p1_csls", layer=1, title="layer 1"),
    "language_matrix, 3": lambda: plots.language_matrix(pair_rows(["en", "hau", "zh-Hans"]), measure="cka", layer=1),
    "language_lines": lambda: plots.language_lines(pair_rows(CODES), title="against English"),
    "probe_lines": lambda: plots.probe_lines(probe_rows(["NC", "POS", "WPR", "NER"], CODES), title="an encoder"),
    "spectra_lines": lambda: plots.spectra_lines(spectra_rows(["a/base", "a/one", "a/two", "a/three"]), title="σ"),
    "correlation": lambda: plots.correlation(*score_rows(["nc", "pos", "ner"], 12), x="cka", title="CKA and score"),
    "correlation, many": lambda: plots.correlation(*score_rows(["nc"], 13), x="cka"),
}
every = pytest.mark.parametrize("name", EVERY)
SAVED = [name for name in EVERY if name not in ("cka_lines", "cka_heatmaps", "language_matrix", "correlation, many")]
"""One of every function, the quickest."""


@functools.cache
def drawn_once(name: str) -> Figure:
    """One of :data:`EVERY`, laid out; not to be changed."""
    figure = EVERY[name]()
    figure.draw_without_rendering()
    return figure


def legend(figure: Figure) -> list[str]:
    (only,) = figure.legends
    return [text.get_text() for text in only.get_texts()]


def lines(axes: Axes) -> dict[str, Any]:
    return {str(line.get_label()): line for line in axes.lines}


def cells(axes: Axes) -> dict[tuple[int, int], str]:
    """The texts in the cells of a matrix, by row and column."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}


# What holds of every figure


@every
def test_width_is_that_of_a_column_and_nothing_sticks_out(name: str) -> None:
    figure = drawn_once(name)
    assert figure.get_figwidth() == (6.9 if name in ("probe_lines", "spectra_lines") else 3.35)
    page, inside = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert inside.x0 >= -1
    assert inside.y0 >= -1
    assert inside.x1 <= page.x1 + 1
    assert inside.y1 <= page.y1 + 1


@every
def test_nothing_overlaps(name: str) -> None:
    """Neither legend, title, axis labels and panels among each other nor the tick labels of one axis."""
    figure = drawn_once(name)
    sup = [figure._suptitle, figure._supxlabel, figure._supylabel]
    boxes = [text.get_window_extent() for text in sup if text] + [box.get_window_extent() for box in figure.legends]
    boxes += [axes.get_tightbbox(for_layout_only=True) for axes in figure.axes]
    for one, other in itertools.combinations(boxes, 2):
        wide, high = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(wide, high) <= figure.dpi / 72  # a point, which lines of text have above and below their letters
    for axes in figure.axes:
        for axis, low, high in ((axes.xaxis, "x0", "x1"), (axes.yaxis, "y0", "y1")):
            shown = [label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()]
            shown = sorted((box for box in shown if box.width > 0), key=lambda box: getattr(box, low))
            assert all(getattr(a, high) <= getattr(b, low) + 0.5 for a, b in itertools.pairwise(shown))


@every
def test_all_text_can_be_read(name: str) -> None:
    figure = drawn_once(name)
    sizes = [text.get_fontsize() for text in figure.findobj(mpl.text.Text) if text.get_text() and text.get_visible()]
    assert min(sizes) >= (4.5 if name == "language_matrix" else 6)  # 19 × 19 cells in one column
    assert max(sizes) <= 8


SAVE = """
from xglue_analysis import plots
keys = {"cka": 0.5, "low": 0.4, "high": 0.6, "null_p95": 0.1}
rows = [{"language": l, "layer_a": i, "layer_b": i, **keys} for l in ("de", "fr") for i in range(3)]
plots.save(plots.cka_lines(rows), path)
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], Path]:
    """What another process imports with the plots, and the path of a figure that it then saves.

    Its sets and dictionaries have another order than those here.
    """
    path = tmp_path_factory.mktemp("elsewhere") / "cka"
    imports = "import sys; before = set(sys.modules); import xglue_analysis.plots; print(*set(sys.modules) - before)"
    code = f"{imports}; path = sys.argv[1]\n{SAVE}"
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split()), path


@pytest.mark.processes
def test_plots_import_neither_pyplot_nor_the_harness(elsewhere: tuple[set[str], Path]) -> None:
    imported, _ = elsewhere
    assert "matplotlib.figure" in imported
    assert "matplotlib.pyplot" not in imported
    assert not [name for name in imported if name.startswith("xglue_harness")]


def test_twenty_four_lines_look_different() -> None:
    looks = [figures.look(i) for i in range(figures.LINES)]
    assert len({(each["color"], each["linestyle"]) for each in looks}) == 24
    assert len({(each["color"], each["marker"]) for each in looks}) == 24
    with pytest.raises(ValueError, match="more than 24 lines"):
        plots.cka_lines(cka_rows([f"l{i}" for i in range(25)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cka": "0.5"}, "'cka' of row 0 is '0.5': expected a number or None"),
        ({"cka": True}, "'cka' of row 0 is True"),
        ({"layer_b": "0"}, "'layer_b' of row 0 is '0': expected a layer's number"),
        ({"layer_b": 1}, "row 1 is the second of language de, layer_a 0, layer_b 1"),
    ],
)
def test_bad_rows_are_named(change: dict[str, Any], message: str) -> None:
    rows = cka_rows(["de"])
    rows[0].update(change)
    with pytest.raises(ValueError, match=message):
        plots.cka_heatmaps(rows)


def test_rows_without_a_key_are_named() -> None:
    rows = cka_rows(["de"])
    del rows[4]["cka"]
    with pytest.raises(ValueError, match="row 4 has no 'cka'; it has language, layer_a"):
        plots.cka_heatmaps(rows)


@pytest.mark.parametrize(
    "draw",
    [
        plots.cka_lines,
        plots.cka_heatmaps,
        lambda rows: plots.language_matrix(rows, measure="cka", layer=0),
        plots.language_lines,
        plots.probe_lines,
        plots.spectra_lines,
        lambda rows: plots.correlation(rows, [], x="cka"),
    ],
)
def test_no_rows_are_an_error(draw: Callable[[Rows], Figure]) -> None:
    with pytest.raises(ValueError, match="there are no rows"):
        draw([])


# cka_lines


def test_cka_lines_are_the_matched_layers_of_every_language() -> None:
    figure = plots.cka_lines(cka_rows(["de", "fr"], 3, 5), title="A and B")
    (axes,) = figure.axes
    drawn = lines(axes)
    assert list(drawn) == ["de", "fr", "by chance, 95%"]
    np.testing.assert_allclose(drawn["de"].get_xydata(), [[0, 0.9], [1, 0.88], [2, 0.86]])
    np.testing.assert_allclose(drawn["fr"].get_ydata(), [0.89, 0.87, 0.85])
    np.testing.assert_allclose(drawn["by chance, 95%"].get_ydata(), [0.06] * 3)  # the highest of the two languages
    assert legend(figure) == ["de", "fr", "95% interval", "by chance, 95%"]
    assert axes.get_ylabel() == "CKA (debiased)"
    assert figure.get_suptitle() == "A and B"
    assert axes.get_ylim() == (0, 1)


@pytest.mark.parametrize(("languages", "bands"), [(1, 1), (6, 6), (7, 0)])
def test_cka_lines_have_bands_up_to_six_languages(languages: int, bands: int) -> None:
    (axes,) = plots.cka_lines(cka_rows(CODES[:languages])).axes
    assert len(axes.collections) == bands + 1  # and the null
    assert len(axes.lines) == languages + 1
    if bands:
        corners = axes.collections[0].get_paths()[0].vertices
        assert corners[:, 1].min() == 0.7
        assert corners[:, 1].max() == 0.95


def test_cka_lines_go_down_to_the_lowest_value_drawn() -> None:
    rows = cka_rows(["de"])
    rows[0] |= {"cka": -0.02, "low": -0.2}
    (axes,) = plots.cka_lines(rows).axes
    assert axes.get_ylim() == (-0.2, 1)
    many = cka_rows(CODES[:7])
    many[0] |= {"cka": -0.02, "low": -0.2}  # no bands: the interval is not drawn
    (axes,) = plots.cka_lines(many).axes
    assert axes.get_ylim() == (-0.02, 1)


def test_cka_lines_leave_gaps_and_do_without_null_and_interval() -> None:
    rows = cka_rows(["de", "fr"])
    for row in rows:
        row |= {"null_p95": None, "low": math.nan}
        del row["high"]
    rows[4] |= {"cka": None}  # de, layer 1
    rows = [row for row in rows if (row["language"], row["layer_a"]) != ("fr", 2)]
    figure = plots.cka_lines(rows)
    drawn = lines(figure.axes[0])
    np.testing.assert_allclose(drawn["de"].get_ydata(), [0.9, math.nan, 0.86])
    np.testing.assert_allclose(drawn["fr"].get_ydata(), [0.89, 0.87, math.nan])
    assert legend(figure) == ["de", "fr"]
    assert not figure.axes[0].collections


def test_cka_lines_need_matched_layers_and_values() -> None:
    rows = cka_rows(["de", "fr"])
    with pytest.raises(ValueError, match="no row compares layer l with layer l"):
        plots.cka_lines([row for row in rows if row["layer_a"] != row["layer_b"]])
    with pytest.raises(ValueError, match="no cka of fr in a matched layer"):
        plots.cka_lines([row | {"cka": None} if row["language"] == "fr" else row for row in rows])


# cka_heatmaps


def test_cka_heatmaps_are_the_mean_and_every_language() -> None:
    figure = plots.cka_heatmaps(cka_rows(["de", "fr"], 2, 3), name_a="base", name_b="large")
    *panels, bar = figure.axes
    assert [axes.get_title() for axes in panels] == ["mean", "de", "fr"]
    assert bar.get_ylabel() == "CKA (debiased)"
    de = [[0.9, 0.8, 0.7], [0.78, 0.88, 0.78]]
    np.testing.assert_allclose(panels[1].images[0].get_array(), de)
    np.testing.assert_allclose(panels[0].images[0].get_array(), np.array(de) - 0.005)
    for axes in panels:
        assert axes.images[0].origin == "lower"
        assert axes.images[0].get_clim() == (0, 1)
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("layer of large", "layer of base")


def test_cka_heatmaps_label_the_outer_panels_only() -> None:
    *panels, _ = plots.cka_heatmaps(cka_rows(CODES[:4], 13, 25)).axes  # 3 × 2, the last place empty
    x = [[label.get_text() for label in axes.get_xticklabels()] for axes in panels]
    y = [[label.get_text() for label in axes.get_yticklabels()] for axes in panels]
    assert x == [[], [], *[["0", "8", "16", "24"]] * 3]
    assert y == [["0", "4", "8", "12"], [], [], ["0", "4", "8", "12"], []]


def test_cka_heatmaps_clip_colours_and_leave_gaps() -> None:
    rows = cka_rows(["de", "fr"])
    rows[0] |= {"cka": -0.3}
    rows[1] |= {"cka": None}
    mean, de, fr, _ = plots.cka_heatmaps(rows[:-1]).axes
    (image,) = de.images
    assert image.get_array()[0, 0] == -0.3
    assert image.to_rgba(-0.3) == image.to_rgba(0.0)
    assert np.ma.getmaskarray(image.get_array()).nonzero() == ([0], [1])
    assert np.ma.getmaskarray(fr.images[0].get_array()).nonzero() == ([2], [2])
    assert np.ma.getmaskarray(mean.images[0].get_array()).sum() == 2  # no mean over fewer languages


def test_cka_heatmaps_of_one_language_have_no_mean() -> None:
    panel, _ = plots.cka_heatmaps(cka_rows(["de"])).axes
    assert panel.get_title() == "de"


def test_cka_heatmaps_need_values() -> None:
    rows = cka_rows(["de", "fr"])
    with pytest.raises(ValueError, match="no cka of fr"):
        plots.cka_heatmaps([row | {"cka": None} if row["language"] == "fr" else row for row in rows])
    with pytest.raises(ValueError, match="and so no mean"):
        plots.cka_heatmaps([row for row in rows if (row["language"] == "fr") == (row["layer_a"] == 0)])


# language_matrix


@pytest.mark.parametrize("measure", ["cka", "anc"])
def test_language_matrix_fills_both_halves_of_what_is_symmetric(measure: str) -> None:
    rows = pair_rows(["en", "de", "fr"])
    rows[0][measure] = 0.456  # en, de, layer 0
    axes, _ = plots.language_matrix(rows, measure=measure, layer=0).axes
    texts = cells(axes)
    assert texts[0, 1] == texts[1, 0] == ".46"
    assert set(texts) == set(itertools.permutations(range(3), 2))
    values, diagonal = (image.get_array() for image in axes.images)
    np.testing.assert_allclose(values, values.T)
    assert np.ma.getmaskarray(values).diagonal().all()
    assert (np.ma.getmaskarray(diagonal) == ~np.eye(3, dtype=bool)).all()
    grey = axes.images[1].to_rgba(0.0)
    assert 0.5 < grey[0] == grey[1] == grey[2] < 0.9
    assert axes.get_xlabel() == ""


def test_language_matrix_takes_a_pair_in_one_direction_alone() -> None:
    both = plots.language_matrix(pair_rows(CODES[:4]), measure="cka", layer=2)
    once = [row for row in pair_rows(CODES[:4]) if row["cka"] is not None]
    assert cells(both.axes[0]) == cells(plots.language_matrix(once, measure="cka", layer=2).axes[0])


def test_language_matrix_keeps_the_direction_of_retrieval() -> None:
    rows = pair_rows(["en", "de", "fr"])
    rows[0]["p1_csls"], rows[6]["p1_csls"] = 1.0, None  # en asks de, de asks en
    axes, _ = plots.language_matrix(rows, measure="p1_csls", layer=0).axes
    texts = cells(axes)
    assert texts == {(0, 1): "1.00", (0, 2): ".50", (1, 2): ".50", (2, 0): ".30", (2, 1): ".30"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["en", "de", "fr"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["en", "de", "fr"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("asking language", "searched language")


def test_language_matrix_draws_one_layer_and_fits_its_texts() -> None:
    sizes = []
    for count in (5, 19):
        figure = plots.language_matrix(pair_rows(CODES[:count]), measure="cka", layer=2)
        figure.draw_without_rendering()
        axes, _ = figure.axes
        assert set(cells(axes).values()) == {".60"}
        assert len(axes.texts) == count * (count - 1)
        assert max(text.get_window_extent().width for text in axes.texts) < axes.bbox.width / count
        sizes.append(axes.texts[0].get_fontsize())
    assert sizes[0] > sizes[1]


def test_language_matrix_centres_colours_on_zero_for_negative_anc_only() -> None:
    rows = pair_rows(["en", "de", "fr"])
    rows[0] |= {"anc": -0.256, "cka": -0.03}
    anc, _ = plots.language_matrix(rows, measure="anc", layer=0).axes
    assert anc.images[0].get_clim() == (-1, 1)
    assert cells(anc)[0, 1] == "−.26"
    assert min(anc.images[0].to_rgba(0.0)[:3]) > 0.95
    cka, _ = plots.language_matrix(rows, measure="cka", layer=0).axes
    assert cka.images[0].get_clim() == (0, 1)
    rows[0]["anc"] = -0.001
    anc, _ = plots.language_matrix(rows, measure="anc", layer=0).axes
    assert anc.images[0].get_clim() == (0, 1)
    assert cells(anc)[0, 1] == ".00"


def test_language_matrix_needs_a_measure_a_layer_and_values() -> None:
    rows = pair_rows(["en", "de"])
    with pytest.raises(ValueError, match="unknown measure 'p1': expected one of cka, "):
        plots.language_matrix(rows, measure="p1", layer=0)
    with pytest.raises(ValueError, match="no row is of layer 3: there are 0, 1, 2"):
        plots.language_matrix(rows, measure="cka", layer=3)
    with pytest.raises(ValueError, match="no anc of two languages in layer 1"):
        plots.language_matrix([row | {"anc": None} for row in rows], measure="anc", layer=1)


CHANCE = {"null_p95": 0.04, "null_mean_biased": 0.3, "anc_null": 0.07, "n": 50}


@pytest.mark.parametrize(
    ("measure", "name", "chance"),
    [
        ("cka", "CKA (debiased)", "▲ by chance (95%): .060"),
        ("cka_biased", "CKA (biased)", "▲ by chance: .30"),
        ("anc", "ANC", "▲ by chance: .070"),
        ("p1_csls", "P@1 (CSLS)", "▲ by chance: .020"),
    ],
)
def test_language_matrix_names_its_measure_and_what_it_is_by_chance(measure: str, name: str, chance: str) -> None:
    rows = [{**row, **CHANCE} for row in pair_rows(["en", "de", "fr"])]
    rows[1] |= {"null_p95": 0.06}  # the highest in layer 1
    rows[2] |= {"null_p95": 0.5}  # another layer
    figure = plots.language_matrix(rows, measure=measure, layer=1, title="e5, layer 1")
    _, bar = figure.axes
    assert figure.get_suptitle() == f"{name}: e5, layer 1"
    assert bar.get_xlabel() == f"{name}   {chance}"
    (mark,) = (line for line in bar.lines if line.get_marker() == "^")
    assert mark.get_xdata()[0] == pytest.approx(float(chance.split(": ")[1]), rel=0.05)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 480, ".0021"),
        (0.3, ".30"),
        (0.996, "1.00"),
        (1.0, "1.00"),
        (-0.0149, "−.015"),
        (0.0, ".00"),
        (-1e-12, ".000000"),
    ],
)
def test_what_is_small_keeps_two_significant_digits(value: float, text: str) -> None:
    assert figures.two_digits(value) == text


def test_language_matrix_says_nothing_of_chance_where_the_rows_do_not() -> None:
    _, bar = plots.language_matrix(pair_rows(["en", "de"]), measure="cka", layer=0).axes
    assert bar.get_xlabel() == "CKA (debiased)"
    assert not [line for line in bar.lines if line.get_marker() == "^"]


# language_lines


def test_language_lines_show_what_is_reached_by_chance() -> None:
    rows = [{**row, **CHANCE} for row in pair_rows(["de", "en", "fr"])]
    rows[1] |= {"null_p95": 0.09}  # de and en, layer 1
    rows[4] |= {"null_p95": 0.5}  # de and fr: without the pivot
    figure = plots.language_lines(rows)
    for axes, expected in zip(figure.axes, ([0.04, 0.09, 0.04], [0.07] * 3, [0.02] * 3), strict=True):
        np.testing.assert_allclose(lines(axes)["by chance (CKA: 95%)"].get_ydata(), expected)
    assert legend(figure) == ["de", "fr", "by chance (CKA: 95%)"]


def test_language_lines_are_three_measures_against_the_pivot() -> None:
    figure = plots.language_lines(pair_rows(["de", "en", "fr"]))
    assert [axes.get_ylabel() for axes in figure.axes] == ["CKA (debiased)", "ANC", "P@1 (CSLS)"]
    for axes, expected in zip(figure.axes, ([0.8, 0.7, 0.6], [0.25] * 3, [0.4] * 3), strict=True):
        drawn = lines(axes)
        assert list(drawn) == ["de", "fr"]
        for line in drawn.values():
            np.testing.assert_allclose(line.get_xydata(), np.c_[[0, 1, 2], expected])
        assert axes.get_xlim() == (-0.5, 2.5)
        assert axes.get_ylim()[0] == 0
    assert legend(figure) == ["de", "fr"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "layer"]


def test_language_lines_take_cosine_where_csls_lacks() -> None:
    for rows in (
        [row | {"p1_csls": None} for row in pair_rows(["en", "de"])],
        [{key: value for key, value in row.items() if key != "p1_csls"} for row in pair_rows(["en", "de"])],
    ):
        axes = plots.language_lines(rows).axes[2]
        assert axes.get_ylabel() == "P@1 (cosine)"
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.1] * 3)


def test_language_lines_leave_a_gap_where_one_direction_lacks() -> None:
    rows = pair_rows(["en", "de"])
    rows[4] |= {"p1_csls": None}  # de asks en, layer 1
    _, _, retrieval = plots.language_lines(rows).axes
    np.testing.assert_allclose(retrieval.lines[0].get_ydata(), [0.4, math.nan, 0.4])


def test_language_lines_need_the_pivot_and_values() -> None:
    rows = pair_rows(["en", "de", "fr"])
    with pytest.raises(ValueError, match="no row compares 'sw' with another language"):
        plots.language_lines(rows, pivot="sw")
    with pytest.raises(ValueError, match="no anc of fr with en"):
        plots.language_lines([row | {"anc": None} if row["language_b"] == "fr" else row for row in rows])
    assert legend(plots.language_lines(rows, pivot="fr")) == ["en", "de"]


# spectra_lines


def test_spectra_lines_are_norms_above_distances() -> None:
    figure = plots.spectra_lines(spectra_rows(["base", "one", "two"]))
    above, below = figure.axes[:6], figure.axes[6:]
    assert [axes.get_title() for axes in above] == list(plots.ROLES)
    for axes, size in zip(above, (1, 2, 3, 4, 10, 20), strict=True):
        assert list(lines(axes)) == ["base", "one", "two"]
        np.testing.assert_allclose(lines(axes)["one"].get_xydata(), [[i, size * (2 + i)] for i in range(4)])
    for axes, size in zip(below, (1, 2, 3, 4, 10, 20), strict=True):
        assert list(lines(axes)) == ["one", "two"]
        np.testing.assert_allclose(lines(axes)["two"].get_ydata(), [size * 0.2] * 4)
    assert legend(figure) == ["base", "one", "two"]


def test_spectra_lines_share_scales_that_show_all() -> None:
    figure = plots.spectra_lines(spectra_rows(["base", "one", "two"]))
    for row in (figure.axes[:6], figure.axes[6:]):
        limits = [axes.get_ylim() for axes in row]
        assert limits[0] == limits[1] == limits[2] == limits[3] != limits[4] == limits[5]
        for axes in row:
            for line in axes.lines:
                assert axes.get_ylim()[0] <= min(line.get_ydata()) <= max(line.get_ydata()) <= axes.get_ylim()[1]


def test_spectra_lines_draw_the_base_alone_in_black() -> None:
    models = ["one", "base", *(f"m{i}" for i in range(9))]
    rows = spectra_rows(["base", "one", *models[2:]])
    rows.sort(key=lambda row: models.index(row["model"]))
    drawn = lines(plots.spectra_lines(rows).axes[0])
    assert list(drawn) == models
    assert [name for name, line in drawn.items() if line.get_color() == "#000000"] == ["base"]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn.values()}) == len(models)


def test_spectra_lines_need_roles_and_values() -> None:
    rows = spectra_rows(["base", "one"])
    with pytest.raises(ValueError, match="unknown role 'fc1': expected one of K, Q, V"):
        plots.spectra_lines([row | {"role": "fc1"} if row["role"] == "FC up" else row for row in rows])
    with pytest.raises(ValueError, match="no norm of base in V"):
        plots.spectra_lines([row for row in rows if row["role"] != "V"])
    with pytest.raises(ValueError, match="no row has a distance"):
        plots.spectra_lines(spectra_rows(["base"]))
    with pytest.raises(ValueError, match="no distance of one in Out"):
        plots.spectra_lines([row | {"distance": None} if row["role"] == "Out" else row for row in rows])
    with pytest.raises(ValueError, match="the lines of 23 models can't be told apart"):
        plots.spectra_lines(spectra_rows([f"m{i}" for i in range(23)]))


# correlation


def test_correlation_is_a_panel_a_task_and_a_point_a_model() -> None:
    rows, correlations = score_rows(["nc", "pos", "ner"], 4)
    correlations[1] |= {"rho": 1.0, "p": 0.0001}
    correlations[2] |= {"rho": None, "p": None}
    figure = plots.correlation(rows, correlations, x="cka")
    assert [axes.get_title() for axes in figure.axes] == ["nc", "pos", "ner"]
    texts = [axes.texts[0].get_text() for axes in figure.axes]
    assert texts == ["ρ = −.50, p = .042, n = 4", "ρ = 1.00, p < .001, n = 4", "n = 4"]
    for axes in figure.axes:
        points = lines(axes)
        assert list(points) == ["m0", "m1", "m2", "m3"]
        np.testing.assert_allclose(points["m3"].get_xydata(), [[0.3, 63]])
        assert len({(line.get_color(), line.get_marker()) for line in points.values()}) == 4
        assert {line.get_linestyle() for line in points.values()} == {"None"}
        assert [text.get_text() for text in axes.texts[1:]] == ["m0", "m1", "m2", "m3"]
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
    assert labels == [("", "score"), ("cka", ""), ("cka", "score")]


def test_correlation_counts_the_points_that_it_shows() -> None:
    rows, correlations = score_rows(["nc"], 6)
    for models, text in ((1, "n = 6, 1 model"), (2, "n = 6, 2 models"), (6, "n = 6")):
        axes = plots.correlation(rows, [{**correlations[0], "models": models, "points": 6}], x="cka").axes[0]
        assert axes.texts[0].get_text() == f"ρ = −.50, p = .042, {text}"


@pytest.mark.parametrize(("models", "colours", "named"), [(12, 8, True), (13, 1, True), (40, 1, True), (41, 1, False)])
def test_correlation_names_up_to_forty_points(models: int, colours: int, named: bool) -> None:
    axes = plots.correlation(*score_rows(["nc"], models), x="cka").axes[0]
    assert len(axes.lines) == models
    assert len({line.get_color() for line in axes.lines}) == colours
    assert len(axes.texts) == 1 + models * named


def test_correlation_puts_names_where_they_cover_nothing() -> None:
    rows, correlations = score_rows(["nc"], 6)
    for row, (x, y) in zip(rows, [(0.5, 60), (0.5, 61), (0.52, 60), (0.9, 64), (0.1, 64), (0.1, 60)], strict=True):
        row |= {"model": f"encoder-of-{row['model']}", "cka": x, "score": y}
    figure = plots.correlation(rows, correlations, x="cka")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    for one, other in itertools.combinations(boxes, 2):
        assert min(one.x1, other.x1) <= max(one.x0, other.x0) or min(one.y1, other.y1) <= max(one.y0, other.y0)
    for text, line in zip(axes.texts[1:], axes.lines, strict=True):
        assert text.xy == (line.get_xdata()[0], line.get_ydata()[0])
        assert axes.bbox.x0 <= text.get_window_extent().x0
        assert text.get_window_extent().x1 <= axes.bbox.x1


def test_correlation_names_quantity_and_metric() -> None:
    rows, correlations = score_rows(["nc"], 4)
    named = [{**row, "cka_en": row["cka"]} for row in rows]
    (axes,) = plots.correlation(named, [{**correlations[0], "metric": "acc"}], x="cka_en").axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("cka_en: CKA with English", "score (accuracy)")


def test_correlation_of_long_names_in_several_panels_takes_two_columns() -> None:
    rows, correlations = score_rows(["nc", "pos"], 3)
    assert plots.correlation(rows, correlations, x="cka").get_figwidth() == 3.35
    long = [{**row, "model": f"an-encoder-{row['model']}"} for row in rows]
    assert plots.correlation(long, correlations, x="cka").get_figwidth() == 6.9


def test_one_point_is_no_scatter() -> None:
    rows, correlations = score_rows(["nc", "pos"], 1)
    with pytest.raises(ValueError, match="a scatter of cka and score needs two points at least, and no task has more"):
        plots.correlation(rows, correlations, x="cka")


def test_correlation_keeps_its_text_above_the_points() -> None:
    figure = plots.correlation(*score_rows(["nc", "pos"], 12), x="cka")
    figure.draw_without_rendering()
    for axes in figure.axes:
        highest = max(line.get_window_extent().y1 for line in axes.lines)
        assert axes.texts[0].get_window_extent().y0 > highest


def test_correlation_leaves_out_models_without_a_value() -> None:
    rows, correlations = score_rows(["nc", "pos"], 3)
    rows[0] |= {"score": None}
    rows[1] |= {"cka": math.nan}
    del rows[-1]
    (pos,) = plots.correlation(rows, correlations, x="cka").axes  # nc has one point
    assert pos.get_title() == "pos"
    assert list(lines(pos)) == ["m0", "m1"]


def test_correlation_needs_tasks_and_values() -> None:
    rows, correlations = score_rows(["nc", "pos"], 3)
    with pytest.raises(ValueError, match="task 'pos' is only in one"):
        plots.correlation(rows, correlations[:1], x="cka")
    with pytest.raises(ValueError, match="task 'pos' is only in one"):
        plots.correlation(rows[:3], correlations, x="cka")
    with pytest.raises(ValueError, match="no model with both cka and score in pos"):
        plots.correlation(rows[:3] + [row | {"score": None} for row in rows[3:]], correlations, x="cka")
    with pytest.raises(ValueError, match="the correlation of task 'nc' has no 'models'"):
        plots.correlation(rows, [{"task": "nc", "rho": 1, "p": 1}, correlations[1]], x="cka")
    with pytest.raises(ValueError, match="row 0 has no 'anc'"):
        plots.correlation(rows, correlations, x="anc")


# save


def test_save_writes_png_and_svg_beside_each_other(tmp_path: Path) -> None:
    figure = plots.cka_lines(cka_rows(["de"]))
    written = plots.save(figure, str(tmp_path / "cka.v1.5"))
    assert written == [tmp_path / "cka.v1.5.png", tmp_path / "cka.v1.5.svg"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    png, svg = (path.read_bytes() for path in written)
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (round(3.35 * 300), int(figure.get_figheight() * 300))
    assert b"<svg" in svg
    assert b"<text" not in svg  # glyphs as outlines: no font is needed


@pytest.mark.parametrize("name", SAVED)
def test_save_gives_equal_bytes_whatever_the_settings(name: str, tmp_path: Path) -> None:
    """For a figure saved twice, and for one drawn anew under settings that are neither read nor changed."""
    figure = EVERY[name]()
    first, again = (plots.save(figure, tmp_path / each) for each in ("first", "again"))
    odd = {"font.size": 20, "axes.grid": True, "savefig.bbox": "tight", "image.cmap": "jet", "xtick.labelsize": 20}
    with mpl.rc_context(odd):
        anew = plots.save(EVERY[name](), tmp_path / "anew")
        assert {key: mpl.rcParams[key] for key in odd} == odd
    for one, two, three in zip(first, again, anew, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes() == three.read_bytes()


@pytest.mark.processes
def test_save_gives_equal_bytes_in_two_processes(elsewhere: tuple[set[str], Path], tmp_path: Path) -> None:
    exec(SAVE, {"path": tmp_path / "cka"})
    for kind in ("png", "svg"):
        assert (tmp_path / f"cka.{kind}").read_bytes() == elsewhere[1].with_suffix(f".{kind}").read_bytes()


def test_save_needs_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent to save the figure cka in: create it"):
        plots.save(plots.cka_lines(cka_rows(["de"])), tmp_path / "absent" / "cka")
    assert not list(tmp_path.iterdir())


def test_save_leaves_old_files_and_nothing_else_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = plots.cka_lines(cka_rows(["de"]))
    old = {path: path.read_bytes() for path in plots.save(figure, tmp_path / "cka")}
    write = Path.write_bytes

    def full_at_the_second(path: Path, content: bytes) -> int:
        if ".svg" in path.name:
            write(path, content[:100])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_at_the_second)
    with pytest.raises(OSError, match="No space left"):
        plots.save(plots.cka_lines(cka_rows(["fr"])), tmp_path / "cka")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_save_leaves_nothing_when_drawing_fails(tmp_path: Path) -> None:
    figure = plots.cka_lines(cka_rows(["de"]))
    figure.text(0.5, 0.5, r"$\nosuchcommand$")
    with pytest.raises(ValueError, match="nosuchcommand"):
        plots.save(figure, tmp_path / "cka")
    assert not list(tmp_path.iterdir())


# probe_lines


def test_probe_lines_are_a_panel_a_task_where_a_language_looks_the_same() -> None:
    rows = probe_rows(["NC"], ["de", "en"]) + probe_rows(["POS"], ["en", "fr"], layers=2)
    figure = plots.probe_lines(rows, title="an encoder")
    nc, pos = figure.axes
    assert [nc.get_title(), pos.get_title()] == ["NC", "POS"]
    assert nc.get_ylabel() == "accuracy"
    assert list(lines(nc)) == ["de", "en"]
    np.testing.assert_allclose(lines(nc)["en"].get_xydata(), [[0, 1 / 40], [1, 2 / 40], [2, 3 / 40]])
    np.testing.assert_allclose(lines(pos)["fr"].get_ydata(), [1 / 40, 2 / 40])
    assert lines(nc)["en"].get_color() == lines(pos)["en"].get_color() != lines(pos)["fr"].get_color()
    assert nc.get_ylim() == pos.get_ylim() == (0, 1)
    assert legend(figure) == ["de", "en", "fr"]


def test_probe_lines_need_a_score() -> None:
    rows = probe_rows(["NC"], ["de", "en"])
    with pytest.raises(ValueError, match="NC of de"):
        plots.probe_lines([{**row, "score": None if row["language"] == "de" else row["score"]} for row in rows])


def test_a_language_looks_the_same_with_and_without_the_pivot():
    names = ("ar", "en", "de")
    pairs = [
        {"language_a": a, "language_b": b, "layer": 0, "mexa": 0.5, "mexa_null": 0.1}
        for a in names
        for b in names
        if a != b
    ]
    spaces = [{"language": name, "layer": 0, "iso_score": 0.1, "told": 1.0, "chance": 1 / 3} for name in names]
    lines = plots.language_lines(pairs, measures=("mexa",)).axes[0].lines
    others = {line.get_label(): line.get_color() for line in plots.space_lines(spaces).axes[0].lines}
    assert {line.get_label(): line.get_color() for line in lines[:2]} == {name: others[name] for name in ("ar", "de")}
