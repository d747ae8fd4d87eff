"""The figures of a report, by what their artists hold."""

from __future__ import annotations

import re

import pytest

from xglue_analysis import report_plots


def _layers(languages):
    return [
        {"measure": measure, "language": language, "layer": layer, "value": at + layer, "low": at, "high": at + 3}
        for measure in ("cka_en", "mexa")
        for at, language in enumerate(languages)
        for layer in range(3)
    ]


def test_a_panel_a_measure_and_a_line_a_language():
    figure = report_plots.measures_by_layer(_layers(["de", "fr"]))
    assert [axes.get_title() for axes in figure.axes] == ["cka_en", "mexa"]
    for axes in figure.axes:
        assert [line.get_ydata().tolist() for line in axes.lines] == [[0, 1, 2], [1, 2, 3]]
        assert len(axes.collections) == 2, "a band each"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["de", "fr"]


def test_many_languages_have_no_bands():
    figure = report_plots.measures_by_layer(_layers([f"l{i}" for i in range(report_plots.BANDED + 1)]))
    assert [len(axes.collections) for axes in figure.axes] == [0, 0]


def test_gains_stand_beside_those_of_the_control():
    rows = [
        {"panel": "erase", "language": language, "what": what, "gain": gain, "low": gain - 1, "high": gain + 1}
        for language, both in (("de", (2.0, 0.5)), ("fr", (-1.0, 0.0)))
        for what, gain in zip(("intervention", "control"), both, strict=True)
    ]
    (axes,) = report_plots.gains(rows).axes
    drawn = [line.get_ydata().tolist() for line in axes.lines[1:]]
    assert drawn == [[2.0, -1.0], [0.5, 0.0]]
    ends = [path.vertices[:, 1].tolist() for bars in axes.collections for path in bars.get_paths()]
    assert ends == [[1.0, 3.0], [-2.0, 0.0], [-0.5, 1.5], [-1.0, 1.0]]
    with pytest.raises(ValueError, match="second of"):
        report_plots.gains([*rows, rows[0]])


def test_an_inline_figure_has_ids_of_its_own_and_no_text_of_its_titles():
    figure = report_plots.measures_by_layer(_layers(["de", "fr"]), title="--> <b>")
    svg = report_plots.inline_svg(figure, "f1")
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert all(name.startswith("f1-") for name in ids)
    assert {*re.findall(r'href="#([^"]*)"', svg), *re.findall(r"url\(#([^)]*)\)", svg)} <= {*ids}
    assert "<!--" not in svg
    assert "<b>" not in svg
    assert svg == report_plots.inline_svg(figure, "f1")


def test_lines_of_text_fill_pages(tmp_path):
    lines = [f"line {i} $x_" for i in range(report_plots.LINES_OF_A_PAGE + 1)]
    pages = report_plots.pages_of_text(lines)
    assert [page.texts[0].get_text().splitlines() for page in pages] == [lines[:-1], lines[-1:]]
    for name in ("a", "b"):
        report_plots.save_pdf(pages, tmp_path / name, "title")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().startswith(b"%PDF-")
