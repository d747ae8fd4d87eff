"""Inputs in columns: batches, joins and their way through names and tensors."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import tokenizers
from tests.helpers.training import pairs, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.heads import IGNORED
from xglue_harness.encoders.inputs import Inputs, collate, concatenated
from xglue_harness.encoders.tokenising import tokenised

PAD = 99
_TOKEN = st.tuples(st.integers(0, 90), st.integers(0, 1))
_SENTENCE = st.tuples(st.lists(_TOKEN, min_size=1, max_size=12), st.integers(0, 9))
_TAGGED = st.lists(_TOKEN, min_size=1, max_size=12).flatmap(
    lambda tokens: st.tuples(
        st.just(tokens), st.dictionaries(st.integers(0, len(tokens) - 1), st.integers(0, 9), max_size=5)
    )
)


def _ends(sizes):
    return torch.tensor([0, *sizes]).cumsum(0)


def _inputs(items, *, segments, tagging):
    """Inputs of ``(tokens, label)`` pairs, and of ``(tokens, {position: label})`` for tagging."""
    tokens = [token for own, _ in items for token in own]
    words = [sorted(labels.items()) if tagging else [(0, labels)] for _, labels in items]
    flat = [word for own in words for word in own]
    optional = {"segments": torch.tensor([kind for _, kind in tokens], dtype=torch.uint8)} if segments else {}
    if tagging:
        optional |= {
            "positions": torch.tensor([position for position, _ in flat], dtype=torch.int32),
            "word_starts": _ends(map(len, words)),
            "first_words": torch.zeros(len(items), dtype=torch.int32),
        }
    return Inputs(
        torch.tensor([token for token, _ in tokens], dtype=torch.int32),
        _ends(len(own) for own, _ in items),
        torch.arange(len(items), dtype=torch.int32),
        torch.zeros(len(items), dtype=torch.bool),
        torch.tensor([label for _, label in flat], dtype=torch.int32),
        **optional,
    )


def _slow(items, batch, *, segments, tagging):
    """What `collate` gives, row by row and number by number."""
    longest = max(len(items[index][0]) for index in batch)
    result = {"input_ids": [], "attention_mask": [], "labels": []} | ({"token_type_ids": []} if segments else {})
    for index in batch:
        tokens, labels = items[index]
        rest = longest - len(tokens)
        result["input_ids"].append([token for token, _ in tokens] + [PAD] * rest)
        result["attention_mask"].append([1] * len(tokens) + [0] * rest)
        if segments:
            result["token_type_ids"].append([kind for _, kind in tokens] + [0] * rest)
        result["labels"].append([labels.get(at, IGNORED) for at in range(longest)] if tagging else labels)
    return result


@given(st.data(), st.booleans(), st.booleans())
def test_a_batch_is_what_a_slow_reference_gives(data, segments, tagging):
    items = data.draw(st.lists(_TAGGED if tagging else _SENTENCE, min_size=1, max_size=8))
    batch = data.draw(st.lists(st.integers(0, len(items) - 1), min_size=1, max_size=10))
    tensors = collate(_inputs(items, segments=segments, tagging=tagging), batch, PAD)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.long}
    expected = _slow(items, batch, segments=segments, tagging=tagging)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == expected


def test_a_batch_of_a_tokenizer_is_padded_on_the_right():
    tokenizer, spec = tokenizers.bert(), TASKS["pos"]
    rows = [{"words": ["the", "catdog"], "pos": [5, 7]}, {"words": ["dog"], "pos": [2]}]
    batch = collate(tokenised(spec, rows, tokenizer, "en", 16), [0, 1], pad=0)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(tokenizer("the catdog")["input_ids"]), 3]
    assert batch["labels"][0].tolist()[:3] == [IGNORED, 5, 7]
    assert batch["labels"][1].tolist()[:2] == [IGNORED, 2]
    assert (batch["labels"] != IGNORED).sum() == 3
    assert torch.equal(batch["input_ids"] == 0, batch["attention_mask"] == 0)
    assert "token_type_ids" in batch
    assert "token_type_ids" not in collate(tokenised(spec, rows, tokenizers.xlmr(), "en", 16), [0, 1], pad=1)


ROWS = {
    "pos": [*sentences(7), {"words": ["catdog"] * 30, "pos": [3] * 30}, *sentences(4, 50)],
    "xnli": pairs(12),
    "nc": [{"news_title": "the", "news_body": "dog " * n, "news_category": n % 10} for n in range(12)],
}


def _same(one, other, *, apart=()):
    assert one.tensors().keys() == other.tensors().keys()
    for name, column in one.tensors().items():
        if name not in apart:
            assert column.dtype == other.tensors()[name].dtype, name
            assert torch.equal(column, other.tensors()[name]), name


@cache
def _tokenised(task, make):
    """A tokenizer, and all rows together."""
    tokenizer = make()
    return tokenizer, tokenised(TASKS[task], ROWS[task], tokenizer, "en", 16)


@pytest.mark.parametrize("make", [tokenizers.bert, tokenizers.xlmr])
@pytest.mark.parametrize("task", ROWS)
@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 12), max_size=4).map(sorted))
def test_data_sets_one_after_another_are_those_rows_tokenised_together(make, task, cuts):
    (tokenizer, whole), rows = _tokenised(task, make), ROWS[task]
    stretches = [rows[start:stop] for start, stop in zip([0, *cuts], [*cuts, 12], strict=True)]
    parts = [tokenised(TASKS[task], rows, tokenizer, "en", 16) for rows in stretches]
    joint = concatenated(parts)
    _same(joint, whole, apart=["rows"])
    owners = [row for part in parts for row in part.rows.tolist()]
    assert joint.rows.tolist() == owners


@pytest.mark.parametrize("make", [tokenizers.bert, tokenizers.xlmr])
@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("count", [0, 12])
def test_the_columns_are_all_there_is(make, task, count):
    inputs = tokenised(TASKS[task], ROWS[task][:count], make(), "en", 16)
    again = Inputs(**inputs.tensors())
    _same(inputs, again)
    assert again.tagging == (task == "pos")
    assert (again.segments is not None) == (make is tokenizers.bert)
    assert sum(again.lengths) == again.subwords
    for index in range(len(again)):
        assert len(again.subwords_of(index)) == again.lengths[index]
