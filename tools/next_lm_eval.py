"""Run tests on an lm-eval that is not released yet (`tox -e next`).

    LM_EVAL_NEXT=<wheel or checkout> python -m tools.next_lm_eval [what pytest is given]

Without the variable it says that it skips. What is installed takes the place of lm-eval in this environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Install, and run pytest; returns its exit status."""
    given = os.environ.get("LM_EVAL_NEXT")
    if not given:
        print("skipped: LM_EVAL_NEXT names no wheel or checkout of lm-eval")
        return 0
    path = Path(given).expanduser().resolve(strict=True)
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}  # pins lm-eval itself
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", str(path)]
    subprocess.run(command, check=True, env=environment)
    print(f"lm-eval {version('lm_eval')}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *arguments]).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
