"""What the diagnostic ``trajectory`` left in a record, read back."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.helpers.sweeps import EXAMPLE
from xglue_harness.errors import DataError
from xglue_harness.results.reading import read_runs
from xglue_harness.results.trajectories import epoch_rows


def _run(details):
    run = read_runs([EXAMPLE / "results" / "tiny-lm" / "toy" / "1" / "pawsx.json"])[0]
    return replace(run, record=SimpleNamespace(diagnostics=SimpleNamespace(details=details)))


def _details(language, **changes):
    point = {"measure": "cka_en", "epoch": 0.0, "cka": 0.5, "low": 0.4, "high": 0.6, "null_p95": 0.1, "n": 32}
    epochs = [{"epoch": 1.0, "missing": "why", "dev": 0.25, "test": None}]
    return {"trajectory": {language: {"epochs": epochs, "points": [{**point, **changes}]}}}


def test_points_and_scores_are_rows() -> None:
    language = _run({}).language
    cka, dev = epoch_rows(_run(_details(language)))
    assert cka == {"language": language, "measure": "cka_en", "epoch": 0.0, "value": 0.5} | {
        "low": 0.4,
        "high": 0.6,
        "null_p95": 0.1,
    }
    assert (dev["measure"], dev["epoch"], dev["value"], dev["low"]) == ("dev", 1.0, 25.0, None)


def test_a_record_without_has_none() -> None:
    assert [*epoch_rows(_run({}))] == []
    assert [*epoch_rows(replace(_run({}), record=None))] == []


def test_what_is_not_of_its_form_is_named() -> None:
    language = _run({}).language
    with pytest.raises(DataError, match=r"diagnostics\.details\.trajectory: points"):
        [*epoch_rows(_run(_details(language, cka="high")))]
