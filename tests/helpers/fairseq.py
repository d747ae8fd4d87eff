"""Small checkpoints with the layout of fairseq's, and its forward pass written from the papers' equations."""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import gelu, layer_norm, relu, softmax

WIDTH, HEADS, INNER, LAYERS, LENGTH = 16, 2, 24, 3, 40
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LANGUAGES = ["ar", "en", "es", "fr", "ru", "zh"]
PAIRS = "ar-en,ar-es,en-fr,fr-zh,ru-en,zh-en"
KINDS = ("bart-lm", "bart-mt", "mlm", "clm")
"""The objectives of Li et al. 2024 (TLM is a CLM on other text)."""


@dataclass(frozen=True)
class Made:
    """A checkpoint and its files."""

    kind: str
    model: Path
    dictionary: Path
    sentencepiece: Path
    options: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]

    @property
    def files(self) -> tuple[Path, Path, Path]:
        return self.model, self.dictionary, self.sentencepiece


def make(
    folder: Path,
    kind: str,
    texts: Sequence[str],
    algorithm: str = "unigram",
    settings: Mapping[str, Any] | None = None,
    **state: Any,
) -> Made:
    """Write a checkpoint of one of the `KINDS`, its dictionary (which lacks two pieces) and its sentencepiece model."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _train(folder / "spm.model", texts, algorithm, settings or {})
    lines = [*reversed(pieces[2:]), "madeupword0000"]
    (folder / "dict.txt").write_text("".join(f"{line} {99 - (number % 9)}\n" for number, line in enumerate(lines)))
    symbols = len(SPECIAL) + len(lines)
    options = OPTIONS[kind]
    added = {"bart-mt": len(LANGUAGES), "clm": 0}.get(kind, 1)
    weights = WEIGHTS[kind](symbols + added)
    kept = {"args": argparse.Namespace(**options), "model": dict(weights), "optimizer_history": [{"num_updates": 7}]}
    torch.save({**kept, **state}, folder / "checkpoint_best.pt")
    return Made(kind, folder / "checkpoint_best.pt", folder / "dict.txt", folder / "spm.model", options, weights)


def states(made: Made, ids: Sequence[int]) -> list[torch.Tensor]:
    """Hidden states of one text by layer, ``[length, width]`` in float64: embeddings first, the model's output last.

    Multi-head attention and sinusoids: Vaswani et al. 2017, sections 3.2 and 3.5 (with fairseq's rates); norms before
    or after each sublayer: Xiong et al. 2020, figure 1; GELU: Hendrycks & Gimpel 2016.
    """
    weights = {name: tensor.double() for name, tensor in made.weights.items()}
    prefix = {"mlm": "encoder.sentence_encoder.", "clm": "decoder."}.get(made.kind, "encoder.")
    before, causal = made.kind in ("bart-mt", "clm"), made.kind == "clm"
    activation = gelu if made.kind.startswith("bart") else relu

    def affine(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ weights[f"{prefix}{name}.weight"].T + weights[f"{prefix}{name}.bias"]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, (WIDTH,), weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"], 1e-5)

    def attention(layer: str, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            affine(f"{layer}.self_attn.{name}_proj", x).unflatten(1, (HEADS, -1)).movedim(1, 0) for name in "qkv"
        )
        scores = q @ k.mT / math.sqrt(WIDTH // HEADS)
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -math.inf)
        return affine(f"{layer}.self_attn.out_proj", (softmax(scores, -1) @ v).movedim(0, 1).flatten(1))

    def feed_forward(layer: str, x: torch.Tensor) -> torch.Tensor:
        return affine(f"{layer}.fc2", activation(affine(f"{layer}.fc1", x)))

    x = weights[f"{prefix}embed_tokens.weight"][list(ids)] * (math.sqrt(WIDTH) if made.kind == "clm" else 1)
    x = x + _positions(weights, prefix, len(ids))
    if made.kind.startswith("bart"):
        x = norm("layernorm_embedding", x)
    found = [x]
    for number in range(LAYERS):
        layer = f"layers.{number}"
        for sublayer, name in ((attention, "self_attn_layer_norm"), (feed_forward, "final_layer_norm")):
            if before:
                x = x + sublayer(layer, norm(f"{layer}.{name}", x))
            else:
                x = norm(f"{layer}.{name}", x + sublayer(layer, x))
        found.append(x)
    return [*found[:-1], norm("layer_norm", x)] if before else found


def _positions(weights: Mapping[str, torch.Tensor], prefix: str, length: int) -> torch.Tensor:
    if (learned := weights.get(f"{prefix}embed_positions.weight")) is not None:
        return learned[2 : 2 + length]
    half = WIDTH // 2
    rows = [
        [place * 10000 ** -(i / (half - 1)) for i in range(half)] for place in range(2, 2 + length)
    ]  # one after padding's id
    angles = torch.tensor(rows, dtype=torch.float64)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _train(path: Path, texts: Sequence[str], algorithm: str, settings: Mapping[str, Any]) -> list[str]:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        model_type=algorithm,
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    path.write_bytes(written.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    return [model.id_to_piece(index) for index in range(3, model.get_piece_size())]


OPTIONS: dict[str, dict[str, Any]] = {
    "bart-lm": {
        "task": "denoising",
        "arch": "bart_base",
        "encoder_normalize_before": False,
        "decoder_normalize_before": False,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
        "activation_fn": "gelu",
        "no_scale_embedding": True,
        "dropout": 0.3,
        "attention_dropout": 0.1,
    },
    "mlm": {
        "task": "masked_lm",
        "arch": "masked_lm",
        "encoder_attention_heads": HEADS,
        "tokens_per_sample": LENGTH,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_fn": "relu",
    },
    "clm": {
        "task": "language_modeling",
        "arch": "transformer_lm",
        "decoder_normalize_before": True,
        "no_decoder_final_norm": False,
        "decoder_attention_heads": HEADS,
        "tokens_per_sample": LENGTH,
        "max_target_positions": LENGTH,
        "dropout": 0.1,
        "activation_fn": "relu",
    },
}
OPTIONS["bart-mt"] = {
    **OPTIONS["bart-lm"],
    "task": "translation_multi_simple_epoch",
    "encoder_normalize_before": True,
    "decoder_normalize_before": True,
    "encoder_langtok": "src",
    "decoder_langtok": True,
    "lang_pairs": PAIRS,
    "lang_tok_style": "multilingual",
    "langs": None,
    "lang_dict": None,
}


def _layer(prefix: str, names: Sequence[str] = ("self_attn",)) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for attention in names:
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= _linear(f"{prefix}.{attention}.{part}", WIDTH, WIDTH)
        shapes |= _norm(f"{prefix}.{attention}_layer_norm")
    return {
        **shapes,
        **_linear(f"{prefix}.fc1", INNER, WIDTH),
        **_linear(f"{prefix}.fc2", WIDTH, INNER),
        **_norm(f"{prefix}.final_layer_norm"),
    }


def _linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def _random(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
    return {name: one + 1 if "norm" in name and name.endswith("weight") else one for name, one in made.items()}


def _bart(rows: int, *, before: bool) -> dict[str, torch.Tensor]:
    shapes: dict[str, tuple[int, ...]] = {"encoder.embed_tokens.weight": (rows, WIDTH)}
    for stack, names in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        shapes[f"{stack}.embed_positions.weight"] = (LENGTH + 2, WIDTH)
        shapes |= _norm(f"{stack}.layernorm_embedding")
        for number in range(LAYERS):
            shapes |= _layer(f"{stack}.layers.{number}", names)
        shapes |= _norm(f"{stack}.layer_norm") if before else {}
    weights = _random(shapes)
    shared = weights["encoder.embed_tokens.weight"]
    return {
        "encoder.version": torch.tensor([3.0]),
        "decoder.version": torch.tensor([3.0]),
        "decoder.embed_tokens.weight": shared,
        "decoder.output_projection.weight": shared,
        **weights,
    }


def _mlm(rows: int) -> dict[str, torch.Tensor]:
    prefix = "encoder.sentence_encoder"
    shapes = {f"{prefix}.embed_tokens.weight": (rows, WIDTH), f"{prefix}.segment_embeddings.weight": (2, WIDTH)}
    for number in range(LAYERS):
        shapes |= _layer(f"{prefix}.layers.{number}")
    for name in ("masked_lm_pooler", "lm_head_transform_weight"):
        shapes |= _linear(f"encoder.{name}", WIDTH, WIDTH)
    shapes |= {
        **_norm("encoder.layer_norm"),
        "encoder.lm_output_learned_bias": (rows,),
        "encoder.embed_out.weight": (rows, WIDTH),
    }
    return {**_random(shapes), f"{prefix}.embed_positions._float_tensor": torch.zeros(1)}


def _clm(rows: int) -> dict[str, torch.Tensor]:
    shapes: dict[str, tuple[int, ...]] = {"decoder.embed_tokens.weight": (rows, WIDTH), **_norm("decoder.layer_norm")}
    for number in range(LAYERS):
        shapes |= _layer(f"decoder.layers.{number}")
    shapes["decoder.output_projection.weight"] = (rows, WIDTH)
    return {
        **_random(shapes),
        "decoder.version": torch.tensor([3.0]),
        "decoder.embed_positions._float_tensor": torch.zeros(1),
    }


WEIGHTS: dict[str, Any] = {
    "bart-lm": lambda rows: _bart(rows, before=False),
    "bart-mt": lambda rows: _bart(rows, before=True),
    "mlm": _mlm,
    "clm": _clm,
}
