"""How a sweep stands, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.states import Progress
from xglue_harness.sweeps.status import span, standing, told


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.4, "0 s"), (89.0, "89 s"), (100.0, "2 min"), (3599.0, "1 h 0 min"), (12_345.0, "3 h 26 min")],
)
def test_times(seconds: float | None, said: str):
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (None, ""),
        (Progress("loading lm_eval"), "loading lm_eval"),
        (Progress("NER: fine-tuning", 5, 20, "step", 0.25), "NER: fine-tuning: 5 of 20 steps, 0.25 a second"),
        (Progress("NER", 5, 20, "ex"), "NER: 5 of 20 examples"),
        (Progress("Loading weights", 5, 20, "it"), "Loading weights: 5 of 20"),
    ],
)
def test_progress(progress: Progress | None, said: str):
    assert told(progress) == said


def test_what_nobody_can_know_is_not_told():
    assert Progress("x", 5, 20).seconds_left is None
    assert Progress("x", 5, None, per_second=1.0).seconds_left is None
    assert Progress("x", 30, 20, per_second=1.0).seconds_left == 0.0


def test_what_people_look_for_comes_first(tmp_path: Path):
    queue = Queue(tmp_path)
    jobs = [Job("tiny", "ner", ("de",), seed, "hf", {}, {}) for seed in range(4)]
    queue.add(jobs)
    for _ in range(3):
        claim = queue.claim("w")
        assert claim is not None
        if claim.job.seed == 0:
            claim.workspace.mkdir()
            claim.finish(claim.workspace)
        elif claim.job.seed == 1:
            claim.fail("bad", retry=False)
    found = standing(queue)
    assert [(job.seed, state.status) for job, state in found.jobs] == [
        (2, "running"),
        (1, "failed"),
        (3, "waiting"),
        (0, "done"),
    ]
    assert found.line() == "1 running, 1 failed, 1 waiting, 1 of 4 done"
    queue.cancel()
    assert "cancelled" in standing(queue).line()
