"""Frames, truncation and words: what the encoder reads equals what its own tokenizer would build."""

from __future__ import annotations

import random
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import tokenizers
from xglue_harness.encoders import subwords as inputs
from xglue_harness.encoders.languages import MBART_CODES, NLLB_CODES, language_code, reading
from xglue_harness.encoders.subwords import Texts

FAMILIES = [tokenizers.mbart50, tokenizers.nllb, tokenizers.xlmr, tokenizers.bert]


def _flat(lists):
    return [number for numbers in lists for number in numbers]


@pytest.mark.parametrize("make", FAMILIES)
def test_one_text_equals_the_tokenizer(make):
    tokenizer = make()
    frame = inputs.single_frame(tokenizer)
    texts = ["the cat", "a", "the dog sees the cat and more"]
    plain = Texts.of(inputs.plain_ids(tokenizer, texts))
    for length in (8, 5, 40):
        expected = [tokenizer(text, truncation=True, max_length=length) for text in texts]
        encoded = inputs.encode(frame, plain, None, length)
        assert encoded.texts.lists() == [one["input_ids"] for one in expected]
        assert encoded.truncated.tolist() == [len(tokenizer(text)["input_ids"]) > length for text in texts]
        if encoded.segments is not None:
            assert encoded.segments.tolist() == _flat(one["token_type_ids"] for one in expected)


@pytest.mark.parametrize("make", [tokenizers.xlmr, tokenizers.bert])
def test_pairs_equal_the_tokenizer_and_the_longer_text_is_cut(make):
    tokenizer, rng = make(), random.Random(0)
    frame = inputs.pair_frame(tokenizer)
    for length in range(9, 41):
        # One text of a pair is shorter than the most: of two longer ones tokenizers 0.23.2 forgets which is the longer.
        sizes = [rng.sample([rng.randint(1, 30), rng.randint(1, min(30, length - 1))], 2) for _ in "123456"]
        first, second = ([" ".join(rng.choices(tokenizers.WORDS, k=pair[place])) for pair in sizes] for place in (0, 1))
        expected = [
            tokenizer(*pair, truncation="longest_first", max_length=length) for pair in zip(first, second, strict=True)
        ]
        plain = [Texts.of(inputs.plain_ids(tokenizer, texts)) for texts in (first, second)]
        encoded = inputs.encode(frame, *plain, length)
        assert encoded.texts.lists() == [one["input_ids"] for one in expected]
        assert encoded.segments is None or encoded.segments.tolist() == _flat(one["token_type_ids"] for one in expected)
        whole = [len(tokenizer(*pair)["input_ids"]) for pair in zip(first, second, strict=True)]
        assert encoded.truncated.tolist() == [size > length for size in whole]


_TEXT = st.lists(st.integers(10, 99), max_size=9)


@given(st.lists(st.tuples(_TEXT, _TEXT), max_size=6), st.integers(4, 20), st.booleans())
def test_texts_in_a_frame_are_what_a_slow_reference_gives(pairs, length, segments):
    frame = inputs.Frame((1, 2), (3,), (4,), (5, 6, 7, 8, 9) if segments else None)
    first, second = (Texts.of([pair[place] for pair in pairs]) for place in (0, 1))
    ids, kinds = [], []
    for a, b in pairs:
        first_is_longer = len(a) > len(b)
        while len(a) + len(b) + 4 > length:  # the longer text loses its last one; of two equal ones the shorter before
            from_first = len(a) > len(b) or (len(a) == len(b) and not first_is_longer)
            a, b = (a[:-1], b) if from_first else (a, b[:-1])
        ids.append([1, 2, *a, 3, *b, 4])
        kinds.extend([5, 5, *[6] * len(a), 7, *[8] * len(b), 9])
    encoded = inputs.encode(frame, first, second, length)
    assert encoded.texts.lists() == ids
    assert encoded.truncated.tolist() == [len(a) + len(b) + 4 > length for a, b in pairs]
    alone = inputs.encode(frame, first, None, length)
    assert alone.texts.lists() == [[1, 2, *a[: length - 3], 4] for a, _ in pairs]
    assert alone.truncated.tolist() == [len(a) > length - 3 for a, _ in pairs]
    if segments:
        assert encoded.segments.tolist() == kinds
        assert alone.segments.tolist() == _flat([5, 5, *[6] * (len(own) - 3), 9] for own in alone.texts.lists())
    else:
        assert encoded.segments is alone.segments is None


def test_texts_may_overlap_and_be_empty():
    texts = Texts(np.arange(10, dtype=np.int32), np.array([2, 0, 3, 9]), np.array([3, 4, 0, 1]))
    assert texts.lists() == [[2, 3, 4], [0, 1, 2, 3], [], [9]]
    assert texts.cut(2).lists() == [[2, 3], [0, 1], [], [9]]
    assert Texts.of([[1], [], [2, 3]]).lists() == [[1], [], [2, 3]]
    assert Texts.of([]).lists() == []


@pytest.mark.parametrize("make", [tokenizers.mbart50, tokenizers.nllb])
def test_a_separator_is_put_where_the_tokenizer_has_none(make):
    tokenizer = make()
    bare = tokenizer("the cat", "sees dog")["input_ids"]
    first, second = (Texts.of(inputs.plain_ids(tokenizer, [text])) for text in ("the cat", "sees dog"))
    [ids] = inputs.encode(inputs.pair_frame(tokenizer), first, second, max_length=64).texts.lists()
    size = int(first.lengths[0])
    assert ids == [*bare[: 1 + size], tokenizer.sep_token_id, *bare[1 + size :]]


@pytest.mark.parametrize("make", [*FAMILIES, tokenizers.bytes_bpe])
def test_every_word_gets_a_subword(make):
    tokenizer = make()
    words = ["the", "\u200b", "catdog", "\x00", "x", "ж", " "]
    pieces = inputs.words_of(tokenizer, [words, [], ["dog"]]).lists()
    assert len(pieces) == len(words) + 1
    assert all(pieces)
    blank = " " if make is tokenizers.bytes_bpe else ""
    assert [pieces[0], pieces[-1]] == inputs.plain_ids(tokenizer, [f"{blank}the", f"{blank}dog"])
    assert inputs.words_of(tokenizer, []).lists() == inputs.words_of(tokenizer, [[]]).lists() == []


@pytest.mark.parametrize(("make", "codes"), [(tokenizers.mbart50, MBART_CODES), (tokenizers.nllb, NLLB_CODES)])
def test_the_language_code_stands_where_the_tokenizer_puts_it(make, codes, caplog):
    tokenizer = make()
    before = tokenizer.src_lang
    for language, code in codes.items():
        tokenizer.src_lang = code or "en_XX"
        expected = tokenizer("the cat")["input_ids"]
        tokenizer.src_lang = before
        with reading(tokenizer, language):
            frame = inputs.single_frame(tokenizer)
            plain = Texts.of(inputs.plain_ids(tokenizer, ["the cat"]))
        assert inputs.encode(frame, plain, None, 64).texts.lists() == [expected]
        assert tokenizer.src_lang == before
    warned = {record.args[0] for record in caplog.records}
    assert warned == {language for language, code in codes.items() if code is None}


def test_tokenizers_without_languages_have_no_code():
    assert language_code(tokenizers.xlmr(), "de") is None
    assert language_code(tokenizers.bert(), "bg") is None


def test_words_of_byte_level_tokenizers_are_read_as_words_of_a_text():
    tokenizer = tokenizers.bytes_bpe()
    glued = tokenizer(["cat", "dog"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    text = inputs.plain_ids(tokenizer, [" cat dog cat"])[0]
    assert glued != inputs.plain_ids(tokenizer, [" cat dog"])[0], "the trap is gone"
    pieces = inputs.words_of(tokenizer, [["cat", "dog", "cat"]]).lists()
    assert [token for piece in pieces for token in piece] == text
    assert tokenizer.convert_ids_to_tokens(pieces[0]) == ["\u0120cat"]


def test_codes_of_m2m100_are_our_own():
    class Tokenizer:
        src_lang = "en"
        lang_code_to_token: ClassVar = {"de": "__de__", "en": "__en__"}

        @staticmethod
        def get_vocab():
            return {"__de__": 5}

    assert language_code(Tokenizer(), "de") == "de"
    tokenizer = Tokenizer()
    with reading(tokenizer, "de"):
        assert tokenizer.src_lang == "de"
    assert tokenizer.src_lang == "en"


def test_a_tokenizer_with_unknown_codes_is_named(caplog):
    class Tokenizer:
        src_lang = "eng"

        @staticmethod
        def get_vocab():
            return {}

    assert language_code(Tokenizer(), "de") is None
    assert "no known code for de fits the tokenizer: it is read as eng" in caplog.text
