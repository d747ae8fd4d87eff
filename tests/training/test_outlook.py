"""A training says once, after its first steps, what it has before it."""

from __future__ import annotations

import logging

import pytest
import torch

from xglue_harness.records.cost_meter import PeakMeter
from xglue_harness.training import outlook
from xglue_harness.training.outlook import FIRST, LAST, Outlook

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("step", "seconds", "megabytes", "expected"),
    [
        (
            20,
            0.5,
            2100.0,
            "XNLI (task 2 of 8): step 20 of 1,220, 10 minutes more, about, and dev sets beside, 2.1 GB of",
        ),
        (20, 0.01, None, "XNLI (task 2 of 8): step 20 of 1,220, 12 s more, about, and dev sets beside"),
        (620, 60.0, None, "XNLI (task 2 of 8): step 620 of 1,220, 10.0 hours more, about, and dev sets beside"),
    ],
)
def test_steps_time_and_memory_are_in_one_line(step, seconds, megabytes, expected):
    line = Outlook("XNLI (task 2 of 8)", 1220, CPU).line(step, seconds, megabytes)
    assert line.startswith(expected)
    assert "\n" not in line
    assert ("memory so far" in line) == (megabytes is not None)


def _said(caplog, monkeypatch, *, first, last, total):
    """What is said of steps that take half a second each, by a clock that only they move."""
    clock = {"now": 0.0}
    monkeypatch.setattr(outlook, "now", lambda _: clock["now"])
    caplog.set_level(logging.INFO)
    caplog.clear()
    told = Outlook("QAM", total, CPU)
    for step in range(first, last + 1):
        clock["now"] += 100.0 if step - first < FIRST else 0.5
        told.after(step, PeakMeter(CPU))
    return caplog.messages


def test_it_is_said_once_and_not_by_the_first_steps_time(caplog, monkeypatch):
    [line] = _said(caplog, monkeypatch, first=1, last=200, total=220)
    assert line.startswith(f"QAM: step {LAST} of 220, 2 minutes more")
    [line] = _said(caplog, monkeypatch, first=101, last=200, total=320)
    assert line.startswith(f"QAM: step {100 + LAST} of 320, 2 minutes more")


def test_a_training_of_few_steps_says_nothing(caplog, monkeypatch):
    assert _said(caplog, monkeypatch, first=1, last=LAST, total=LAST) == []
