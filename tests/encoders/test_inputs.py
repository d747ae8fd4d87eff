"""Frames, truncation and words: what the encoder reads equals what its own tokenizer would build."""

from __future__ import annotations

import random
from typing import ClassVar

import pytest

from tests.helpers import tokenizers
from xglue_harness.encoders import inputs
from xglue_harness.encoders.languages import MBART_CODES, NLLB_CODES, language_code, reading

FAMILIES = [tokenizers.mbart50, tokenizers.nllb, tokenizers.xlmr, tokenizers.bert]


@pytest.mark.parametrize("make", FAMILIES)
def test_one_text_equals_the_tokenizer(make):
    tokenizer = make()
    frame = inputs.single_frame(tokenizer)
    for text in ("the cat", "a", "the dog sees the cat and more"):
        for length in (8, 5, 40):
            ids = inputs.plain_ids(tokenizer, [text])[0]
            expected = tokenizer(text, truncation=True, max_length=length)
            encoded = inputs.encode_single(frame, ids, length)
            assert encoded.ids == expected["input_ids"]
            assert encoded.truncated == (len(tokenizer(text)["input_ids"]) > length)
            if encoded.segments is not None:
                assert encoded.segments == expected["token_type_ids"]


@pytest.mark.parametrize("make", [tokenizers.xlmr, tokenizers.bert])
def test_pairs_equal_the_tokenizer_and_the_longer_text_is_cut(make):
    tokenizer, rng = make(), random.Random(0)
    frame = inputs.pair_frame(tokenizer)
    for _ in range(200):
        first, second = (" ".join(rng.choices(tokenizers.WORDS, k=rng.randint(1, 30))) for _ in range(2))
        length = rng.randint(9, 40)
        expected = tokenizer(first, second, truncation="longest_first", max_length=length)
        encoded = inputs.encode_pair(frame, *inputs.plain_ids(tokenizer, [first, second]), length)
        assert encoded.ids == expected["input_ids"]
        assert encoded.segments is None or encoded.segments == expected["token_type_ids"]


@pytest.mark.parametrize("make", [tokenizers.mbart50, tokenizers.nllb])
def test_a_separator_is_put_where_the_tokenizer_has_none(make):
    tokenizer = make()
    bare = tokenizer("the cat", "sees dog")["input_ids"]
    encoded = inputs.encode_pair(
        inputs.pair_frame(tokenizer), *inputs.plain_ids(tokenizer, ["the cat", "sees dog"]), max_length=64
    )
    first = len(inputs.plain_ids(tokenizer, ["the cat"])[0])
    assert encoded.ids == [*bare[: 1 + first], tokenizer.sep_token_id, *bare[1 + first :]]


@pytest.mark.parametrize("make", FAMILIES)
def test_every_word_gets_a_subword(make):
    tokenizer = make()
    words = ["the", "\u200b", "catdog", "\x00", "x", "ж", " "]
    pieces = inputs.word_ids(tokenizer, [words, ["dog"]])
    assert [len(sentence) for sentence in pieces] == [len(words), 1]
    assert all(piece for sentence in pieces for piece in sentence)
    assert pieces[0][0] == inputs.plain_ids(tokenizer, ["the"])[0]


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
            ids = inputs.plain_ids(tokenizer, ["the cat"])[0]
        assert inputs.encode_single(frame, ids, 64).ids == expected
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
    pieces = inputs.word_ids(tokenizer, [["cat", "dog", "cat"]])[0]
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
