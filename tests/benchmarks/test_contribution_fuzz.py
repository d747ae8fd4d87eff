"""Contributions spoilt at random: a few of the many that the benchmark tries."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.contribution_fuzz import campaign, changed, plant
from benchmarks.contribution_mutations import mutate


@pytest.mark.processes
def test_spoilt_contributions_are_refused_or_build_in_little_memory() -> None:
    found = campaign(mutations=8, seed=1)
    assert found["bad"] == []
    assert found["counts"]["refused"] + found["counts"]["validated"] == 8
    assert 0 < found["peak"] < 500


def test_mutations_are_seeded_and_change_the_tree(tmp_path) -> None:
    """A fuzz that changes nothing finds nothing."""
    plant(tmp_path / "base")
    told = []
    for folder in ("one", "two"):
        for number in range(6):
            tree = tmp_path / folder / str(number) / "leaderboard"
            plant(tree)
            told.append(mutate(tree, Random(number)))
    assert told[:6] == told[6:]
    assert len({*told}) == 6
    assert (
        sum(bool(changed(tmp_path / "one" / str(number) / "leaderboard", tmp_path / "base")) for number in range(6)) > 3
    )
