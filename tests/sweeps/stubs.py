"""Sweeps whose jobs only take a while (`tests/sweeps/stub`)."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.sweeps.file import load
from xglue_harness.sweeps.jobs import expand
from xglue_harness.sweeps.queue import Queue

PATH = Path(__file__).with_name("stub")


@dataclass(frozen=True)
class Stub:
    """A sweep of such jobs.

    Attributes:
        folder: of its file, of its results, and of what the jobs leave.
    """

    folder: Path

    @property
    def file(self) -> Path:
        """The sweep's file."""
        return self.folder / "sweep.yaml"

    @property
    def queue(self) -> Queue:
        """Its queue, in which the jobs are."""
        return Queue(self.folder / "results")

    def environment(self, *, steps: int, seconds: float = 0.05) -> dict[str, str]:
        """Variables under which processes run such jobs, of so many steps that take so long."""
        path = os.pathsep.join(filter(None, [str(PATH), os.environ.get("PYTHONPATH")]))
        return {
            "PYTHONPATH": path,
            "STUB_FOLDER": str(self.folder),
            "STUB_STEPS": str(steps),
            "STUB_STEP": str(seconds),
        }

    def write(self, seeds: int, tasks: str = "ner", needs: str = "{}") -> None:
        """Write the file, and put its jobs into the queue."""
        (self.folder / "encoder").mkdir()
        self.file.write_text(
            f"output: results\nbackbones: {{tiny: {{pretrained: ./encoder}}}}\ntasks: [{tasks}]\n"
            f"seeds: {list(range(seeds))}\ndata: sample\nneeds: {needs}\n"
        )
        self.queue.add(expand(load(self.file)), source=self.file)

    def finished(self) -> list[str]:
        """Runs that were made to their end, in that order, with the step that they went on from."""
        path = self.folder / "finished"
        return path.read_text().splitlines() if path.exists() else []

    def results(self) -> dict[str, str]:
        """What they wrote, by folder."""
        found = (self.folder / "results").rglob("results.json")
        return {str(path.relative_to(self.folder)): path.read_text() for path in found if ".sweep" not in path.parts}

    def wait_for(self, status: str, count: int, seconds: float = 20) -> list[str]:
        """Wait until so many jobs are in a state; returns who has them."""
        end = time.monotonic() + seconds
        while True:
            workers = [state.worker for state in self.queue.states().values() if state.status == status]
            if len(workers) >= count:
                return [worker or "" for worker in workers]
            assert time.monotonic() < end, self.queue.states()
            time.sleep(0.05)

    def wait_for_checkpoint(self, seconds: float = 20) -> None:
        """Wait until a job that has not ended has made steps that it needs not make again."""
        end = time.monotonic() + seconds
        while not self._unfinished_checkpoints():
            assert time.monotonic() < end, self.queue.states()
            time.sleep(0.02)

    def _unfinished_checkpoints(self) -> list[str]:
        names = [f"{job.tasks[0]}-{job.seed}" for job in self.queue.jobs()]
        ended = {line.partition(" from ")[0] for line in self.finished()}
        return [name for name in names if name not in ended and (self.folder / name).exists()]

    def check(self) -> None:
        """Every job is done, was made to its end once, and has the result of an undisturbed run."""
        jobs = self.queue.jobs()
        assert {state.status for state in self.queue.states().values()} == {"done"}
        names = [line.partition(" from ")[0] for line in self.finished()]
        assert Counter(names) == Counter(f"{job.tasks[0]}-{job.seed}" for job in jobs)
        assert len(self.results()) == len(jobs)
        assert {json.loads(text)["steps"] for text in self.results().values()} == {int(os.environ["STUB_STEPS"])}
