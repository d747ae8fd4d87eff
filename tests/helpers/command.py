"""Our command line, another archive being official: ``python -m tests.helpers.command SHA256 BYTES ARGS...``."""

from __future__ import annotations

import sys

import pytest

from tests.helpers.hub import as_official
from xglue_harness.cli import main

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        as_official(patch, sys.argv[1], int(sys.argv[2]))
        main(sys.argv[3:])
