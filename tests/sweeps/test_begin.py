"""From a file to a queue: where the store is, and that a run goes on after a cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from xglue_harness.errors import DataError, SweepError
from xglue_harness.sweeps.begin import begin, open_queue

SWEEP: dict[str, Any] = {
    "output": "out",
    "backbones": {"tiny": {"pretrained": "./tiny"}},
    "tasks": ["ner"],
    "seeds": [1],
    "data": "sample",
    "attempts": 5,
}


def _file(folder: Path, **changes: Any) -> Path:
    (folder / "tiny").mkdir(exist_ok=True)
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump({**SWEEP, **changes}))
    return file


def test_what_the_file_says_is_in_the_queue(tmp_path: Path):
    queue = begin(_file(tmp_path, keep_encoders=False))
    assert (queue.output, queue.most_attempts, queue.keep_encoders) == (tmp_path / "out", 5, False)
    assert [job.name for job in queue.jobs()] == ["tiny ner seed 1"]
    assert [job.key for job in open_queue(tmp_path / "out").jobs()] == [job.key for job in queue.jobs()]


def test_all_workers_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert begin(_file(tmp_path)).store == tmp_path / "out" / ".sweep" / "store"
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "own"))
    assert begin(_file(tmp_path)).store == tmp_path / "own"
    assert begin(_file(tmp_path, store="./named")).store == tmp_path / "named"
    monkeypatch.setenv("XGLUE_STORE", "~nobody-of-that-name/store")
    with pytest.raises(DataError, match="XGLUE_STORE"):
        begin(_file(tmp_path))


def test_a_run_goes_on_after_a_cancel(tmp_path: Path):
    file = _file(tmp_path)
    begin(file).cancel()
    assert open_queue(file).is_cancelled
    assert not begin(file).is_cancelled


def test_results_that_were_removed_are_made_again(tmp_path: Path):
    file = _file(tmp_path)
    queue = begin(file)
    claim = queue.claim("a")
    assert claim is not None
    claim.workspace.mkdir()
    claim.finish(claim.workspace)
    assert begin(file).is_finished()
    claim.results.rmdir()
    assert not begin(file).is_finished()
    again = queue.claim("a")
    assert again is not None
    assert again.attempt == 2


def test_a_folder_without_a_sweep(tmp_path: Path):
    with pytest.raises(SweepError, match="no sweep was begun here"):
        open_queue(tmp_path)
