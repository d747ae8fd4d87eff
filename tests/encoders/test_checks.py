"""Weights that are finite, ids that have rows, devices that are there, sizes that an encoder can have."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers

import xglue_harness.hook  # noqa: F401  (teaches lm_eval's hf)
from tests.helpers.training import backbone
from xglue_harness.encoders import checks
from xglue_harness.encoders.checks import check_finite, check_ids, check_padding, device_of, is_larger
from xglue_harness.encoders.loading import Checkpoint, load_backbone, load_config, load_encoder
from xglue_harness.encoders.sizes import check_sizes
from xglue_harness.errors import EncoderError
from xglue_harness.harness.encoder_lm import EncoderLM


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_weight_that_is_not_finite_is_named(value, kind, monkeypatch):
    monkeypatch.setattr(checks, "_CHUNK", 7)  # the last value of all is looked at, too
    encoder = backbone().encoder.to(kind)
    check_finite(encoder, "tiny")
    with torch.no_grad():
        encoder.embeddings.word_embeddings.weight[3, 5:8] = value
        encoder.encoder.layer[1].output.dense.bias[-1] = value
    rows = encoder.embeddings.word_embeddings.weight.numel()
    wanted = (
        rf"tiny has weights.*word_embeddings.weight \(3 of {rows} values\), encoder.layer.1.output.dense.bias \(1 of"
    )
    with pytest.raises(EncoderError, match=wanted):
        check_finite(encoder, "tiny")


def test_buffers_may_hold_infinity_but_no_nan():
    module = torch.nn.BatchNorm1d(4)
    module.register_buffer("mask", torch.full((2, 2), -float("inf")))
    check_finite(module, "tiny")
    module.running_var[1] = float("nan")
    with pytest.raises(EncoderError, match=r"running_var \(1 of 4 values\)"):
        check_finite(module, "tiny")


@pytest.fixture
def folder(tmp_path):
    body = backbone()
    body.encoder.save_pretrained(tmp_path / "model")
    body.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_bad_row_is_found_however_the_encoder_is_loaded(folder):
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[-1] = float("nan")
    model.save_pretrained(folder)
    where = Checkpoint(str(folder))
    for load in (
        lambda: load_encoder(where, load_config(where)),
        lambda: load_backbone(str(folder), torch.device("cpu")),
        lambda: EncoderLM(str(folder), device="cpu"),
        lambda: _asked_of_hf(folder),
    ):
        with pytest.raises(EncoderError, match=r"model has weights that are NaN.*word_embeddings.weight \(16 of"):
            load()


def test_a_type_that_can_not_hold_the_weights_is_found(folder):
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[-1, 0] = 1e6
    model.save_pretrained(folder)
    EncoderLM(str(folder), device="cpu")
    with pytest.raises(EncoderError, match=r"word_embeddings.weight \(1 of.*dtype=float32"):
        EncoderLM(str(folder), device="cpu", dtype="float16")


def _asked_of_hf(folder):
    from lm_eval.models.huggingface import HFLM

    from xglue_harness.harness.requests import backbone_of

    return backbone_of(HFLM(pretrained=str(folder), device="cpu"))


def _edit(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("load", [lambda folder: EncoderLM(str(folder), device="cpu"), _asked_of_hf])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_attention_heads": 3}, "config.json"),
        ({"num_hidden_layers": -1}, "num_hidden_layers: -1, which has to be a whole number of 1 or more"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers: 1000000: no encoder has more than 10000 layers"),
        ({"hidden_size": 10**7}, "names sizes that would take"),
        ({"max_position_embeddings": 10**11}, "names sizes that would take"),
        ({"vocab_size": 10**12}, "names sizes that would take"),
        ({"intermediate_size": 10**11}, "names sizes that would take"),
        ({"hidden_size": "many"}, "config.json"),
        ({"hidden_act": "magic"}, "config.json"),
        ({"pad_token_id": 10**9}, "config.json"),
        ({"layer_norm_eps": "small"}, "config.json"),
    ],
)
def test_a_malformed_configuration_is_one_error(changes, message, load, folder):
    _edit(folder, "config.json", **changes)
    with pytest.raises(EncoderError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


def test_layers_that_are_stored_and_not_built_are_named(folder, caplog):
    EncoderLM(str(folder), device="cpu")
    assert "which are not used" not in caplog.text
    _edit(folder, "config.json", num_hidden_layers=1)
    EncoderLM(str(folder), device="cpu")
    assert "num_hidden_layers 1, and the files hold more layers, which are not used (encoder.layer.1." in caplog.text


@pytest.mark.parametrize("load", [lambda folder: EncoderLM(str(folder), device="cpu"), _asked_of_hf])
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", "[]", r"config\.json"),
        ("config.json", "{", r"config\.json"),
        ("tokenizer.json", "{}", r"tokenizer\.json"),
        ("tokenizer.json", '{"version": "1.0", "model": {"type": "Magic"}}', r"tokenizer\.json"),
        ("tokenizer.json", "[" * 3000 + "]" * 3000, r"tokenizer\.json"),
        ("tokenizer_config.json", "[1]", r"tokenizer_config\.json"),
        ("model.safetensors", "garbage", "weights of"),
    ],
)
def test_a_damaged_file_is_one_error(name, text, message, load, folder):
    (folder / name).write_text(text)
    with pytest.raises(EncoderError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("load", [lambda folder: EncoderLM(str(folder), device="cpu"), _asked_of_hf])
@pytest.mark.parametrize("length", ["many", -5, 0, [512], True])
def test_a_length_that_is_no_number_is_named(length, load, folder):
    _edit(folder, "tokenizer_config.json", model_max_length=length)
    with pytest.raises(EncoderError, match=r"tokenizer_config\.json"):
        load(folder)


def test_sizes_of_real_encoders_are_taken():
    for config in (
        transformers.XLMRobertaXLConfig(hidden_size=4096, num_hidden_layers=48, intermediate_size=16384),
        transformers.AlbertConfig(),
        transformers.MT5Config(d_model=4096, num_layers=24, d_ff=10240),
        transformers.ModernBertConfig(),
        transformers.CanineConfig(),
        transformers.FunnelConfig(),
        transformers.LongformerConfig(),
        transformers.PvtConfig(),
    ):
        check_sizes(config, "on/the-hub")


def test_layers_that_are_shared_are_no_reason(tmp_path):
    config = transformers.AlbertConfig(
        vocab_size=60, embedding_size=16, hidden_size=512, num_hidden_layers=48, num_attention_heads=4
    )
    transformers.AlbertModel(config).save_pretrained(tmp_path)
    check_sizes(load_config(Checkpoint(str(tmp_path))), str(tmp_path))


def test_ids_beyond_the_table_are_named_with_its_rows():
    body = backbone()
    rows = body.encoder.get_input_embeddings().num_embeddings
    check_ids(body.encoder, body.tokenizer, torch.arange(rows), "NC en")
    assert not is_larger(body.encoder, body.tokenizer)
    body.tokenizer.add_tokens(["zzz", "yyy"])
    assert is_larger(body.encoder, body.tokenizer)
    wanted = (
        rf"NC en: .*ids {rows} \('zzz'\), {rows + 1} \('yyy'\), but .* has {rows} rows, for ids 0 to {rows - 1}: use"
    )
    with pytest.raises(EncoderError, match=wanted):
        check_ids(body.encoder, body.tokenizer, torch.tensor([1, rows + 1, rows, 3, rows]), "NC en")


def test_a_padding_id_beyond_the_table_is_refused_before_anything_is_trained(folder, tmp_path):
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.add_special_tokens({"pad_token": "<filler>"})
    words.save_pretrained(tmp_path / "words")
    message = r"padding token '<filler>' of .* has the id \d+, but the encoder's embedding table has \d+ rows"
    with pytest.raises(EncoderError, match=message):
        check_padding(backbone().encoder, words)
    shutil.copytree(tmp_path / "words", folder, dirs_exist_ok=True)
    with pytest.raises(EncoderError, match=message):
        _asked_of_hf(folder)
    with pytest.raises(EncoderError, match=message):
        load_backbone(str(folder), torch.device("cpu"))


@pytest.mark.parametrize("name", ["mps", "mps:0", "xpu", "hpu", "cuda:99", "banana", "meta", "cpu:cpu", ""])
def test_a_device_that_is_not_there_is_named(name):
    if name.startswith("mps") and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(EncoderError, match="device"):
        device_of(name)
    assert device_of("cpu") == torch.device("cpu")
