"""What a diagnostic may return: the dataclass, an object like it, or a dict as before there was one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from xglue_analysis.result import DiagnosticResult, Metric

LANGUAGES = {"de": {"spread": (0.5, None)}}


@pytest.mark.parametrize(
    "returned",
    [
        {"languages": LANGUAGES},
        DiagnosticResult(languages={"de": {"spread": Metric(0.5)}}),
        SimpleNamespace(languages=LANGUAGES, task={}, details={}),
    ],
    ids=["dict", "dataclass", "an object like it"],
)
def test_all_forms_are_read_alike(returned):
    result = DiagnosticResult.of(returned)
    assert result == DiagnosticResult(languages=LANGUAGES)
    assert (result.task, result.details) == ({}, {})


def test_what_is_neither_is_an_error_that_names_what_is_missing():
    with pytest.raises(AttributeError, match="languages"):
        DiagnosticResult.of(None)
    assert DiagnosticResult.of({"something": "else"}) == DiagnosticResult()
