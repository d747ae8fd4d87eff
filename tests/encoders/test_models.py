"""The encoder within a model, pooling and heads."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    BertModel,
    FNetConfig,
    FNetModel,
    GPT2Config,
    GPT2LMHeadModel,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.helpers import tokenizers
from xglue_harness.encoders.backbone import (
    Backbone,
    check_trainable,
    encoder_of,
    weights_sha256,
)
from xglue_harness.encoders.heads import IGNORED, TransferModel
from xglue_harness.encoders.pooling import default_pooling, pool
from xglue_harness.encoders.probe import check_length
from xglue_harness.errors import EncoderError

SMALL = {"vocab_size": 50, "max_position_embeddings": 40}
BERT = BertConfig(**SMALL, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
SEQ2SEQ = {
    **SMALL,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
}


def _inputs():
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 1, 1]])
    return {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])}


@pytest.mark.parametrize(
    "make",
    [
        lambda: MBartForConditionalGeneration(MBartConfig(**SEQ2SEQ)),
        lambda: M2M100ForConditionalGeneration(M2M100Config(**SEQ2SEQ)),
        lambda: T5ForConditionalGeneration(
            T5Config(vocab_size=50, d_model=16, d_ff=16, num_layers=2, num_heads=2, d_kv=8)
        ),
    ],
)
def test_the_encoder_of_a_translation_model_has_its_hidden_states(make):
    model = make().eval()
    with torch.no_grad():
        whole = model(**_inputs(), decoder_input_ids=torch.tensor([[2], [2]])).encoder_last_hidden_state
        ours = encoder_of(model)(**_inputs()).last_hidden_state
    assert torch.equal(whole, ours)
    assert default_pooling(model.config) == "mean"


def test_the_encoder_of_a_causal_wrapper_keeps_its_embeddings():
    body = BertModel(BERT, add_pooling_layer=False).eval()
    wrapper = BertLMHeadModel(BERT).eval()
    wrapper.bert.load_state_dict(body.state_dict())
    with torch.no_grad():
        assert torch.equal(encoder_of(wrapper)(**_inputs()).last_hidden_state, body(**_inputs()).last_hidden_state)
    assert weights_sha256(encoder_of(wrapper)) == weights_sha256(body)
    assert default_pooling(BERT) == "first"


def test_decoder_only_models_are_refused():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2))
    with pytest.raises(EncoderError, match=r"decoder-only model \(gpt2\).*Give an encoder"):
        encoder_of(model)
    causal = AutoModelForCausalLM.from_config(BertConfig(**{**BERT.to_dict(), "is_decoder": True}))
    with pytest.raises(EncoderError, match="decoder-only"):
        encoder_of(causal)


def test_the_hash_changes_with_any_weight():
    model = BertModel(BERT, add_pooling_layer=False)
    before = weights_sha256(model)
    assert weights_sha256(model) == before
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[7, 3] += 1e-6
    assert weights_sha256(model) != before


def test_lengths_beyond_the_positions_are_refused():
    body = Backbone(
        BertModel(BERT, add_pooling_layer=False).eval(), tokenizers.bert(), BERT, torch.device("cpu"), "tiny"
    )
    check_length(body, 40)
    with pytest.raises(
        EncoderError, match=r"max_length 41 is more than tiny can read \(40 subwords\).*\"max_length\": 40"
    ):
        check_length(body, 41)


def test_pooling_reads_real_subwords_only():
    hidden = torch.arange(24, dtype=torch.float).reshape(2, 4, 3)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    assert torch.equal(pool(hidden, mask, "first"), hidden[:, 0])
    assert torch.equal(pool(hidden, mask, "eos"), torch.stack([hidden[0, 3], hidden[1, 1]]))
    assert torch.equal(pool(hidden, mask, "mean"), torch.stack([hidden[0].mean(0), hidden[1, :2].mean(0)]))
    assert torch.equal(pool(-hidden, mask, "max"), torch.stack([-hidden[0, 0], -hidden[1, 0]]))


def test_loss_counts_labelled_positions_only():
    model = TransferModel(BertModel(BERT, add_pooling_layer=False), 3, tagging=True, pooling="first").eval()
    labels = torch.tensor([[IGNORED, 1, 2, IGNORED], [IGNORED, 0, IGNORED, IGNORED]])
    with torch.no_grad():
        output = model(**_inputs(), labels=labels)
    chosen = torch.stack([output["logits"][0, 1], output["logits"][0, 2], output["logits"][1, 1]])
    expected = torch.nn.functional.cross_entropy(chosen, torch.tensor([1, 2, 0]), reduction="sum")
    assert torch.allclose(output["loss"], expected)
    assert output["logits"].shape == (2, 4, 3)


def test_padding_does_not_change_a_sentence():
    torch.manual_seed(0)
    model = TransferModel(BertModel(BERT, add_pooling_layer=False), 3, tagging=False, pooling="mean").eval()
    with torch.no_grad():
        alone = model(torch.tensor([[9, 10]]), torch.ones(1, 2, dtype=torch.long))["logits"]
        padded = model(**_inputs())["logits"][1:]
    assert torch.allclose(alone, padded, atol=1e-6)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("is_quantized", True, "quantised weights can't be fine-tuned"),
        ("hf_device_map", {"a": 0, "b": "cpu"}, "spread over 0, cpu"),
    ],
)
def test_weights_that_cannot_be_trained_are_refused(attribute, value, message):
    model = BertModel(BERT, add_pooling_layer=False)
    check_trainable(model)
    setattr(model, attribute, value)
    with pytest.raises(EncoderError, match=message):
        check_trainable(model)


def test_segments_go_to_encoders_that_were_trained_with_them_only():
    one_segment = BertConfig(**{**BERT.to_dict(), "type_vocab_size": 1})
    for config, reads in ((BERT, True), (one_segment, False)):
        model = TransferModel(BertModel(config, add_pooling_layer=False), 3, tagging=False, pooling="first").eval()
        assert model.reads_segments is reads
        with torch.no_grad():
            plain = model(**_inputs())["logits"]
            marked = model(**_inputs(), token_type_ids=torch.ones(2, 4, dtype=torch.long))["logits"]
        assert torch.equal(plain, marked) is not reads


def test_encoders_that_read_no_text_are_refused():
    class Ears(torch.nn.Module):
        def forward(self, input_features, attention_mask=None):
            return input_features

    with pytest.raises(EncoderError, match="Ears can't be used: it reads no text"):
        check_trainable(Ears())


def test_encoders_that_cannot_tell_padding_are_refused():
    model = FNetModel(FNetConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, intermediate_size=16))
    with pytest.raises(EncoderError, match="FNetModel can't be used: it does not tell padding from text"):
        check_trainable(model)
