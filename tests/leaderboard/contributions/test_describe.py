"""Facts without weights are those of the encoder that is really loaded, and those of the published files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from tests.helpers import families, tokenizers
from tests.leaderboard.conftest import PUBLISHED
from xglue_harness.benchmark import LANGUAGES
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import EncoderError
from xglue_harness.leaderboard.contributions.backbones import read_backbone
from xglue_harness.leaderboard.contributions.describe import differences, facts

PUT_IN = "one end-of-sentence token, put in by the harness"
WORDS = {  # kind of the tokenizer, pooling, pairs
    "mbert": ("WordPiece, cased", "first", "one separator, segment ids"),
    "distilbert": ("WordPiece, cased", "first", "one separator"),
    "xlmr": ("SentencePiece unigram", "first", "two end-of-sentence tokens"),
    "deberta": ("SentencePiece unigram", "first", "one separator"),
    "modernbert": ("byte-level BPE", "first", "one separator"),
    "mbart50": ("SentencePiece unigram", "mean", PUT_IN),
    "nllb": ("SentencePiece BPE", "mean", PUT_IN),
    "m2m100": ("SentencePiece", "mean", PUT_IN),
    "t5": ("SentencePiece unigram", "mean", "one end-of-sentence token"),
    "umt5": ("SentencePiece unigram", "mean", "one end-of-sentence token"),
}
SEQ2SEQ = {"d_model": 1024, "encoder_layers": 12, "decoder_layers": 12, "max_position_embeddings": 1024}
SEQ2SEQ |= {"encoder_ffn_dim": 4096, "decoder_ffn_dim": 4096}
REAL = {
    "mbert": ("mbert", "BertConfig", {"vocab_size": 119547}),
    "xlmr-base": (
        "xlmr",
        "XLMRobertaConfig",
        {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1},
    ),
    "mbart-large-50": ("mbart50", "MBartConfig", {"vocab_size": 250054, **SEQ2SEQ}),
    "nllb-600m": ("nllb", "M2M100Config", {"vocab_size": 256206, **SEQ2SEQ}),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("family", WORDS)
def test_facts_are_those_of_the_loaded_encoder(family, checkpoint):
    folder = checkpoint(family)
    checkpoint = facts(str(folder))
    backbone = load_backbone(str(folder), torch.device("cpu"))
    encoder, tokenizer = backbone.encoder, backbone.tokenizer
    seq2seq = backbone.config.is_encoder_decoder
    published = families.whole(folder) if seq2seq else transformers.AutoModel.from_pretrained(folder)
    assert checkpoint.parameters.encoder == count(encoder)
    assert checkpoint.parameters.all == count(published)
    assert checkpoint.parameters.embedding == encoder.get_input_embeddings().weight.numel()
    assert checkpoint.layers == max(len(part) for part in encoder.modules() if isinstance(part, nn.ModuleList))
    ids = families.batch(tokenizer, ["a", "b"])
    assert checkpoint.width == families.hidden_states(families.whole(folder), ids).shape[-1]
    assert (checkpoint.entries, checkpoint.rows) == (len(tokenizer), len(encoder.get_input_embeddings().weight))
    assert checkpoint.architecture == backbone.config.model_type
    assert (checkpoint.kind, checkpoint.pooling, checkpoint.pairs) == WORDS[family]
    assert (checkpoint.hub, checkpoint.revision) == (None, None)


@pytest.mark.parametrize("name", REAL)
def test_the_published_numbers_are_found_without_weights(name, checkpoint, tmp_path):
    """Of configurations of the real size; the tokenizers are small."""
    family, config, sizes = REAL[name]
    folder = tmp_path / "encoder"
    shutil.copytree(checkpoint(family), folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    getattr(transformers, config)(**sizes).save_pretrained(folder)
    published = read_backbone(PUBLISHED / f"{name}.yaml")
    checkpoint = replace(facts(str(folder)), hub=published.hub, revision=published.revision)
    assert checkpoint.parameters == published.parameters
    assert checkpoint.rows * published.width == published.parameters.embedding
    assert [*differences(published, checkpoint)] == []


def test_languages_are_those_that_the_tokenizer_has_codes_for(checkpoint, caplog):
    known = {family: facts(str(checkpoint(family))) for family in ("mbart50", "nllb", "m2m100", "xlmr")}
    assert known["mbart50"].languages == tuple(lang for lang in LANGUAGES if lang not in ("bg", "el"))
    assert known["nllb"].languages == known["m2m100"].languages == tuple(LANGUAGES)
    assert known["xlmr"].languages is None
    assert known["mbart50"].tokenizer == "SentencePiece unigram, 1,563 entries, language codes among them"
    assert known["xlmr"].tokenizer == "SentencePiece unigram, 1,511 entries"
    assert "no code for" not in caplog.text


def test_a_tokenizer_that_knows_no_capitals_says_so(checkpoint, tmp_path):
    shutil.copytree(checkpoint("mbert"), tmp_path, dirs_exist_ok=True)
    vocabulary = tokenizers.bert(families.words()).get_vocab()
    transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True).save_pretrained(tmp_path)
    assert facts(str(tmp_path)).kind == "WordPiece, uncased"


def test_what_differs_is_told_by_key(checkpoint):
    published = read_backbone(PUBLISHED / "mbart-large-50.yaml")
    parts = {"architecture": "mbart", "layers": 12, "width": 1024, "parameters": published.parameters}
    parts |= {"hub": published.hub, "revision": published.revision, "entries": 7, "rows": 250_054}
    same = replace(facts(str(checkpoint("mbart50"))), **parts)
    assert [*differences(published, same)] == []
    wrong = published.parameters.model_copy(update={"all": 5, "embedding": 3})
    other = replace(same, parameters=wrong, layers=24, revision="b" * 40, rows=8, pairs="two separators")
    assert {line.partition(":")[0]: line.rpartition("has ")[2] for line in differences(published, other)} == {
        "revision": "b" * 40,
        "parameters.all": "5",
        "parameters.embedding": "3",
        "layers": "24",
        "pairs": "two separators",
        "tokenizer": "SentencePiece unigram, 7 entries, language codes among them",
    }
    assert "layers: is 12; the checkpoint has 24" in differences(published, other)
    [line] = differences(published, replace(same, kind="SentencePiece BPE"))
    assert line.startswith("tokenizer: is SentencePiece unigram, 250,054 entries")
    [line] = differences(published.model_copy(update={"revision": None}), same)
    assert line == f"revision: is null; the checkpoint has {published.revision}"
    [line] = differences(published, replace(same, hub=None))
    assert "is a folder here" in line


def test_decoder_only_models_are_refused(tmp_path):
    transformers.GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="decoder-only model"):
        facts(str(tmp_path))


def test_a_checkpoint_without_a_tokenizer_is_refused(checkpoint, tmp_path):
    shutil.copyfile(checkpoint("xlmr") / "config.json", tmp_path / "config.json")
    with pytest.raises(EncoderError, match="tokenizer"):
        facts(str(tmp_path))


def test_a_configuration_that_makes_no_model_is_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint("mbert"), tmp_path, dirs_exist_ok=True)
    value = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**value, "num_attention_heads": 5}))
    with pytest.raises(EncoderError, match="architecture of"):
        facts(str(tmp_path))
