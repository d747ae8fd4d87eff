"""How much room a training takes while it is at work, and when it is finished."""

from __future__ import annotations

from xglue_harness.store.room import checkpoint_bytes, epoch_bytes, sum_bytes, working_bytes


def test_two_checkpoints_and_an_epoch_lie_there_at_once():
    alone = working_bytes(1000, 1)
    assert alone == 2 * checkpoint_bytes(1000) + epoch_bytes(1000) == 28_000
    assert working_bytes(1000, 1.5) - alone == sum_bytes(1000) == 8_000  # numbers of eight bytes
