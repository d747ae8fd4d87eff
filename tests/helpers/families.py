"""Small random checkpoints of the families, saved as their own classes save them, with their own tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.helpers import tokenizers
from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SEQ2SEQ = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "scale_embedding": True,
    "init_std": 0.2,
}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "feed_forward_proj": "gated-gelu"}
WIDE = {"initializer_range": 0.2, "max_position_embeddings": 130}


@cache
def texts() -> dict[str, list[str]]:
    """Sentences of the sample by language."""
    source = open_source("sample")
    return {
        language: list(source.load(TASKS["xnli"], "test", language).dataset["premise"])[:20]
        for language in TASKS["xnli"].languages
    }


@cache
def words() -> tuple[str, ...]:
    """Characters and words of `texts`; of languages without blanks the characters."""
    found = {word for sentences in texts().values() for text in sentences for word in text.split()}
    return tuple(sorted({word for word in found if len(word) <= 12} | {letter for word in found for letter in word}))


def _ascii() -> list[str]:
    return [word for word in words() if word.isascii()]


def _save(folder: Path, name: str, config: str, tokenizer: Any, **sizes: Any) -> None:
    ids = {key: getattr(tokenizer, key) for key in ("pad_token_id", "eos_token_id", "bos_token_id")}
    built = getattr(transformers, config)(**{"vocab_size": len(tokenizer), **ids, **sizes})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        getattr(transformers, name)(built).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def mbert(folder: Path) -> None:
    """BERT, multilingual BERT."""
    _save(folder, "BertForMaskedLM", "BertConfig", tokenizers.bert(words()), **SIZES, **WIDE)


def xlmr(folder: Path) -> None:
    """XLM-R."""
    tokenizer = tokenizers.xlmr(words())
    sizes = {**SIZES, **WIDE, "type_vocab_size": 1}
    _save(folder, "XLMRobertaForMaskedLM", "XLMRobertaConfig", tokenizer, **sizes)


def mbart50(folder: Path) -> None:
    """mBART-50."""
    tokenizer = tokenizers.mbart50(words())
    sizes = {**SEQ2SEQ, "max_position_embeddings": 130}
    _save(folder, "MBartForConditionalGeneration", "MBartConfig", tokenizer, **sizes)


def nllb(folder: Path) -> None:
    """NLLB-200: M2M100's model with a tokenizer of its own."""
    _save(folder, "M2M100ForConditionalGeneration", "M2M100Config", tokenizers.nllb(words()), **SEQ2SEQ)


def m2m100(folder: Path) -> None:
    """M2M100, with a tokenizer that is not written in Rust; its languages come after what ``len`` counts."""
    tokenizer = tokenizers.m2m100(folder, words())
    sizes = {**SEQ2SEQ, "vocab_size": max(tokenizer.lang_token_to_id.values()) + 1 + tokenizer.num_madeup_words}
    _save(folder, "M2M100ForConditionalGeneration", "M2M100Config", tokenizer, **sizes)


def t5(folder: Path) -> None:
    """T5."""
    _save(folder, "T5ForConditionalGeneration", "T5Config", tokenizers.t5(words()), **T5)


def mt5(folder: Path) -> None:
    """mT5."""
    _save(folder, "MT5ForConditionalGeneration", "MT5Config", tokenizers.t5(words()), **T5)


def umt5(folder: Path) -> None:
    """umT5: relative positions of their own in each layer."""
    _save(folder, "UMT5ForConditionalGeneration", "UMT5Config", tokenizers.t5(words()), **T5)


def deberta(folder: Path) -> None:
    """DeBERTa-v3, mDeBERTa."""
    sizes = {
        **SIZES,
        **WIDE,
        "relative_attention": True,
        "position_buckets": 32,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    }
    _save(folder, "DebertaV2ForMaskedLM", "DebertaV2Config", tokenizers.deberta(words()), **sizes)


def modernbert(folder: Path) -> None:
    """ModernBERT, mmBERT: local attention in every layer but the third ones."""
    sizes = {**SIZES, **WIDE, "num_hidden_layers": 4, "local_attention": 8, "attention_dropout": 0.1}
    _save(folder, "ModernBertForMaskedLM", "ModernBertConfig", tokenizers.bytes_bpe(_ascii()), **sizes)


def distilbert(folder: Path) -> None:
    """DistilBERT: lm-eval's ``hf`` has no class for it."""
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, **WIDE}
    _save(folder, "DistilBertForMaskedLM", "DistilBertConfig", tokenizers.bert(words()), **sizes)


def eurobert(folder: Path) -> None:
    """EuroBERT: Llama's layers, read in both directions."""
    _save(
        folder,
        "EuroBertForMaskedLM",
        "EuroBertConfig",
        tokenizers.bytes_bpe(_ascii()),
        **{**SIZES, **WIDE, "attention_dropout": 0.1, "num_key_value_heads": 2},
    )


FAMILIES: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (mbert, xlmr, mbart50, nllb, m2m100, t5, mt5, umt5, deberta, modernbert, distilbert, eurobert)
    if make is not eurobert or hasattr(transformers, "EuroBertConfig")  # which the lowest transformers lack
}


class Checkpoints:
    """``checkpoints("mbart50")`` is the folder of a checkpoint, made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, family: str) -> Path:
        folder = self._folder / family
        if not folder.exists():
            FAMILIES[family](folder)
        return folder


def whole(folder: Path) -> Any:
    """The model as its own class loads it, with decoder and head."""
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(transformers, name).from_pretrained(folder).eval()


def hidden_states(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Last hidden states of the encoder: of a translation model, from a forward pass of the whole."""
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            start = torch.zeros(len(inputs["input_ids"]), 1, dtype=torch.long)
            return model(**inputs, decoder_input_ids=start).encoder_last_hidden_state
        return model.base_model(**inputs).last_hidden_state


def batch(tokenizer: Any, sentences: Sequence[str]) -> dict[str, torch.Tensor]:
    """Sentences as an encoder reads them, padded on the right."""
    encoded = tokenizer(list(sentences), padding=True, return_tensors="pt", return_token_type_ids=False)
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
