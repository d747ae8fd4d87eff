"""The examples in docs/official.md give what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs" / "official.md"


@pytest.mark.processes
@pytest.mark.skipif(not DOCS.exists(), reason="the documentation is not beside the tests")
def test_the_examples_give_what_they_say(tmp_path: Path) -> None:
    """In a process of its own, for ``evaluate`` settles at its import where copies of modules go."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "".join(blocks).count(">>>") > 25
    (tmp_path / "official.txt").write_text("".join(blocks), encoding="utf-8")
    command = [sys.executable, "-m", "doctest", str(tmp_path / "official.txt")]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
