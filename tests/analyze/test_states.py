"""Hidden states by language: of encoders whose answer depends on padding, and of those that are told the language."""

from __future__ import annotations

import pytest
import torch

from benchmarks.padding import backbone_of
from tests.helpers import tokenizers
from xglue_analysis import layer_states
from xglue_harness.analyze.states import facts_of, ready, states_by_language
from xglue_harness.errors import EncoderError

TEXTS = ["the dog", "the cat and the dog", "a", "the dog and the cat and the dog and a cat", "one more sentence"]
WAYS = {"pooling": "mean", "max_length": 32}


@pytest.mark.parametrize(("family", "batches"), [("convbert", "one length"), ("bert", "any length")])
def test_a_sentence_has_the_states_that_it_has_alone(family, batches):
    body = ready(backbone_of(family, tokenizers.bert()), 32)
    assert facts_of(body)["batches"] == body.batch_rule == batches
    found = states_by_language(body, {"de": TEXTS}, **WAYS)["de"]
    alone = [states_by_language(body, {"de": [text]}, **WAYS)["de"] for text in TEXTS]
    assert torch.allclose(found, torch.cat(alone, dim=1), atol=1e-5)
    mixed = layer_states(body.encoder, body.tokenizer, TEXTS, max_length=32)
    apart = layer_states(body.encoder, body.tokenizer, TEXTS, max_length=32, batches=batches)
    single = layer_states(body.encoder, body.tokenizer, TEXTS, max_length=32, batches="one input")
    assert torch.allclose(apart, single, atol=1e-5)
    assert torch.allclose(mixed, single, atol=1e-3) == (batches == "any length"), "the trap is gone"


@pytest.mark.parametrize("family", ["xlm", "xmod"])
def test_the_encoder_is_told_the_language(family):
    body = ready(backbone_of(family, tokenizers.bert()), 32)
    found = states_by_language(body, {"en": TEXTS, "de": TEXTS}, **WAYS)
    assert not torch.allclose(found["en"], found["de"], atol=1e-3)
    with pytest.raises(EncoderError, match="does not know 'sw'"):
        states_by_language(body, {"sw": TEXTS}, **WAYS)
