"""How much of a text a tokenizer reads as unknown, and from where on it is said."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.helpers.families import Checkpoints
from xglue_harness.encoders.unknown import count_unknown, unknown_shares, warn, warning


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """It knows the words a and b, and frames a text by [CLS] and [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def test_special_subwords_do_not_count(tokenizer):
    assert count_unknown(tokenizer, torch.tensor([2, 4, 1, 5, 1, 3, 2, 4, 3, 0, 0])) == (2, 5)
    assert count_unknown(tokenizer, []) == (0, 0)


def test_shares_are_by_language(tokenizer):
    shares = unknown_shares(tokenizer, {"en": ["a b", "b a"], "th": ["x a", "y z"], "sw": []})
    assert shares == {"en": 0.0, "th": 0.75, "sw": 0.0}


def test_a_tokenizer_of_bytes_has_no_unknown_subword(tokenizer):
    class Bytes:
        unk_token_id = 3
        eos_token_id = 3
        all_special_ids = (3,)

    assert count_unknown(Bytes(), [1, 2, 3]) is None
    Bytes.unk_token_id = None
    assert count_unknown(Bytes(), [1, 2, 3]) is None


def test_what_is_much_is_said_with_the_worst_first(tokenizer, caplog):
    assert warning("mine", {"de": 0.049, "en": 0.0}) == ""
    said = warning("mine", {"de": 0.05, "en": 0.0, "th": 0.754, "zh": 0.9})
    assert said.startswith("the tokenizer of mine reads much text as unknown")
    assert said.endswith("share of unknown subwords: zh 90%, th 75%, de 5%")
    with caplog.at_level(logging.WARNING):
        warn("mine", {"de": 0.0})
        assert not caplog.records
        warn("mine", {"de": 0.5})
    assert [record.getMessage() for record in caplog.records] == [warning("mine", {"de": 0.5})]


@pytest.mark.parametrize("family", ["mbert", "xlmr"])
def test_real_kinds_of_tokenizers_are_counted(family, tmp_path):
    from xglue_harness.encoders.loading import load_backbone

    own = load_backbone(str(Checkpoints(tmp_path)(family)), torch.device("cpu")).tokenizer
    shares = unknown_shares(own, {"en": ["the"], "xx": ["ꙮ ꙮ ꙮ"]})
    assert shares["xx"] > 0.3
    assert shares["en"] < 0.05
