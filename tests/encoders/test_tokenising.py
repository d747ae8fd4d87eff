"""Windows of long sentences, and inputs from the rows of a task."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import tokenizers
from tests.helpers.training import pairs, sentences
from xglue_harness import bars
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders import tokenising
from xglue_harness.encoders.tokenising import tokenised, windows
from xglue_harness.kinds.base import joined


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(9, 20))
def test_windows_score_each_word_once_and_fit(lengths, room):
    parts = windows(lengths, room)
    scored = [word for window in parts for word in range(window.scored_start, window.scored_stop)]
    assert scored == list(range(len(lengths)))
    for window in parts:
        assert window.start <= window.scored_start <= window.scored_stop <= window.stop
        assert sum(lengths[window.start : window.stop]) <= room


def test_neighbouring_windows_overlap():
    first, second, *_ = windows([1] * 100, 20)
    assert first.stop - second.start == 5
    assert second.start < first.scored_stop < first.stop


def test_a_long_sentence_becomes_windows_with_every_label_once():
    tokenizer, spec = tokenizers.bert(), TASKS["pos"]
    words, labels = ["the", "catdog", "x"] * 20, [5, 7, 3] * 20
    inputs = tokenised(spec, [{"words": words, "pos": labels}, {"words": ["dog"], "pos": [1]}], tokenizer, "en", 16)
    assert len(inputs) > 3
    assert max(inputs.lengths) <= 16
    assert inputs.rows.tolist() == [0] * (len(inputs) - 1) + [1]
    first_subword = {word: tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in set(words)}
    seen = []
    for index in range(len(inputs) - 1):
        answered, first = inputs.words_of(index), int(inputs.first_words[index])
        seen.extend(enumerate(inputs.labels[answered].tolist(), start=first))
        for word, position in enumerate(inputs.positions[answered].tolist(), start=first):
            assert inputs.subwords_of(index)[position] == first_subword[words[word]]
    assert seen == list(enumerate(labels))
    assert inputs.labels[inputs.words_of(len(inputs) - 1)].tolist() == [1]


def test_a_word_longer_than_the_window_still_has_its_place():
    rows = [{"words": ["the", "x" * 90, "dog"], "pos": [1, 2, 3]}]
    inputs = tokenised(TASKS["pos"], rows, tokenizers.bert(), "en", 10)
    firsts, sizes = inputs.first_words.tolist(), inputs.word_starts.diff().tolist()
    words = [word for first, size in zip(firsts, sizes, strict=True) for word in range(first, first + size)]
    assert words == [0, 1, 2]
    assert inputs.truncated.any()
    assert not inputs.truncated.all()


def test_columns_are_joined_as_the_table_says():
    row = {"news_title": "the cat", "news_body": "sees dog", "news_category": 1}
    assert joined(row, TASKS["nc"].text_a) == "the cat sees dog"
    assert joined({**row, "news_title": ""}, TASKS["nc"].text_a) == "sees dog"
    tokenizer = tokenizers.bert()
    one = tokenised(TASKS["nc"], [row], tokenizer, "en", 64)
    assert one.ids.tolist() == tokenizer("the cat sees dog")["input_ids"]
    assert one.labels.tolist() == [1]
    pair = {"query": "the", "ad_title": "cat", "ad_description": "dog", "relevance_label": 0}
    two = tokenised(TASKS["qadsm"], [pair], tokenizer, "en", 64)
    expected = tokenizer("the", "cat dog")
    assert two.ids.tolist() == expected["input_ids"]
    assert two.segments.tolist() == expected["token_type_ids"]
    assert len(one) == len(two) == 1


@pytest.mark.parametrize("task", ["pos", "xnli"])
@pytest.mark.parametrize("make", [tokenizers.bert, tokenizers.bytes_bpe, tokenizers.mbart50])
def test_rows_are_tokenised_a_chunk_at_a_time(task, make, monkeypatch):
    tokenizer, rows = make(), {"pos": sentences(10), "xnli": pairs(10)}[task]
    whole = tokenised(TASKS[task], rows, tokenizer, "en", 16)
    monkeypatch.setattr(tokenising, "_CHUNK", 3)
    parts = tokenised(TASKS[task], rows, tokenizer, "en", 16)
    assert sorted(set(parts.rows.tolist())) == list(range(10))
    for name, column in whole.tensors().items():
        assert column.tolist() == parts.tensors()[name].tolist(), name


@pytest.mark.parametrize("before", ["false", None])
def test_all_cores_work_while_we_tokenise_and_the_setting_returns(before, monkeypatch):
    """lm_eval's command line switches that off."""
    if before is None:
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    else:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
    seen = []

    class Watching(tokenizers.BertTokenizer):
        def __call__(self, *args, **options):
            seen.append(os.environ["TOKENIZERS_PARALLELISM"])
            return super().__call__(*args, **options)

    tokenizer = tokenizers.bert()
    tokenizer.__class__ = Watching
    tokenised(TASKS["xnli"], pairs(3), tokenizer, "en", 16)
    assert set(seen) == {"true"}
    assert os.environ.get("TOKENIZERS_PARALLELISM") == before


def test_a_bar_is_shown_where_it_is_asked_for_and_takes_long(capsys, monkeypatch):
    def shown(progress):
        tokenised(TASKS["xnli"], pairs(3), tokenizers.bert(), "en", 16, progress=progress)
        return "XNLI en: tokenising" in capsys.readouterr().err

    assert not shown(True)
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    assert shown(True)
    assert not shown(False)
