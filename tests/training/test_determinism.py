"""Seeding repeats every draw inside and leaves no trace outside."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
import torch

from xglue_harness.training.determinism import deterministic, nondeterministic, seeded

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


def test_strict_is_undone_and_both_ways_ask_for_deterministic_kernels():
    for strict in (True, False):
        with seeded(3, CPU), deterministic(strict=strict):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled() != strict
        assert not torch.are_deterministic_algorithms_enabled()
    with seeded(3, CPU):
        with deterministic(strict=True):
            pass
        assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_what_has_no_deterministic_form_is_named_once():
    calls = []

    def attempt():
        calls.append(torch.is_deterministic_algorithms_warn_only_enabled())
        if not calls[-1]:
            raise RuntimeError("put_ does not have a deterministic implementation, but you set ...")
        for _ in range(2):
            warnings.warn("put_ does not have a deterministic implementation. You can file an issue", stacklevel=1)
        warnings.warn("Attention defaults to a non-deterministic algorithm. To explicitly ...", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    assert nondeterministic(attempt) == [
        "Attention defaults to a non-deterministic algorithm",
        "put_ does not have a deterministic implementation",
    ]
    assert calls == [False, True]
    assert nondeterministic(lambda: None) == []


def test_any_other_error_of_the_attempt_is_its_own():
    def attempt():
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        nondeterministic(attempt)
    assert not torch.are_deterministic_algorithms_enabled()
