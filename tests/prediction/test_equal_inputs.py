"""Equal inputs are found, and none that differs in anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from xglue_harness.encoders.inputs import Inputs
from xglue_harness.prediction.equal_inputs import first_of_equals


def _inputs(rows, languages=None):
    """Inputs of (subwords, segments)."""
    lengths = torch.tensor([0, *(len(ids) for ids, _ in rows)])
    ids = torch.tensor([one for row, _ in rows for one in row], dtype=torch.int32)
    segments = torch.tensor([one for _, row in rows for one in row], dtype=torch.uint8)
    zeros = torch.zeros(len(rows), dtype=torch.int32)
    told = None if languages is None else torch.tensor(languages, dtype=torch.int32)
    return Inputs(ids, lengths.cumsum(0), zeros, zeros.bool(), zeros, segments, languages=told)


_SUBWORD = st.sampled_from([0, 1, 256, 2**24])  # which share bytes
_ROWS = st.lists(st.lists(st.tuples(_SUBWORD, st.integers(0, 1)), min_size=1, max_size=3), max_size=30)


@given(_ROWS, st.booleans(), st.booleans(), st.data())
def test_the_first_of_equals_is_that_of_a_search(pairs, with_segments, with_languages, data):
    rows = [tuple(zip(*row, strict=True)) for row in pairs]
    told = data.draw(st.lists(st.sampled_from([1, 65536]), min_size=len(rows), max_size=len(rows)))
    inputs = _inputs(rows, told if with_languages else None)
    inputs = inputs if with_segments else replace(inputs, segments=None)
    keys = [
        (ids, segments if with_segments else None, language if with_languages else None)
        for (ids, segments), language in zip(rows, told, strict=True)
    ]
    assert first_of_equals(inputs).tolist() == [keys.index(key) for key in keys]


def test_nothing_is_equal_to_nothing():
    firsts = first_of_equals(_inputs([]))
    assert firsts.tolist() == []
    assert firsts.dtype == np.int64
