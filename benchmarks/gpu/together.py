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
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

from benchmarks.gpu.results import LeftOutError, arguments, measure

READY_SECONDS = 120
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
            print("ready", flush=True)
            if line.strip() == "ready?":
                continue
            began, steps = now(rig.backbone.device), 0
            while now(rig.backbone.device) - began < given["seconds"]:
                for batch in islice(endless, given["between"]):
                    train_step.step(batch)
                steps += given["between"]
            seconds = now(rig.backbone.device) - began
            print(json.dumps({"steps": steps, "seconds": seconds, "mode": train_step.mode}), flush=True)


def rate(given: Mapping[str, Any], count: int, environment: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Steps a second of so many trainings together."""
    command = [sys.executable, "-m", "benchmarks.gpu.together", json.dumps({**given, "serve": True})]
    pipe = subprocess.PIPE
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        children = [
            subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=complaints, text=True, env={**os.environ, **environment}
            )
            for _ in range(count)
        ]
        try:
            for child in children:
                _write(child, "ready?")
            answers = []
            for child in children:
                if _read(child) != "ready":
                    complaints.seek(0)
                    raise RuntimeError(f"a training failed: {complaints.read()[-600:]}")
            ready = time.monotonic() - began
            for child in children:
                _write(child, "go")
            for child in children:
                _read(child)
                answers.append(json.loads(_read(child)))
        finally:
            for child in children:
                child.kill()
                child.communicate()
    each = [answer["steps"] / answer["seconds"] for answer in answers]
    figures = {"steps/s together": sum(each), "steps/s each": each, "s to get ready": ready}
    return figures, str(answers[0]["mode"])


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
    if not given["mps"]:
        for count in given["counts"]:
            measure(f"together/{count}", lambda count=count: rate(given, count, {}))  # type: ignore[misc]
        return
    for count in given["counts"]:

        def under_mps(count: int = count) -> tuple[dict[str, Any], str]:
            with mps() as variables:
                return rate(given, count, variables)

        measure(f"together/{count} with MPS", under_mps)


if __name__ == "__main__":
    main()
