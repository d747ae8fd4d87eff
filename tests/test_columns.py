"""Tables that are wider than a line wrap into blocks that fit it, with every column once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xglue_harness.columns import WIDEST, aligned, in_blocks, line_width


@given(st.lists(st.integers(1, 30), min_size=2, max_size=40), st.integers(1, 150))
def test_every_column_stands_once_and_in_order_and_blocks_fit(widths, room):
    blocks = in_blocks(widths, room)
    assert [number for block in blocks for number in block] == list(range(1, len(widths)))
    for block in blocks:
        width = widths[0] + sum(2 + widths[number] for number in block)
        assert width <= room or len(block) == 1


def test_blocks_are_few_and_even():
    assert in_blocks([8, *[5] * 20], 120) == [[*range(1, 11)], [*range(11, 21)]]
    assert in_blocks([8, *[5] * 16], 120) == [[*range(1, 17)]]


def test_cells_stand_below_one_another():
    rows = [["", "en", "de"], ["score", "100.0", "1.0"], ["± s.e.", "0.1", "-"]]
    assert aligned(rows, 80) == ["           en   de", "score   100.0  1.0", "± s.e.    0.1    -"]
    assert aligned(rows, 15) == [
        *("           en", "score   100.0", "± s.e.    0.1"),
        "",
        *("         de", "score   1.0", "± s.e.    -"),
    ]


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("120", 120), ("300", WIDEST), ("3", 40)])
def test_a_line_is_as_long_as_the_terminals_but_no_longer_than_120(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert line_width() == width


def test_a_pipe_gets_120(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.get_terminal_size", _no_terminal)
    assert line_width() == WIDEST


def _no_terminal(*_):
    raise OSError
