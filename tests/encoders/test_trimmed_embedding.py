"""Trimmed embeddings are exact: the same weights as training the whole table."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import BertConfig, BertModel, MBartConfig, MBartModel, T5Config, T5EncoderModel, XLMRobertaConfig
from transformers import XLMRobertaModel as XLMR

from tests.helpers.training import backbone, recipe
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.trimmed_embedding import trim, why_not_trimmable
from xglue_harness.training.model import build_model
from xglue_harness.training.weights import load_trained, trained_tensors

SIZES = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def _mbart():
    config = MBartConfig(
        vocab_size=300,
        d_model=16,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_layers=1,
        scale_embedding=True,
    )
    return MBartModel(config).get_encoder()


FAMILIES = {
    "bert": lambda: BertModel(BertConfig(**SIZES), add_pooling_layer=False),
    "xlmr": lambda: XLMR(XLMRobertaConfig(**SIZES), add_pooling_layer=False),
    "mbart": _mbart,
    "t5": lambda: (
        T5EncoderModel(T5Config(vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)).encoder
    ),
}


def _train(encoder, batches):
    torch.manual_seed(1)  # the same dropout
    encoder.train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3, weight_decay=0.0)
    for ids in batches:
        loss = encoder(input_ids=ids, attention_mask=(ids != 1).long()).last_hidden_state.pow(3).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("family", FAMILIES)
def test_training_the_used_rows_equals_training_the_table(family):
    torch.manual_seed(0)
    whole = FAMILIES[family]()
    trimmed, restored = copy.deepcopy(whole), copy.deepcopy(whole)
    before = whole.get_input_embeddings().weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randint(4, 60, (4, 12), generator=generator) for _ in range(50)]
    for ids in batches:
        ids[0, 8:] = 1  # padding
    used = {int(token) for ids in batches for token in ids.flatten()}

    assert why_not_trimmable(trimmed, weight_decay=0.0) is None
    trim(trimmed, used)
    assert len(trimmed.get_input_embeddings().weight) <= len(used) + 1
    _train(trimmed, batches)
    unseen = torch.arange(100, 120).reshape(2, 10)
    with torch.no_grad():
        within = trimmed.eval()(input_ids=unseen).last_hidden_state
    load_trained(restored.eval(), trained_tensors(trimmed))
    with torch.no_grad():
        assert torch.allclose(restored(input_ids=unseen).last_hidden_state, within, atol=1e-6)

    _train(whole, batches)
    expected = whole.state_dict()
    assert restored.state_dict().keys() == expected.keys()
    for name, value in restored.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name
    after = restored.get_input_embeddings().weight
    never = sorted(set(range(300)) - used)
    assert torch.equal(after[never], before[never])
    assert not torch.allclose(after[sorted(used)], before[sorted(used)])


def test_where_it_would_not_be_exact_it_is_off():
    encoder = FAMILIES["bert"]()
    assert why_not_trimmable(encoder, weight_decay=0.01) == "weight decay moves rows that no text uses"
    encoder.tied = torch.nn.Linear(16, 300, bias=False)
    encoder.tied.weight = encoder.get_input_embeddings().weight
    assert why_not_trimmable(encoder, weight_decay=0.0) == "the table is tied to another weight"

    class Odd(torch.nn.Embedding):
        def forward(self, ids):
            return super().forward(ids) + 1

    other = FAMILIES["bert"]()
    other.set_input_embeddings(Odd(300, 16))
    assert why_not_trimmable(other, weight_decay=0.0) == "Odd is not a plain table"


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_training_copies_all_but_the_table_and_changes_nothing_of_the_backbone(kind):
    body = backbone()
    body.encoder.to(kind)
    before = {name: tensor.clone() for name, tensor in body.encoder.state_dict().items()}
    model = build_model(body, TASKS["pos"], recipe("pos"), used={1, 2, 5})
    table = body.encoder.get_input_embeddings().weight
    own = model.encoder.get_input_embeddings()
    assert len(own.weight) == 4  # padding, too
    assert (own.full.data_ptr() == table.data_ptr()) == (kind is torch.float32)
    theirs = {tensor.data_ptr() for tensor in body.encoder.parameters()}
    assert not theirs & {parameter.data_ptr() for parameter in model.parameters()}
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    _train(model.encoder, [torch.tensor([[1, 2, 5]])] * 3)
    after = body.encoder.state_dict()
    assert all(tensor.dtype == kind and torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert build_model(body, TASKS["pos"], recipe("pos")).encoder.get_input_embeddings().weight.shape == table.shape
