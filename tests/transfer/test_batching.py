"""Windows, encoded examples and padded batches."""

from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import tokenizers
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.heads import IGNORED
from xglue_harness.transfer.batching import collate, epoch_batches, examples, joined, windows


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(9, 20))
def test_windows_score_each_word_once_and_fit(lengths, room):
    found = windows(lengths, room)
    assert [word for window in found for word in range(window.own_start, window.own_stop)] == list(range(len(lengths)))
    for window in found:
        assert window.start <= window.own_start <= window.own_stop <= window.stop
        assert sum(lengths[window.start : window.stop]) <= room


def test_neighbouring_windows_overlap():
    first, second, *_ = windows([1] * 100, 20)
    assert first.stop - second.start == 5
    assert second.start < first.own_stop < first.stop


def test_a_long_sentence_becomes_windows_with_every_label_once():
    tokenizer, spec = tokenizers.bert(), TASKS["pos"]
    words, labels = ["the", "catdog", "x"] * 20, [5, 7, 3] * 20
    found = examples(spec, [{"words": words, "pos": labels}, {"words": ["dog"], "pos": [1]}], tokenizer, "en", 16)
    assert len(found) > 3
    assert max(len(example.encoded.ids) for example in found) <= 16
    seen = [(word, label) for example in found[:-1] for word, label in zip(example.words, example.labels, strict=True)]
    assert seen == list(enumerate(labels))
    first_subword = {word: tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in set(words)}
    for example in found[:-1]:
        for position, word in zip(example.positions, example.words, strict=True):
            assert example.encoded.ids[position] == first_subword[words[word]]
    assert found[-1].row == 1


def test_a_word_longer_than_the_window_still_has_its_place():
    found = examples(TASKS["pos"], [{"words": ["the", "x" * 90, "dog"], "pos": [1, 2, 3]}], tokenizers.bert(), "en", 10)
    assert sorted(word for example in found for word in example.words) == [0, 1, 2]
    assert any(example.encoded.truncated for example in found)


def test_columns_are_joined_as_the_table_says():
    row = {"news_title": "the cat", "news_body": "sees dog", "news_category": 1}
    assert joined(row, TASKS["nc"].text_a) == "the cat sees dog"
    assert joined({**row, "news_title": ""}, TASKS["nc"].text_a) == "sees dog"
    tokenizer = tokenizers.bert()
    [example] = examples(TASKS["nc"], [row], tokenizer, "en", 64)
    assert example.encoded.ids == tokenizer("the cat sees dog")["input_ids"]
    assert example.label == 1
    pair = {"query": "the", "ad_title": "cat", "ad_description": "dog", "relevance_label": 0}
    [example] = examples(TASKS["qadsm"], [pair], tokenizer, "en", 64)
    assert example.encoded.ids == tokenizer("the", "cat dog")["input_ids"]


def test_collate_pads_on_the_right():
    tokenizer, spec = tokenizers.bert(), TASKS["pos"]
    rows = [{"words": ["the", "catdog"], "pos": [5, 7]}, {"words": ["dog"], "pos": [2]}]
    batch = collate(examples(spec, rows, tokenizer, "en", 16), pad=0, tagging=True)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(tokenizer("the catdog")["input_ids"]), 3]
    assert batch["labels"][0].tolist()[:3] == [IGNORED, 5, 7]
    assert batch["labels"][1].tolist()[:2] == [IGNORED, 2]
    assert (batch["labels"] != IGNORED).sum() == 3
    assert torch.equal(batch["input_ids"] == 0, batch["attention_mask"] == 0)
    assert "token_type_ids" in batch
    assert "token_type_ids" not in collate(examples(spec, rows, tokenizers.xlmr(), "en", 16), pad=1, tagging=True)


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
