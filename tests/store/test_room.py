"""How much room a training takes while it is at work, and when it is finished."""

from __future__ import annotations

from xglue_harness.store.room import checkpoint_bytes, epoch_bytes, working_bytes


def test_two_checkpoints_and_an_epoch_lie_there_at_once():
    assert working_bytes(1000) == 2 * checkpoint_bytes(1000) + epoch_bytes(1000) == 28_000
