"""Several trainings of one recipe on one card at the same time, against one alone.

Worker: ``python -m benchmarks.gpu.together '{"setting": {...}, "counts": [1, 2, 4], "seconds": 5, "mps": false}'``
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import cycle, islice
from typing import Any

from benchmarks.gpu.results import LeftOutError, arguments, broken, measure, tell

CONTROL = "nvidia-cuda-mps-control"


def serve(given: Mapping[str, Any]) -> None:
    """Child: get ready, say so, and at a line of input train for some seconds and say how many steps that were."""
    import torch

    from benchmarks.gpu.rig import Rig
    from benchmarks.workload import Setting
    from xglue_harness.records.cost_meter import now

    rig = Rig.of(Setting(**given["setting"]), "cuda" if torch.cuda.is_available() else "cpu")
    recipe = rig.recipe(given["setting"]["precision"])
    with rig.training(recipe, steps=1_000_000) as train_step:
        batches = list(islice(rig.batches(recipe), rig.steps_per_epoch(recipe)))
        for batch in batches:
            train_step.step(batch)
        train_step.check()
        endless = cycle(batches)
        for line in sys.stdin:
            if line.strip() == "ready?":
                print("ready", flush=True)
                continue
            began, steps = now(rig.backbone.device), 0
            while now(rig.backbone.device) - began < given["seconds"]:
                for batch in islice(endless, given["between"]):
                    train_step.step(batch)
                steps += given["between"]
            seconds = now(rig.backbone.device) - began
            print(json.dumps({"steps": steps, "seconds": seconds, "mode": train_step.mode}), flush=True)


class Children:
    """Trainings that are ready, each in a process of its own; those that are not told to go wait."""

    def __init__(self, given: Mapping[str, Any], count: int, environment: Mapping[str, str]) -> None:
        """Start them, and wait until all are ready.

        Raises:
            RuntimeError: where one fails; with the end of what it said.
        """
        command = [sys.executable, "-m", "benchmarks.gpu.together", json.dumps({**given, "serve": True})]
        pipe, variables = subprocess.PIPE, {**os.environ, **environment}
        began = time.monotonic()
        self._all: list[subprocess.Popen[str]] = []
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            for _ in range(count):
                self._all.append(
                    subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, text=True, env=variables)
                )
                _write(self._all[-1], "ready?")
            for child in self._all:
                if _read(child) != "ready":
                    said.seek(0)
                    self.end()
                    raise RuntimeError(f"a training failed: {said.read()[-600:]}")
        self._ready = time.monotonic() - began

    def rate(self, count: int) -> tuple[dict[str, Any], str]:
        """Steps a second of the first ``count`` together."""
        going = self._all[:count]
        for child in going:
            _write(child, "go")
        answers = [json.loads(_read(child)) for child in going]
        each = [answer["steps"] / answer["seconds"] for answer in answers]
        figures = {"steps/s together": sum(each), "steps/s each": each, "s until all were ready": self._ready}
        return figures, str(answers[0]["mode"])

    def end(self) -> None:
        """End them."""
        for child in self._all:
            child.kill()
            child.communicate()


def _write(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{line}\n")
    child.stdin.flush()


def _read(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@contextmanager
def mps() -> Iterator[dict[str, str]]:
    """NVIDIA's multi-process service, in folders of its own; gives the variables of its clients."""
    program = shutil.which(CONTROL)
    if program is None:
        raise LeftOutError(f"no {CONTROL} here")
    with tempfile.TemporaryDirectory(prefix="xglue-mps-") as folder:
        variables = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        environment = {**os.environ, **variables}
        done = subprocess.run([program, "-d"], env=environment, capture_output=True, text=True, timeout=20)
        if done.returncode:
            raise LeftOutError(f"{CONTROL} -d: {(done.stderr or done.stdout).strip()[:200]}")
        try:
            yield variables
        finally:
            subprocess.run([program], input="quit\n", env=environment, capture_output=True, text=True, timeout=30)


def main() -> None:
    """Measure all counts, or serve."""
    given = arguments()
    if given.get("serve"):
        serve(given)
        return
    suffix = " with MPS" if given["mps"] else ""
    try:
        with mps() if given["mps"] else nullcontext({}) as environment:
            children = Children(given, max(given["counts"]), environment)
            try:
                for count in given["counts"]:
                    measure(f"together/{count}{suffix}", lambda count=count: children.rate(count))  # type: ignore[misc]
            finally:
                children.end()
    except Exception as error:
        for count in given["counts"]:
            tell(broken(f"together/{count}{suffix}", error))


if __name__ == "__main__":
    main()
