"""The size of a GPU's batches: counted, the same each time, and by the memory that the card has."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from tests.helpers.training import CPU, backbone, pairs, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.device import autocast
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.prediction import predict as predict_module
from xglue_harness.prediction.forward import ForwardPass
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.prediction.token_budget import bytes_a_token, device_memory, known_budget, tokens_for
from xglue_harness.training.model import build_model


def _model(**sizes):
    config = BertConfig(
        **{
            "vocab_size": 50,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "hidden_act": "relu",
            **sizes,
        }
    )
    return TransferModel(BertModel(config, add_pooling_layer=False), 3, tagging=True, pooling="first").eval()


def _bytes(model, length=40, context=torch.inference_mode, precision="fp32"):
    ids = torch.full((1, length), 7)
    with context(), autocast(CPU, precision):
        return bytes_a_token(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def test_what_a_subword_takes_is_that_of_its_layers():
    least = (3 * 32 + 128) * 4  # hidden states of all layers, and the wide one of the last
    assert least <= _bytes(_model()) <= 2 * least
    assert _bytes(_model()) == _bytes(_model())
    more = _bytes(_model(num_hidden_layers=12)) - _bytes(_model())
    assert more == pytest.approx(10 * 32 * 4, rel=0.01), "each layer's states are there to the end"
    assert _bytes(_model(vocab_size=5000)) == _bytes(_model()), "weights are not the batch's"


def test_copies_of_weights_do_not_count():
    model = _model(intermediate_size=8192)
    assert _bytes(model) / 3 < _bytes(model, context=torch.no_grad, precision="bf16") < _bytes(model)


def test_attention_that_is_written_out_takes_more_the_longer_the_input():
    model = _model()
    model.encoder.set_attn_implementation("eager")
    assert _bytes(model, 200) - _bytes(model, 100) >= 100 * 2 * 4  # a number a head for each place
    assert _bytes(_model(), 200) == pytest.approx(_bytes(_model(), 100), rel=0.05)


@given(st.integers(10**6, 10**12), st.floats(1, 1e7))
def test_a_budget_is_a_power_of_two_that_takes_a_quarter_at_most(memory, each):
    tokens = tokens_for(memory, each)
    assert tokens.bit_count() == 1
    assert tokens * each <= memory / 4 or tokens == 1
    assert tokens == 32768 or 2 * tokens * each > memory / 4 * 0.999


def test_a_cpu_is_not_asked():
    assert device_memory(CPU) is None
    assert known_budget(CPU) == 1024
    assert known_budget(torch.device("mps")) == 8192


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_with_a_budget_by_memory_predictions_stay(task, monkeypatch):
    body, spec = backbone(), TASKS[task]
    rows = {"pos": sentences(30), "xnli": pairs(30)}[task]
    part = prepare(body, spec, recipe(task), rows, "en")
    model, finished, sizes, forward = build_model(body, spec, recipe(task)), [], [], TransferModel.forward
    [expected] = predict(model, body, recipe(task), [part], progress=False)

    def watching(self, input_ids, **others):
        finished.append(others["finished"])
        sizes.append(input_ids.numel())
        return forward(self, input_ids, **others)

    monkeypatch.setattr(TransferModel, "forward", watching)
    monkeypatch.setattr(predict_module, "device_memory", lambda device: 150_000)
    [found] = predict(model, body, recipe(task), [part], progress=False)
    assert all(finished), "BERT takes finished masks"
    assert 8 < max(sizes) <= 64
    assert found.values == expected.values
    flat = [list(chain(*scores)) if task == "pos" else scores for scores in (found.scores, expected.scores)]
    np.testing.assert_allclose(*flat, atol=1e-5)


def test_an_encoder_that_takes_no_finished_mask_gets_a_plain_one():
    body = backbone()
    inputs = tokenised(TASKS["xnli"], pairs(12), body.tokenizer, "en", 32)

    class Stubborn(torch.nn.Module):
        config = body.encoder.config

        def __init__(self):
            super().__init__()
            self.encoder = body.encoder

        def forward(self, input_ids, attention_mask, **others):
            assert attention_mask.dim() == 2
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask, **others)

    model = TransferModel(Stubborn(), 3, tagging=False, pooling="mean").eval()
    forward = ForwardPass(model, inputs, 0, CPU)
    with torch.inference_mode():
        assert forward.probe(10**9) == 32768
        forward.compute(np.arange(3))
