"""What an encoder does with length and padding, as the probe finds it out."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from benchmarks.padding import backbone_of, families
from tests.helpers import tokenizers
from tests.helpers.training import CPU, backbone
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.loading import Checkpoint, load_config, load_encoder, load_tokenizer
from xglue_harness.encoders.probe import TOLERANCE, check_length, position_limit, probe_padding, with_batch_rule
from xglue_harness.errors import EncoderError

LENGTH = 100

ALIKE = [
    "bert",
    "roberta",
    "mpnet",
    "luke",
    "longformer",
    "big_bird",
    "nomic_bert",
    "ibert",
    "xlm",
    "xmod",
    "bart",
    "t5",
]
APART = ["convbert", "nystromformer", "yoso"]
"""Some families that `python -m benchmarks.padding` asks all of."""


class Strange(torch.nn.Module):
    """Code of one's own around a BERT, with a fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        body = backbone()
        self.body, self.config, self.fault, self.calls = body.encoder, body.config, fault, 0

    def get_input_embeddings(self):
        return self.body.get_input_embeddings()

    def forward(self, input_ids, attention_mask=None):
        self.calls += 1
        if self.fault == "ignores its mask":
            attention_mask = torch.ones_like(attention_mask)
        states = self.body(input_ids, attention_mask).last_hidden_state
        if self.fault == "looks at the batch":
            states = states - states.mean(dim=0, keepdim=True)
        elif self.fault == "draws":
            states = states + torch.randn_like(states)
        elif self.fault == "draws without torch":
            states = states + random.random() + np.random.random()
        elif self.fault == "flattens":
            states = states.flatten(0, 1)
        elif self.fault == "breaks":
            raise KeyError("nothing")
        return SimpleNamespace(last_hidden_state=states)


def _strange(fault):
    encoder = Strange(fault).eval()
    return Backbone(encoder, tokenizers.bert(), encoder.config, CPU, "own/code")


@pytest.mark.parametrize("family", ALIKE)
def test_padding_is_nothing_to_most(family):
    finding = probe_padding(backbone_of(family, tokenizers.bert()), LENGTH)
    assert finding.batch_rule == "any length"
    assert finding.difference < 5e-6, "the tolerance is far from what rounding does"


@pytest.mark.parametrize("family", APART)
def test_some_give_others_states_beside_longer_inputs(family):
    finding = probe_padding(backbone_of(family, tokenizers.bert()), LENGTH)
    assert finding.batch_rule == "one length"
    assert finding.difference > 100 * TOLERANCE


def test_the_benchmark_asks_every_family():
    assert {*ALIKE, *APART} <= families().keys()
    assert len(families()) > 150


@pytest.mark.parametrize(
    ("fault", "batch_rule"),
    [("none", "any length"), ("ignores its mask", "one length"), ("looks at the batch", "one input")],
)
def test_code_of_ones_own_is_asked_and_not_believed(fault, batch_rule, caplog):
    finding = probe_padding(_strange(fault), 32)
    assert finding.batch_rule == batch_rule
    assert with_batch_rule(_strange(fault), finding).batch_rule == batch_rule
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (batch_rule != "any length")
    assert all("own/code" in message and "batches hold" in message for message in said)


@pytest.mark.parametrize("fault", ["draws", "draws without torch"])
def test_one_that_gives_other_states_each_time_is_refused(fault):
    with pytest.raises(EncoderError, match=r"own/code \(Strange\) gives other states for the same inputs each time"):
        probe_padding(_strange(fault), 32)


@pytest.mark.parametrize(("fault", "message"), [("breaks", "fails with KeyError: 'nothing'"), ("flattens", "of shape")])
def test_one_that_can_not_be_asked_is_refused(fault, message):
    with pytest.raises(EncoderError, match=message):
        probe_padding(_strange(fault), 32)


def _generators():
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


def test_a_probe_leaves_nothing_behind():
    body = backbone(dropout=0.5)
    body.encoder.train()
    weights = {name: tensor.clone() for name, tensor in body.encoder.state_dict().items()}
    before = _generators()
    finding = probe_padding(body, 32)
    assert finding == probe_padding(body, 32)
    assert position_limit(body) == 64
    assert _generators() == before
    assert body.encoder.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in body.encoder.state_dict().items())
    loss = body.encoder(torch.tensor([[5, 6]])).last_hidden_state.sum()
    loss.backward()  # nothing of it was made in inference mode


def test_weights_in_half_precision_are_probed_in_single(tmp_path):
    body = backbone()
    half = Backbone(body.encoder.half(), body.tokenizer, body.config, CPU, "half")
    assert probe_padding(half, 32).difference < 5e-6
    assert next(half.encoder.parameters()).dtype == torch.float16


@pytest.mark.parametrize(
    ("family", "limit"),
    [
        *(("bert", 514), ("roberta", 513), ("camembert", 513), ("xlm-roberta-xl", 513), ("ibert", 513), ("luke", 513)),
        *(
            ("mpnet", 512),
            ("esm", 513),
            ("data2vec-text", 513),
            ("xmod", 513),
            ("bart", 514),
            ("fsmt", 514),
            ("xlm", 514),
        ),
        *(("longformer", 513), ("nomic_bert", 514), ("m2m_100", None), ("t5", None), ("umt5", None)),
    ],
)
def test_positions_are_counted_as_the_encoder_counts_them(family, limit):
    """The tokenizer's padding id is 0 here, and so is that of the configurations; MPNet has 1 whatever it says."""
    body = backbone_of(family, tokenizers.bert())
    assert position_limit(body) == position_limit(body, 10_000) == limit
    if limit is not None and family != "nomic_bert":  # which rotates: more is possible, but never trained
        check_length(body, limit)
        probe_padding(body, limit)
        with pytest.raises(EncoderError, match=rf"max_length {limit + 1} is more than {family} can read \({limit} "):
            check_length(body, limit + 1)


@pytest.mark.parametrize("pad", [0, 1, 3, 7])
def test_positions_begin_after_the_padding_id(pad, tmp_path):
    from transformers import RobertaConfig, RobertaModel

    words = tokenizers.bert()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=len(words), max_position_embeddings=66, pad_token_id=pad, **sizes)
    body = Backbone(RobertaModel(config, add_pooling_layer=False).eval(), words, config, CPU, "roberta")
    assert position_limit(body) == 65 - pad
    with pytest.raises(EncoderError, match=rf"\({65 - pad} subwords\).*\"max_length\": {65 - pad}"):
        check_length(body, 66)


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
def test_distances_between_positions_have_a_last_row_too(kind):
    words = tokenizers.bert()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=40, position_embedding_type=kind, **sizes)
    body = Backbone(BertModel(config, add_pooling_layer=False).eval(), words, config, CPU, "bert")
    assert position_limit(body) == 40


def test_the_tokenizer_may_read_less(tmp_path):
    body = backbone()
    body.tokenizer.model_max_length = 48
    assert position_limit(body) == 48


def test_a_saved_checkpoint_is_probed_as_it_was_built(tmp_path):
    built = backbone_of("convbert", tokenizers.bert())
    built.encoder.save_pretrained(tmp_path)
    built.tokenizer.save_pretrained(tmp_path)
    where = Checkpoint(str(tmp_path))
    config = load_config(where)
    loaded = Backbone(load_encoder(where, config).eval(), load_tokenizer(where), config, CPU, "saved")
    assert probe_padding(loaded, 32) == probe_padding(built, 32)
