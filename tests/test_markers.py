"""Marks say which tests start other programs, so that the others can be run alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-c", "print('started')"]


def test_an_unmarked_test_starts_no_process():
    for start in (lambda: subprocess.run(COMMAND), lambda: subprocess.Popen(COMMAND), os.fork):
        with pytest.raises(pytest.fail.Exception, match=r"mark it pytest\.mark\.processes"):
            start()


@pytest.mark.processes
def test_a_marked_one_does():
    assert subprocess.run(COMMAND, check=True, capture_output=True, text=True).stdout == "started\n"
