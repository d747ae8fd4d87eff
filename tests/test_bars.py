"""Bars show what takes a while, and make room for messages."""

from __future__ import annotations

import io

from tqdm import tqdm

from xglue_harness import bars
from xglue_harness.bars import bars_aside, progress_bar


def _shown(capfd, **options):
    with progress_bar(3, "QAM", "ex", wanted=True, **options) as bar:
        for _ in range(3):
            bar.update()
    return capfd.readouterr().err


def test_what_is_over_soon_has_no_bar(capfd, monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 3600.0)
    assert _shown(capfd, leave=True) == ""
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    assert "QAM: 100%" in _shown(capfd, leave=True)


def test_a_bar_that_is_not_wanted_is_never_there(capfd, monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    with progress_bar(3, "QAM", "ex", wanted=False) as bar:
        bar.update(3)
    assert capfd.readouterr().err == ""


def test_a_message_stands_on_a_line_of_its_own(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stdout", shown)
    with tqdm(total=2, file=shown, leave=False, ncols=20) as bar:
        bar.update()
        with bars_aside():
            shown.write("message\n")
    lines = shown.getvalue().replace("\r", "\n").split("\n")
    assert "message" in lines
