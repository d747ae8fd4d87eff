"""A command ends with one line: an error of ours, or Ctrl-C with how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import NoReturn

import pytest

from xglue_harness import interrupt
from xglue_harness.cli import app as cli
from xglue_harness.errors import RecipeError
from xglue_harness.interrupt import LINE, told_how_to_go_on, told_in_one_line


def interrupted(*_: object, **__: object) -> NoReturn:
    raise KeyboardInterrupt


def test_lm_evals_command_line_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interrupt, "is_lm_eval", lambda: True)
    with pytest.raises(SystemExit) as caught, told_how_to_go_on():
        interrupted()
    assert caught.value.code == 130
    assert capsys.readouterr().err == f"\n{LINE}\n"


def test_a_notebook_keeps_its_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), told_how_to_go_on():
        interrupted()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (["demo"], "xglue_harness.harness.demo.run_demo"),
        (["data", "get"], "xglue_harness.data.hub_archive.fetch_folder"),
        (["data", "check", "."], "xglue_harness.data.check.check"),
        (["score", "--predictions", "."], "xglue_harness.submission.score.score_folder"),
        (["store", "ls"], "xglue_harness.housekeeping.kept_trainings"),
    ],
)
def test_every_command_of_ours(
    command: list[str], place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(place, interrupted)
    with pytest.raises(SystemExit) as caught:
        cli.main(command)
    assert caught.value.code == 130
    assert capsys.readouterr().err == f"\n{LINE}\n"


@pytest.mark.processes
def test_the_signal_itself() -> None:
    code = "import signal, time; from xglue_harness import cli; import xglue_harness.harness.demo as demo;"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's background job inherits: ignored
    code += "demo.run_demo = lambda **_: print('begun', flush=True) or time.sleep(60); cli.main(['demo'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, f"\n{LINE}\n")


def test_an_error_of_ours_is_one_line_of_lm_evals_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interrupt, "is_lm_eval", lambda: True)
    with pytest.raises(SystemExit) as caught, told_in_one_line():
        raise RecipeError("epochs is -1: give a positive number")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "xglue-harness: epochs is -1: give a positive number\n"
    with pytest.raises(ValueError, match="another's"), told_in_one_line():
        raise ValueError("another's")
    monkeypatch.setattr(interrupt, "is_lm_eval", lambda: False)
    with pytest.raises(RecipeError), told_in_one_line():
        raise RecipeError("a notebook's own")
