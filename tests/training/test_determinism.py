"""Seeding repeats every draw inside and leaves no trace outside."""

from __future__ import annotations

import random

import numpy as np
import torch

from xglue_harness.training.determinism import seeded

CPU = torch.device("cpu")


def _draw():
    return random.random(), float(np.random.rand()), torch.rand(1).item()


def test_one_seed_gives_one_sequence():
    with seeded(3, CPU):
        first = _draw()
    with seeded(3, CPU):
        assert _draw() == first
    with seeded(4, CPU):
        other = _draw()
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_the_generators_and_settings_outside_go_on_as_if_nothing_had_been():
    def seed():
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)

    seed()
    expected = _draw()
    seed()
    with seeded(3, CPU):
        _draw()
        assert torch.are_deterministic_algorithms_enabled()
    assert _draw() == expected
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.initial_seed() == 0
