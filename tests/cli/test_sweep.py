"""``xglue-harness sweep``: what its commands print, their exit status, and that a second run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.helpers.scripted_child import STARTED, ScriptedChild, writing_results
from xglue_harness.cli import app as cli
from xglue_harness.errors import SweepError
from xglue_harness.sweeps import worker
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.runner import Reply
from xglue_harness.sweeps.states import Progress
from xglue_harness.sweeps.worker import MORE

SWEEP: dict[str, Any] = {
    "output": "out",
    "backbones": {"tiny": {"pretrained": "./tiny"}},
    "tasks": ["xglue_ner_zs_de"],
    "seeds": [1, 2],
    "data": "sample",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(worker, "Child", ScriptedChild)
    monkeypatch.setattr(ScriptedChild, "script", writing_results, raising=False)
    (tmp_path / "tiny").mkdir()
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    yield file
    STARTED.clear()


def _sweep(*arguments: object, status: int = 0) -> Result:
    engine = ["--engine", "local"] if arguments[0] == "run" else []  # whatever is installed here
    result = CliRunner().invoke(cli.app, ["sweep", *map(str, arguments), *engine], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def test_a_run_does_what_is_missing(file: Path):
    printed = _sweep("run", file).output
    assert "tiny ner seed 1: done" in printed
    assert printed.rstrip().endswith("2 of 2 done")
    assert sorted(path.name for path in (file.parent / "out").glob("tiny/*/*")) == ["results.json"] * 2
    file.write_text(yaml.safe_dump({**SWEEP, "seeds": [2, 3]}))
    again = _sweep("run", file).output
    assert "tiny ner seed 3: done" in again
    assert "seed 2: begins" not in again


def test_failures_are_told_and_tried_again_only_when_asked(file: Path, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        if job.seed == 1:
            yield Reply("failed", error="there is no such model")
        yield from writing_results(child, job)

    monkeypatch.setattr(ScriptedChild, "script", script)
    said = _sweep("run", file, status=1)
    assert "failed: tiny ner seed 1: there is no such model" in said.stderr
    assert "--retry-failed" in said.stderr
    assert "1 failed, 1 of 2 done" in _sweep("status", file).output
    monkeypatch.setattr(ScriptedChild, "script", writing_results)
    assert "begins" not in _sweep("run", file, status=1).output
    assert "tried again: 1 jobs" in _sweep("run", file, "--retry-failed").output


def test_status_says_what_runs_and_what_failed(file: Path):
    with pytest.raises(SweepError, match="no sweep was begun here"):
        _sweep("status", file)
    _sweep("run", file)
    file.write_text(yaml.safe_dump({**SWEEP, "seeds": [1, 2, 3, 4]}))
    queue = Queue(file.parent / "out")
    queue.add([Job("tiny", "ner", ("de",), seed, "hf", {}, {}) for seed in (3, 4, 5)])
    running, failed = queue.claim("w"), queue.claim("w")
    assert running is not None
    assert failed is not None
    running.beat(Progress("NER: fine-tuning", 30, 120, "step", 1.5))
    failed.fail("the loss [b]is nan", retry=False, seconds=200.0)
    lines = _sweep("status", file.parent / "out").output.splitlines()
    assert lines[-1] == "1 running, 1 failed, 1 waiting, 0 of 3 done"
    assert lines[1].split("running")[1].split()[2:4] == ["60", "s"]
    assert "NER: fine-tuning: 30 of 120 steps, 1.5 a second" in lines[1]
    assert "3 min" in lines[2]
    assert f"the loss [b]is nan ({failed.log})" in lines[2]
    assert "seed 5" in _sweep("status", file, "--all").output
    [first, *_] = json.loads(_sweep("status", file, "--json").output)["jobs"]
    assert (first["name"], first["status"], first["seconds_left"]) == ("tiny ner seed 3", "running", 60.0)


def test_status_says_when_a_failed_job_is_tried_again(file: Path):
    queue = Queue(file.parent / "out", pauses=(7200,))
    queue.add([Job("tiny", "ner", ("de",), 1, "hf", {}, {})])
    claim = queue.claim("w")
    assert claim is not None
    claim.fail("out of memory", retry=True)
    status = _sweep("status", file.parent / "out").output
    assert f"next try in 2 h 0 min: out of memory ({claim.log})" in status
    [shown] = json.loads(_sweep("status", file.parent / "out", "--json").output)["jobs"]
    assert shown["due_in"] == pytest.approx(7200, abs=60)


def test_cancelling_stops_workers_and_a_run_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch):
    def script(child: ScriptedChild, job: Job) -> Iterator[Reply | None]:
        _sweep("cancel", file)
        while not child.stopped:
            yield None
        yield Reply("stopped")

    monkeypatch.setattr(ScriptedChild, "script", script)
    assert "xglue-harness: stopped; the same command goes on" in _sweep("run", file, status=MORE).stderr
    assert "cancelled" in _sweep("status", file).output
    assert "begins" not in _sweep("work", file, status=MORE).output
    monkeypatch.setattr(ScriptedChild, "script", writing_results)
    assert "2 of 2 done" in _sweep("run", file).output


def test_a_worker_needs_no_file(file: Path):
    Queue(file.parent / "out").add([Job("tiny", "ner", ("de",), 1, "hf", {"pretrained": "x"}, {})])
    file.unlink()
    assert "1 of 1 done" in _sweep("work", file.parent / "out").output


def test_a_worker_stops_when_its_time_is_up(file: Path):
    Queue(file.parent / "out").add([Job("tiny", "ner", ("de",), 1, "hf", {"pretrained": "x"}, {})])
    assert "1 waiting" in _sweep("work", file, "--minutes", 0, status=MORE).output


def test_the_schema_is_that_of_the_file():
    schema = json.loads(_sweep("schema").output)
    assert schema["additionalProperties"] is False
    assert {"output", "backbones", "tasks", "seeds", "recipe"} <= schema["properties"].keys()


def test_a_bad_file_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("outputt: x\n")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sweep", "run", str(file)])
    said = capsys.readouterr().err
    assert "outputt: no such key (did you mean output?)" in said
    assert said.count("\n") == 1
