"""``xglue-harness`` in this process, as a shell runs it: with its errors told and its exit status."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from xglue_harness.cli import app as cli


def command(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()
