"""The hook never raises, whatever is broken and whatever Python does with warnings."""

from __future__ import annotations

import argparse
import sys
import warnings

import pytest

from xglue_harness import hook


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.fixture(params=[OSError("no space left"), SystemExit("bye"), UnspeakableError()], ids=lambda error: type(error))
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plug-in that can't be registered; what is said of it."""

    class Module:
        @property
        def register(self) -> None:
            raise request.param

    monkeypatch.setitem(sys.modules, "xglue_harness.harness.plugin", Module())
    text = "" if isinstance(request.param, UnspeakableError) else f": {request.param}"
    return f"xglue-harness can't be registered, so lm_eval has no xglue_* tasks: {type(request.param).__name__}{text}"


def test_what_is_broken_is_a_warning(broken: str) -> None:
    with pytest.warns(RuntimeWarning) as caught:
        hook.register_or_warn()
    assert [str(warning.message) for warning in caught] == [broken]


def test_where_warnings_are_errors_it_is_a_line(
    broken: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hook.register_or_warn()
        assert capsys.readouterr().err == f"{broken}\n"
        monkeypatch.setattr("sys.stderr", None)
        hook.register_or_warn()


def test_options_nested_too_deeply_are_refused_as_other_bad_ones(capsys: pytest.CaptureFixture[str]) -> None:
    from lm_eval._cli import utils

    if utils.try_parse_json.__module__ != hook.__name__:  # loaded before the hook
        hook._refuse_depth(utils)
    parser = argparse.ArgumentParser(prog="lm_eval")
    parser.add_argument("--metadata", nargs="+", action=utils.MergeDictAction)
    assert parser.parse_args(["--metadata", '{"epochs": 3}']).metadata == {"epochs": 3}
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--metadata", '{"data": ' + "[" * 100_000])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith("lm_eval: error: an option's JSON is nested too deeply\n")
