"""In the place of a worker's process: it says what a script of the test says, and no lm_eval is started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.runner import Reply, Request
from xglue_harness.sweeps.states import Progress

Script = Callable[["ScriptedChild", Job], Iterator[Reply | None]]

STARTED: list[ScriptedChild] = []


class ScriptedChild:
    """In the place of `xglue_harness.sweeps.child.Child`: says what a script of the test says."""

    script: Script
    starts = True

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.environment, self.stopped, self.killed = environment, False, False
        self.jobs: list[str] = []
        self._said: Iterator[Reply | None] = iter([Reply("ready")] if self.starts else [])
        STARTED.append(self)
        if not self.starts:
            log.write_text("Traceback\nImportError: no lm_eval\n\n")

    def send(self, request: Request) -> None:
        given = dict(zip(request.arguments[::2], request.arguments[1::2], strict=True))
        seed = int(given["--seed"])
        self.jobs.append(f"{json.loads(given['--model_args'])['pretrained']} {seed}")
        self.output = Path(given["--output_path"])
        self._said = type(self).script(self, job(seed))

    def hear(self, seconds: float) -> Reply | None:
        try:
            return next(self._said)
        except StopIteration:
            raise EOFError from None

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        pass

    def death(self) -> str:
        return "lm_eval's process was ended by SIGKILL"


def job(seed: int, backbone: str = "tiny") -> Job:
    return Job(backbone, "ner", ("de",), seed, "hf-encoder", {"pretrained": backbone}, {"data": "sample"})


def writing_results(child: ScriptedChild, _: Job) -> Iterator[Reply | None]:
    yield Reply("running", Progress("NER: fine-tuning", 1, 2, "step"))
    yield None
    (child.output / "results.json").write_text("{}")
    yield Reply("done")
