"""The benchmark of the queue, small: several processes take jobs, and each job is had once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.sweeps import facts, measure_queue


@pytest.mark.processes
def test_processes_that_take_jobs_at_once_have_each_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert measure_queue(tmp_path, 40, 3)
    printed = capfd.readouterr().out
    assert "40 jobs, 3 processes: 40 claims" in printed
    assert "0 jobs had twice, 40 of 40 done" in printed


def test_facts_are_of_one_results_file(tmp_path: Path):
    with pytest.raises(ValueError, match="not enough values"):
        facts(tmp_path)
