"""Loading no more than the encoder: all formats, every place of the embeddings, nothing left random, clear errors."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.helpers import families, tokenizers
from xglue_harness.encoders.adapters import adapted_encoder
from xglue_harness.encoders.backbone import Backbone, check_tokenizer, encoder_of, merged, weights_sha256
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.loading import Checkpoint, load_config, load_encoder, load_tokenizer, load_whole
from xglue_harness.errors import EncoderError

SEQ2SEQ = ["mbart50", "nllb", "t5", "mt5", "umt5"]
ENCODERS = ["mbert", "xlmr", "deberta", "modernbert"]


def _load(folder, **arguments):
    found = Checkpoint(
        str(folder), **{k: arguments.pop(k) for k in ("subfolder", "trust_remote_code") if k in arguments}
    )
    return load_encoder(found, load_config(found), **arguments)


def _copy(folder, target, keep_weights=False):
    shutil.copytree(folder, target, dirs_exist_ok=True)
    if not keep_weights:
        (target / "model.safetensors").unlink()
    return target


def _same(encoder, other):
    assert weights_sha256(encoder) == weights_sha256(other)
    ids = {
        "input_ids": torch.tensor([[5, 60, 7, 8], [9, 10, 1, 1]]),
        "attention_mask": torch.tensor([[1] * 4, [1, 1, 0, 0]]),
    }
    with torch.no_grad():
        assert torch.equal(encoder(**ids).last_hidden_state, other.eval()(**ids).last_hidden_state)


@pytest.mark.parametrize("family", SEQ2SEQ + ENCODERS)
def test_shards_and_bin_files_give_the_same_encoder(family, checkpoint, tmp_path):
    folder = checkpoint(family)
    whole = families.whole(folder)
    expected = encoder_of(whole)
    _same(_load(folder), expected)
    whole.save_pretrained(_copy(folder, tmp_path / "shards"), max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    _same(_load(tmp_path / "shards"), expected)
    old = _copy(folder, tmp_path / "old")
    torch.save(whole.state_dict(), old / "pytorch_model.bin")  # with every name of a shared table
    _same(_load(old), expected)


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_bodies_and_encoders_saved_alone_are_read(family, checkpoint, tmp_path):
    folder = checkpoint(family)
    whole = families.whole(folder)
    expected = encoder_of(whole)
    body = transformers.AutoModel.from_pretrained(folder)
    body.save_pretrained(_copy(folder, tmp_path / "body"))
    _same(_load(tmp_path / "body"), expected)
    single = getattr(transformers, type(body).__name__.replace("Model", "EncoderModel"), None)
    if single:  # T5 and its kin
        single.from_pretrained(folder).save_pretrained(_copy(folder, tmp_path / "single"))
        _same(_load(tmp_path / "single"), expected)
        saved = json.loads((tmp_path / "single" / "config.json").read_text())
        (tmp_path / "single" / "config.json").write_text(json.dumps({**saved, "is_encoder_decoder": False}))
        _same(_load(tmp_path / "single"), expected)


@pytest.mark.parametrize("family", SEQ2SEQ)
@pytest.mark.parametrize("place", ["shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head"])
@pytest.mark.parametrize("extension", ["safetensors", "bin"])
def test_a_table_is_found_wherever_it_is_stored(family, place, extension, checkpoint, tmp_path, caplog):
    folder = checkpoint(family)
    weights = load_file(folder / "model.safetensors")
    [stored] = [name for name in weights if name.endswith("shared.weight")]
    start = "" if place == "lm_head" else stored.removesuffix("shared.weight")
    weights[f"{start}{place}.weight"] = weights.pop(stored)
    target = _copy(folder, tmp_path)
    if extension == "bin":
        torch.save(weights, target / "pytorch_model.bin")
    else:
        save_file(weights, target / "model.safetensors", {"format": "pt"})
    caplog.set_level(logging.INFO)
    _same(_load(target), encoder_of(families.whole(folder)))
    assert ("the whole model is read" in caplog.text) == (place in ("decoder.embed_tokens", "lm_head"))


def test_the_decoder_is_neither_built_nor_read(checkpoint, tmp_path):
    folder = checkpoint("mbart50")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "decoder" not in name}
    assert len(kept) < len(weights)
    save_file(kept, _copy(folder, tmp_path) / "model.safetensors", {"format": "pt"})
    _same(_load(tmp_path), encoder_of(families.whole(folder)))


@pytest.mark.parametrize(
    ("family", "part"),
    [
        ("mbart50", "encoder.layers.1.fc1.bias"),
        ("t5", "encoder.block.1.layer.0.SelfAttention.k.weight"),
        ("mbart50", "shared.weight"),
        ("mbert", "attention.self.query.weight"),
        ("modernbert", "Wqkv.weight"),
    ],
)
def test_no_weight_is_left_random(family, part, checkpoint, tmp_path):
    folder = checkpoint(family)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in sorted(weights) if name.endswith(part))
    save_file(
        {k: v for k, v in weights.items() if k != gone}, _copy(folder, tmp_path) / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(EncoderError, match=r"lacks weights of its encoder .*they would be random") as caught:
        _load(tmp_path)
    assert ("embed_tokens.weight" if part == "shared.weight" else part.removeprefix("encoder.")) in str(caught.value)


def test_weights_of_another_shape_are_refused(checkpoint, tmp_path):
    folder = checkpoint("mbert")
    weights = load_file(folder / "model.safetensors")
    name = "bert.embeddings.position_embeddings.weight"
    weights[name] = weights[name][:50].clone()
    save_file(weights, _copy(folder, tmp_path) / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="can't be loaded: RuntimeError"):
        _load(tmp_path)
    with pytest.raises(EncoderError, match="lacks weights of its encoder"):
        _load(tmp_path, ignore_mismatched_sizes=True)


def test_names_of_old_checkpoints_are_read(checkpoint, tmp_path):
    folder = checkpoint("mbert")
    weights = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in weights.items()
    }
    assert old.keys() != weights.keys()
    torch.save(old, _copy(folder, tmp_path) / "pytorch_model.bin")
    _same(_load(tmp_path), encoder_of(families.whole(folder)))


class _Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
@pytest.mark.parametrize("family", ["mbart50", "mbert"])
def test_a_file_that_runs_code_is_refused(family, write, checkpoint, tmp_path):
    folder = _copy(checkpoint(family), tmp_path / "model")
    write({"weight": _Harmful(tmp_path / "harm")}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"holds more than tensors .*Use a checkpoint in safetensors format"):
        _load(folder)
    with pytest.raises(EncoderError, match="weights_only=False would run code"):
        _load(folder, weights_only=False)
    assert not (tmp_path / "harm").exists()


def test_types_are_as_asked_for(checkpoint):
    folder = checkpoint("mbart50")
    for asked, given in (("auto", torch.float32), ("bfloat16", torch.bfloat16), (torch.float16, torch.float16)):
        encoder = _load(folder, dtype=asked)
        assert {parameter.dtype for parameter in encoder.parameters()} == {given}


def test_a_folder_within_a_checkpoint_is_read(checkpoint, tmp_path):
    folder = checkpoint("t5")
    shutil.copytree(folder, tmp_path / "sub" / "deep")
    _same(_load(tmp_path, subfolder="sub/deep"), encoder_of(families.whole(folder)))
    assert len(load_tokenizer(Checkpoint(str(tmp_path), subfolder="sub/deep"))) > 100
    with pytest.raises(EncoderError, match=r"subfolder, revision"):
        _load(tmp_path, subfolder="other")


CODE = """
import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

class OwnConfig(PreTrainedConfig):
    model_type = "own"
    hidden_size = 8

class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = torch.nn.Embedding(70, 8)
        self.post_init()

    def forward(self, input_ids, attention_mask=None):
        return BaseModelOutput(last_hidden_state=self.embed(input_ids))
"""


def test_code_of_a_checkpoint_runs_only_if_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "own.py").write_text(CODE)
    automatic = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": automatic}))
    save_file({"embed.weight": torch.randn(70, 8)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="if you trust the code in the repository, set trust_remote_code=True"):
        _load(folder)
    assert not (tmp_path / "cache").exists()
    encoder = _load(folder, trust_remote_code=True)
    assert torch.equal(encoder.embed.weight, load_file(folder / "model.safetensors")["embed.weight"])


def test_code_of_a_checkpoint_is_part_of_what_it_is(tmp_path, monkeypatch):
    """The same weights and configuration compute something else by other code, or by another file that it imports."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "cache"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        monkeypatch.delitem(sys.modules, name)  # another test's cache
    monkeypatch.setattr(sys, "path", [str(tmp_path / "cache"), *sys.path])
    found = []
    for number, (factor, helper) in enumerate([(1, 1), (2, 1), (1, 2), (1, 1)]):
        folder = tmp_path / f"model{number}"
        folder.mkdir()
        code = CODE.replace("self.embed(input_ids)", f"{factor} * HELP * self.embed(input_ids)")
        (folder / "own.py").write_text(f"from .helping import HELP\n{code}")
        (folder / "helping.py").write_text(f"HELP = {helper}\n")
        automatic = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
        (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": automatic}))
        save_file({"embed.weight": torch.ones(70, 8)}, folder / "model.safetensors", {"format": "pt"})
        encoder = _load(folder, trust_remote_code=True)
        assert encoder(torch.tensor([[0]])).last_hidden_state[0, 0, 0] == factor * helper
        body = Backbone(encoder, tokenizers.bert(), encoder.config, torch.device("cpu"), f"name {number}", None)
        found.append(identify(body))
    assert len({*found[:3]}) == 3
    assert found[3] == found[0]
    assert len({one.weights for one in found}) == 1


def test_decoder_only_models_are_refused_by_their_configuration(tmp_path):
    transformers.GPT2Config(n_layer=1).save_pretrained(tmp_path)  # no weights at all
    with pytest.raises(EncoderError, match=r"decoder-only model \(gpt2\).*Give an encoder"):
        _load(tmp_path)


def test_what_cannot_be_loaded_is_one_error_with_a_way_out(checkpoint, tmp_path):
    with pytest.raises(EncoderError, match=r"configuration of nobody/nothing can't be loaded: OSError.*Hub id"):
        _load("nobody/nothing")
    with pytest.raises(EncoderError, match=r"configuration of \./nowhere can't be loaded.*existing folder"):
        _load("./nowhere")
    empty = _copy(checkpoint("mbart50"), tmp_path / "empty")
    with pytest.raises(EncoderError, match=r"weights of .*empty can't be loaded: OSError.*no file named model"):
        _load(empty)
    content = (checkpoint("mbart50") / "model.safetensors").read_bytes()
    for damaged in (content[: len(content) // 2], b"nonsense" * 100, b""):
        (empty / "model.safetensors").write_bytes(damaged)
        with pytest.raises(EncoderError, match=r"weights of .*empty can't be loaded.*fetch it again") as caught:
            _load(empty)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_checkpoint_without_a_tokenizer_is_refused(family, checkpoint, tmp_path):
    shutil.copy(checkpoint(family) / "config.json", tmp_path)
    with pytest.raises(
        EncoderError, match=r"has no tokenizer: name the checkpoint that has one|tokenizer of .* can't be"
    ):
        load_tokenizer(Checkpoint(str(tmp_path)))
    check_tokenizer(load_tokenizer(Checkpoint(str(checkpoint(family)))))


@pytest.fixture(scope="module")
def adapter(checkpoint, tmp_path_factory):
    """``adapter(family, class, modules)``: a LoRA adapter that changes much, trained on a model of that class."""
    peft = pytest.importorskip("peft")

    def make(family, name, modules, **config):
        folder = tmp_path_factory.mktemp("adapter")
        pooler = {"add_pooling_layer": False} if name == "XLMRobertaModel" else {}
        model = getattr(transformers, name).from_pretrained(checkpoint(family), **pooler)
        wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=modules, **config))
        with torch.no_grad():
            for parameter_name, parameter in wrapped.named_parameters():
                if "lora_" in parameter_name:
                    parameter.normal_(0, 0.3)
        wrapped.save_pretrained(folder)
        return folder, wrapped.eval()

    return make


@pytest.mark.parametrize(
    ("family", "name", "modules"),
    [
        ("mbart50", "MBartForConditionalGeneration", ["q_proj", "v_proj"]),
        ("t5", "T5ForConditionalGeneration", ["q", "v", "shared"]),
        ("xlmr", "XLMRobertaForCausalLM", ["query", "value"]),
        ("xlmr", "XLMRobertaModel", ["query", "value"]),
        ("modernbert", "ModernBertModel", ["Wqkv"]),
    ],
)
def test_adapters_are_merged(family, name, modules, adapter, checkpoint):
    folder, trained = adapter(family, name, modules)
    before = weights_sha256(trained)
    found = Checkpoint(str(checkpoint(family)))
    config = load_config(found)
    tokenizer = load_tokenizer(found)
    encoder = adapted_encoder(load_whole(found, config), str(folder), vocabulary=len(tokenizer))
    assert weights_sha256(encoder) != weights_sha256(load_encoder(found, config))
    _same(encoder, encoder_of(merged(trained)))
    assert weights_sha256(trained) == before, "the model of lm_eval is changed"
    assert hasattr(trained, "peft_config")
    assert not any("lora" in name for name in encoder.state_dict())


def test_adapters_that_do_not_fit_are_refused(adapter, checkpoint, tmp_path):
    folder, _ = adapter("mbart50", "MBartForConditionalGeneration", ["q_proj"])
    found = Checkpoint(str(checkpoint("xlmr")))
    whole = load_whole(found, load_config(found))
    with pytest.raises(EncoderError, match=r"adapter"):
        adapted_encoder(whole, str(folder), vocabulary=whole.config.vocab_size)
    with pytest.raises(EncoderError, match=r"the adapter of .*nowhere can't be loaded"):
        adapted_encoder(whole, str(tmp_path / "nowhere"), vocabulary=whole.config.vocab_size)


def test_adapters_without_weights_to_merge_are_refused(checkpoint):
    peft = pytest.importorskip("peft")
    model = transformers.MBartForConditionalGeneration.from_pretrained(checkpoint("mbart50"))
    prompts = peft.get_peft_model(model, peft.PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=4))
    with pytest.raises(EncoderError, match="a PROMPT_TUNING adapter can't be merged into an encoder"):
        merged(prompts)


def test_a_model_without_an_adapter_stays_itself(checkpoint):
    model = transformers.BertModel.from_pretrained(checkpoint("mbert"))
    assert merged(model) is model


def test_without_peft_the_way_out_is_named(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    found = Checkpoint(str(checkpoint("mbert")))
    with pytest.raises(EncoderError, match="pip install peft"):
        adapted_encoder(load_whole(found, load_config(found)), "anything", vocabulary=5)
