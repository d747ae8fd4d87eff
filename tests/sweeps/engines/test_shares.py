"""How many workers there are, and what each gets."""

from __future__ import annotations

import pytest

from xglue_harness.errors import SweepError
from xglue_harness.sweeps.engines.shares import Machine, Shares, share
from xglue_harness.sweeps.jobs import Job, Needs


def jobs(count=100, device=None, **needs):
    facts = {"model": "hf-encoder", "model_args": {}, "metadata": {}, "device": device, "needs": Needs(**needs)}
    return [Job("tiny", "xnli", ("en",), seed, **facts) for seed in range(count)]


@pytest.mark.parametrize(
    ("needs", "machines", "expected"),
    [
        ({}, [Machine(cpus=2, memory_gb=24)], Shares(2, 1, 0.0, 0.0)),
        ({}, [Machine(cpus=64, memory_gb=64)], Shares(16, 4, 0.0, 0.0)),  # as memory allows, each with 4 threads
        ({}, [Machine(cpus=4, memory_gb=2)], Shares(1, 4, 0.0, 0.0)),  # one always
        ({"cpus": 3}, [Machine(cpus=8, memory_gb=100)], Shares(2, 3, 0.0, 0.0)),
        ({"memory_gb": 10}, [Machine(cpus=8, memory_gb=24)], Shares(2, 4, 0.0, 10.0)),
        ({}, [Machine(cpus=16, gpus=4, memory_gb=1)], Shares(4, 4, 1.0, 0.0)),
        ({"gpus": 0.5}, [Machine(cpus=16, gpus=4)], Shares(8, 2, 0.5, 0.0)),
        ({"gpus": 0.4}, [Machine(cpus=16, gpus=4)], Shares(8, 2, 0.4, 0.0)),  # a share lies on one GPU
        ({"gpus": 2}, [Machine(cpus=16, gpus=5)], Shares(2, 8, 2.0, 0.0)),
        ({"gpus": 0}, [Machine(cpus=4, gpus=4)], Shares(4, 1, 0.0, 0.0)),
        ({"device": "cpu"}, [Machine(cpus=4, gpus=4)], Shares(4, 1, 0.0, 0.0)),
        ({}, [Machine(cpus=1), Machine(cpus=1)], Shares(2, 1, 0.0, 0.0)),
        ({}, [Machine(cpus=32), Machine(cpus=16, gpus=2)], Shares(2, 8, 1.0, 0.0)),  # only the node with GPUs
        ({"count": 3}, [Machine(cpus=12)], Shares(3, 4, 0.0, 0.0)),
    ],
)
def test_as_many_as_there_is_room_for(needs, machines, expected):
    assert share(jobs(**needs), machines) == expected


@pytest.mark.parametrize(
    ("workers", "needs", "expected"),
    [
        (2, {}, Shares(2, 4, 0.0, 0.0)),
        (16, {}, Shares(16, 1, 0.0, 0.0)),  # as asked for, if there are fewer cores
        (16, {"cpus": 4}, Shares(2, 4, 0.0, 0.0)),  # but not against what the file says
    ],
)
def test_as_many_as_were_asked_for(workers, needs, expected):
    assert share(jobs(**needs), [Machine(cpus=8)], workers) == expected


def test_all_get_what_the_largest_needs():
    mixed = [*jobs(gpus=0.25, cpus=1), *jobs(gpus=0.5, cpus=2)]
    assert share(mixed, [Machine(cpus=16, gpus=1)]) == Shares(2, 2, 0.5, 0.0)


@pytest.mark.parametrize("needs", [{"gpus": 1}, {"cpus": 9}, {"memory_gb": 33}])
def test_no_room_is_said(needs):
    with pytest.raises(SweepError, match="no machine has room for a worker, which needs"):
        share(jobs(**needs), [Machine(cpus=8, memory_gb=32)])


def test_in_words():
    assert str(Shares(3, 1, 0.0, 0.0)) == "3 workers, each with 1 core"
    assert str(Shares(1, 2, 0.5, 0.0)) == "1 worker, each with 0.5 GPU and 2 cores"
