"""Two processes exchange what they must, and end with the same weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xglue_harness.training.distributed import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.processes
def test_two_processes_agree():
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "tests.helpers.ranks",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("all is well") == 2


def test_one_process_alone_talks_to_no_one():
    world = World.current()
    assert (world.rank, world.size, world.is_main_process) == (0, 1, True)
    assert world.broadcast(3) == 3
    assert world.gather(3) == [3]
    assert world.on_main(lambda: 3) == 3
    tensors = {"a": torch.ones(2)}
    assert world.broadcast_tensors(tensors, torch.device("cpu"))["a"].tolist() == [1, 1]
