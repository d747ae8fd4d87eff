"""Which inputs share a batch."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xglue_harness.encoders.batching import budget_batches, epoch_batches, split_into_microbatches


def test_batches_hold_similar_lengths_in_random_order():
    lengths = [(i * 37) % 101 + 1 for i in range(1003)]
    first, second = epoch_batches(lengths, 10, 3, 0), epoch_batches(lengths, 10, 3, 1)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(1003))
    assert first != second
    assert first == epoch_batches(lengths, 10, 3, 0)
    assert first != epoch_batches(lengths, 10, 4, 0)
    assert [len(batch) for batch in first] == [10] * 100 + [3]
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in first)
    assert padded / sum(lengths) < 1.1
    longest = [max(lengths[i] for i in batch) for batch in first[:-1]]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def _budget_batches(lengths, subwords):
    return [batch.tolist() for batch in budget_batches(np.array(lengths, dtype=int), subwords)]


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(1, 100))
def test_batches_of_a_budget_are_as_large_as_it_allows(lengths, subwords):
    batches = _budget_batches(lengths, subwords)
    assert sorted(chain(*batches)) == list(range(len(lengths)))
    order = [lengths[index] for index in chain(*batches)]
    assert order == sorted(lengths, reverse=True)
    for at, batch in enumerate(batches):
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= subwords
        assert at == len(batches) - 1 or longest * (len(batch) + 1) > subwords, "one more would fit"


def test_the_longest_inputs_come_first_so_that_memory_runs_out_at_once():
    assert _budget_batches([1, 9, 3, 9], 18) == [[1, 3], [2, 0]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.one_of(st.none(), st.integers(1, 200)), st.data())
def test_a_batch_is_cut_at_the_least_cost(lengths, max_tokens, data):
    overhead = data.draw(st.one_of(st.none(), st.integers(0, 60)))
    batch = list(range(len(lengths)))
    microbatches = split_into_microbatches(lengths, batch, max_tokens, overhead)
    assert sorted(chain(*microbatches)) == batch

    def padded(microbatch):
        return max(lengths[i] for i in microbatch) * len(microbatch)

    assert max_tokens is None or all(
        len(microbatch) == 1 or padded(microbatch) <= max_tokens for microbatch in microbatches
    )
    order = sorted(batch, key=lambda i: -lengths[i])

    def cost(parts):
        return (len(parts) if overhead is None else 0, sum(map(padded, parts)) + len(parts) * (overhead or 0))

    best = None
    for cuts in range(1 << (len(order) - 1)):
        parts, start = [], 0
        for at in range(1, len(order) + 1):
            if at == len(order) or cuts >> (at - 1) & 1:
                parts.append(order[start:at])
                start = at
        if max_tokens is None or all(len(microbatch) == 1 or padded(microbatch) <= max_tokens for microbatch in parts):
            best = min(best or cost(parts), cost(parts))
    assert cost(microbatches) == best


def test_a_batch_that_fits_stays_whole_where_parts_cost_too_much():
    assert split_into_microbatches([5, 9, 5], [2, 0, 1], None, None) == [[1, 2, 0]]
    assert split_into_microbatches([5, 9, 5], [2, 0, 1], None, 100) == [[1, 2, 0]]
    assert split_into_microbatches([5, 9, 5], [2, 0, 1], None, 0) == [[1], [2, 0]]
    assert split_into_microbatches([5, 9, 5], [2, 0, 1], 18, None) == [[1], [2, 0]]
