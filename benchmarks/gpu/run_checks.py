"""A training that is killed and resumed ends as an unbroken one, to the bit; each in a process of its own.

Worker: ``python -m benchmarks.gpu.run_checks '{"setting": {...}, "variants": {...}, "kill": 8, ...}'``
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.results import arguments, check

SECONDS = 150
"""That one training may take."""


@dataclass
class Child:
    """A training under way."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, store: Path, given: Mapping[str, Any]) -> Child:
        """Begin it."""
        environment = {**os.environ, "XGLUE_STORE": str(store), "XGLUE_CACHE": str(store.parent / "cache")}
        command = [sys.executable, "-m", "benchmarks.gpu.run_child", json.dumps(given)]
        pipe = subprocess.PIPE
        return cls(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, errors="replace"))

    def facts(self) -> dict[str, Any]:
        """What it came to.

        Raises:
            RuntimeError: where it failed; with the end of what it said.
        """
        said, complained = self.process.communicate(timeout=SECONDS)
        if self.process.returncode:
            raise RuntimeError(f"ended with code {self.process.returncode}: {complained[-800:]}")
        facts: dict[str, Any] = json.loads(said.splitlines()[-1])
        return facts

    def killed(self) -> bool:
        """Wait; whether it was killed, as it should."""
        self.process.communicate(timeout=SECONDS)
        return self.process.returncode == -signal.SIGKILL


def main() -> None:
    """All variants at once: first unbroken and killed trainings, then the resumed ones."""
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="xglue-gpu-") as temporary:
        folder = Path(temporary)
        common = {"setting": given["setting"], "epochs": given["epochs"]}
        told = {name: {**common, **variant, "kill": None} for name, variant in given["variants"].items()}
        unbroken = {name: Child.start(folder / f"{name}-unbroken", one) for name, one in told.items()}
        broken = {name: Child.start(folder / name, {**one, "kill": given["kill"]}) for name, one in told.items()}
        were_killed, resumed = {}, {}
        for name, one in told.items():
            were_killed[name] = broken[name].killed()
            resumed[name] = Child.start(folder / name, one)
        for name in told:

            def compare(name: str = name) -> tuple[bool, Mapping[str, Any], str]:
                one, other = unbroken[name].facts(), resumed[name].facts()
                went_on = were_killed[name] and other["resumed from"] is not None
                same = one["weights"] == other["weights"] and one["loss"] == other["loss"]
                nondeterministic = sorted({*one["warned of"], *one["recorded as nondeterministic"]})
                figures = {"unbroken": one, "resumed": other, "was killed": were_killed[name]}
                note = f"nondeterministic: {', '.join(nondeterministic) or 'none'}; mode: {one['mode']}"
                return same and went_on, figures, note if went_on else f"it did not go on; {note}"

            check(f"checks/resumed = unbroken, {name}", compare)
        for child in (*unbroken.values(), *broken.values(), *resumed.values()):
            if child.process.poll() is None:
                child.process.kill()


if __name__ == "__main__":
    main()
