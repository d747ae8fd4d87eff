"""Two processes exchange what they must, and end with the same weights."""

from __future__ import annotations

import pytest
import torch

from tests.helpers.torchrun import two_processes
from xglue_harness.training.distributed import World


@pytest.mark.processes
def test_two_processes_agree():
    done = two_processes(["-m", "tests.helpers.ranks"])
    assert done.stdout.count("all is well") == 2


def test_one_process_alone_talks_to_no_one():
    world = World.current()
    assert (world.rank, world.size, world.is_main_process) == (0, 1, True)
    assert world.broadcast(3) == 3
    assert world.gather(3) == [3]
    assert world.on_main(lambda: 3) == 3
    tensors = {"a": torch.ones(2)}
    assert world.broadcast_tensors(tensors, torch.device("cpu"))["a"].tolist() == [1, 1]
