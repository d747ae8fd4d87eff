"""The queue: one worker a claim, what is lost is taken over, and what counts appears whole."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from xglue_harness.errors import SweepError
from xglue_harness.sweeps import attempts
from xglue_harness.sweeps.attempts import FullDiskError
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import Claim, LostClaimError, Queue
from xglue_harness.sweeps.states import Progress


def job(seed: int = 0, *, backbone: str = "tiny", weight: float = 1.0) -> Job:
    return Job(
        backbone, "ner", ("de",), seed, "hf-encoder", {"pretrained": backbone}, {"data": "sample"}, weight=weight
    )


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path / "out", pauses=(0,))
    queue.add([job(1), job(2)])
    return queue


def _claim(queue: Queue, worker: str = "a", **options: Any) -> Claim:
    claim = queue.claim(worker, **options)
    assert claim is not None
    return claim


def _silent(claim: Claim, seconds: float = 1000) -> None:
    """Let a claim's pulse have stopped some time ago."""
    path = claim.queue.attempts.claim_file(claim.job.key, claim.attempt)
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


def _work(claim: Claim, text: str = "result") -> None:
    claim.workspace.mkdir(parents=True)
    (claim.workspace / "results.json").write_text(text)
    claim.finish(claim.workspace, seconds=1.5)


def test_each_job_is_claimed_once(queue: Queue):
    claims = [_claim(queue, worker) for worker in "ab"]
    assert [claim.job.seed for claim in claims] == [1, 2]
    assert queue.claim("c") is None
    assert [state.status for state in queue.states().values()] == ["running", "running"]


def test_results_appear_whole(queue: Queue):
    claim = _claim(queue)
    _work(claim)
    assert [path.name for path in claim.results.iterdir()] == ["results.json"]
    assert not claim.workspace.exists()
    assert queue.states()[claim.job.key].status == "done"
    assert queue.facts()[claim.job.key]["seconds"] == 1.5
    assert _claim(queue).job.seed == 2


def test_a_silent_claim_is_taken_over_once(queue: Queue):
    first = _claim(queue, "a")
    _silent(first)
    assert queue.states()[first.job.key].status == "lost"
    second = _claim(queue, "b")
    assert (second.job.key, second.attempt) == (first.job.key, 2)
    assert _claim(queue, "c").job.key != first.job.key


def test_a_beating_claim_is_not_taken_over(queue: Queue):
    claim = _claim(queue)
    _silent(claim)
    claim.beat()
    assert _claim(queue, "b").job.key != claim.job.key


def test_whose_claim_was_taken_over_writes_nothing(queue: Queue):
    first = _claim(queue, "a")
    _silent(first)
    second = _claim(queue, "b")
    with pytest.raises(LostClaimError, match="another worker has taken over"):
        first.beat()
    with pytest.raises(LostClaimError):
        _work(first, "late")
    first.fail("late", retry=False)
    first.release()
    _work(second, "good")
    assert (second.results / "results.json").read_text() == "good"
    assert queue.states()[second.job.key].status == "done"


def test_no_clock_but_the_file_servers_counts(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    """A machine whose own clock is an hour ahead takes nothing from those whose is not."""
    claim = _claim(queue)
    now = attempts.time.time()
    monkeypatch.setattr(attempts.time, "time", lambda: now + 3600)
    assert _claim(queue, "b").job.key != claim.job.key


def test_a_process_of_this_machine_that_is_gone_is_noticed_at_once(queue: Queue):
    claim = _claim(queue)
    path = queue.attempts.claim_file(claim.job.key, claim.attempt)
    owner = json.loads(path.read_text())
    path.write_text(json.dumps({**owner, "pid": 2**22 + 1}))
    if owner["system"] is None:
        pytest.skip("processes of this system can't be told apart")
    assert _claim(queue, "b").attempt == 2


def test_another_machines_process_is_left_its_time(queue: Queue):
    claim = _claim(queue)
    path = queue.attempts.claim_file(claim.job.key, claim.attempt)
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 2**22 + 1, "system": "another boot"}))
    assert _claim(queue, "b").job.key != claim.job.key


def test_results_without_a_note_are_not_made_again(queue: Queue):
    """Its worker was killed after the rename of the results, and before the claim's end was noted."""
    claim = _claim(queue)
    claim.results.mkdir(parents=True)
    _silent(claim)
    assert _claim(queue, "b").job.key != claim.job.key
    assert queue.states()[claim.job.key].status == "done"


def test_results_that_are_there_stay(queue: Queue):
    claim = _claim(queue)
    claim.results.mkdir(parents=True)
    (claim.results / "results.json").write_text("first")
    _work(claim, "second")
    assert (claim.results / "results.json").read_text() == "first"


def test_a_released_job_goes_on_and_counts_as_no_failure(queue: Queue):
    for attempt in range(1, 6):
        claim = _claim(queue)
        assert (claim.job.seed, claim.attempt) == (1, attempt)
        claim.release(reason="time limit")
    state = queue.states()[claim.job.key]
    assert (state.status, state.failures) == ("waiting", 0)


def test_a_failure_is_tried_again_as_often_as_the_queue_allows(queue: Queue):
    for _ in range(2):
        claim = _claim(queue)
        claim.fail("killed", retry=True)
        assert queue.states()[claim.job.key].status == "waiting"
    claim = _claim(queue)
    claim.fail("killed", retry=True)
    state = queue.states()[claim.job.key]
    assert (state.status, state.attempt, state.failures, state.error) == ("failed", 3, 3, "killed")
    assert _claim(queue).job.seed == 2


def _pass(claim: Claim, seconds: float) -> None:
    """Let a failure have been noted so long ago."""
    path = claim.queue.attempts.end_file(claim.job.key, claim.attempt, "retry")
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


def test_the_pause_before_another_try_grows(tmp_path: Path):
    queue = Queue(tmp_path, pauses=(30, 120))
    queue.add([job(1), job(2)], attempts=5)
    for pause in (30, 120, 120):
        claim = _claim(queue)
        assert claim.job.seed == 1
        claim.fail("killed", retry=True)
        other = _claim(queue)
        assert other.job.seed == 2  # others are taken meanwhile
        for passed in (0, pause - 5):
            _pass(claim, passed)
            assert queue.claim("b") is None
        assert queue.next_try() == pytest.approx(5, abs=4)
        assert queue.states()[claim.job.key].due_in == pytest.approx(5, abs=4)
        _pass(claim, 6)
        assert queue.states()[claim.job.key].due_in is None
        other.release()


def test_a_pause_is_the_one_that_was_noted(tmp_path: Path):
    """Whatever another worker's queue would have noted."""
    Queue(tmp_path).add([job(1)])
    _claim(Queue(tmp_path, pauses=(30,))).fail("killed", retry=True)
    assert Queue(tmp_path, pauses=(0,)).claim("b") is None


def test_a_pause_ends_by_the_file_servers_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    queue = Queue(tmp_path, pauses=(30,))
    queue.add([job(1)])
    _claim(queue).fail("killed", retry=True)
    now = attempts.time.time()
    monkeypatch.setattr(attempts.time, "time", lambda: now + 3600)
    assert queue.claim("b") is None
    assert queue.next_try() == pytest.approx(30, abs=10)
    assert queue.next_try(lambda job: job.seed == 2) is None


def test_a_failure_of_an_older_version_has_no_pause(queue: Queue):
    claim = _claim(queue)
    claim.end("retry", {"error": "killed"})
    assert _claim(queue).job == claim.job


def test_a_failure_that_would_only_repeat_is_not_tried_again(queue: Queue):
    claim = _claim(queue)
    claim.fail("no such model", retry=False)
    assert queue.states()[claim.job.key].status == "failed"


def test_a_job_that_takes_its_worker_down_fails_in_the_end(queue: Queue):
    for _ in range(3):
        claim = _claim(queue)
        assert claim.job.seed == 1
        _silent(claim)
    assert _claim(queue).job.seed == 2
    state = queue.states()[claim.job.key]
    assert (state.status, state.failures) == ("failed", 3)
    assert "vanished" in str(state.error)


def test_failed_jobs_are_tried_again_when_asked(queue: Queue):
    for _ in range(3):
        _claim(queue).fail("killed", retry=True)
    assert [job.seed for job in queue.retry_failed()] == [1]
    for number in (4, 5, 6):
        claim = _claim(queue)
        assert (claim.job.seed, claim.attempt) == (1, number)
        claim.fail("killed", retry=True)
    assert queue.states()[claim.job.key].status == "failed"


def test_a_changed_file_keeps_what_still_applies(queue: Queue):
    _work(_claim(queue))
    failed = _claim(queue)
    failed.fail("bad", retry=False)
    queue.add([job(2), job(3), job(1)])
    assert [state.status for state in queue.states().values()] == ["failed", "waiting", "done"]
    assert _claim(queue).job.seed == 3
    queue.add([job(1)])
    assert queue.is_finished()


def test_another_files_output_is_refused(tmp_path: Path):
    queue = Queue(tmp_path / "out")
    for name in "ab":
        (tmp_path / name).touch()
    queue.add([job(1)], source=tmp_path / "a")
    with pytest.raises(SweepError, match=r"give .*b an output of its own"):
        queue.add([job(2)], source=tmp_path / "b")
    (tmp_path / "a").unlink()  # it was renamed
    queue.add([job(2)], source=tmp_path / "b")


def test_a_worker_stays_with_its_backbone_but_not_for_crumbs(tmp_path: Path):
    queue = Queue(tmp_path)
    jobs = [job(1, backbone="x", weight=10), job(1, backbone="y", weight=6), job(2, backbone="y", weight=4)]
    queue.add(jobs)
    taken = [_claim(queue, prefer_backbone="y") for _ in range(3)]
    assert [claim.job.weight for claim in taken] == [6, 10, 4]


def test_what_does_not_fit_is_left(queue: Queue):
    assert _claim(queue, fits=lambda job: job.seed == 2).job.seed == 2
    assert queue.claim("a", fits=lambda job: job.seed == 2) is None


def test_progress_is_told(queue: Queue):
    claim = _claim(queue)
    claim.beat(Progress("NER: fine-tuning", 30, 120, "step", 1.5))
    state = queue.states()[claim.job.key]
    assert state.progress is not None
    assert (state.progress.what, state.progress.seconds_left) == ("NER: fine-tuning", 60.0)
    assert (state.worker, state.status) == ("a", "running")


def test_a_file_that_is_being_written_is_no_error(queue: Queue):
    claim = _claim(queue)
    queue.attempts.claim_file(claim.job.key, 1).write_text("{")
    queue.attempts.progress_file(claim.job.key, 1).write_text("")
    assert queue.states()[claim.job.key].status == "running"


def test_cancelling(queue: Queue):
    assert not queue.is_cancelled
    queue.cancel()
    assert queue.is_cancelled
    queue.uncancel()
    queue.uncancel()
    assert not queue.is_cancelled


def test_where_no_sweep_was_begun(tmp_path: Path):
    with pytest.raises(SweepError, match="no sweep was begun here"):
        Queue(tmp_path).states()


def test_a_damaged_list_of_jobs_is_named(queue: Queue):
    (queue.folder / "jobs.json").write_text('{"jobs": [{}], "attempts": 3, "keep_encoders": true}')
    with pytest.raises(SweepError, match=r"jobs\.json: is damaged .*remove it"):
        queue.claim("a")


def test_a_full_disk_takes_no_claim(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(attempts.json, "dump", full)
        with pytest.raises(FullDiskError, match=r"No space left on device.*free some room"):
            queue.claim("a")
    assert not any((queue.folder / "claims").iterdir())
    assert _claim(queue).attempt == 1


def test_a_full_disk_leaves_a_job_undone(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    claim = _claim(queue)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(FullDiskError):
            _work(claim)
    assert not claim.results.exists()
    assert queue.states()[claim.job.key].status == "running"


def test_a_full_disk_lets_a_claim_go(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    claim = _claim(queue)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        claim.release()
    assert claim.is_lost()
    state = queue.states()[claim.job.key]
    assert (state.status, state.failures) == ("waiting", 0)


def test_what_a_killed_worker_made_is_removed(queue: Queue):
    first = _claim(queue, "a")
    first.workspace.mkdir(parents=True)
    (first.workspace / "results.json").write_text("half")
    _silent(first)
    _work(_claim(queue, "b"))
    assert not any((queue.folder / "work").iterdir())
