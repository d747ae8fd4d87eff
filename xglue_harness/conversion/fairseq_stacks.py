"""fairseq's Transformers as transformers has them: configuration, and names of the weights.

| fairseq | positions | norms | read | becomes |
| --- | --- | --- | --- | --- |
| encoder and decoder (``bart_base``) | learned | after | in both directions | BART |
| the same with ``--encoder-normalize-before`` | learned | before | in both directions | mBART |
| ``masked_lm`` | sinusoids, or learned | after | in both directions | Marian's encoder |
| ``transformer_lm`` | sinusoids | before | left to right | XGLM |

Sinusoids are those of ``fairseq/modules/sinusoidal_positional_embedding.py``, which are not Marian's: the converted
file has them as its table of positions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from xglue_harness.conversion.fairseq_file import FairseqModel
from xglue_harness.errors import EncoderError

OFFSET = 2
"""Position of the first subword: one after the padding id, which is 1."""

_UNLIKE = {
    "no_token_positional_embeddings": "it has no positions",
    "adaptive_input": "its embeddings are adaptive",
    "character_embeddings": "it reads characters",
    "encoder_layers_to_keep": "layers were taken out of it",
    "decoder_layers_to_keep": "layers were taken out of it",
    "scale_fc": "it scales its feed-forward layers",
    "scale_attn": "it scales its attention",
    "scale_heads": "it scales its heads",
    "scale_resids": "it scales its residuals",
    "no_decoder_final_norm": "it has no last norm",
    "no_cross_attention": "its decoder does not look at its encoder",
    "base_layers": "it has layers of experts",
    "quant_noise_scalar": "it is quantised",
    "quant_noise_pq": "it is quantised",
}
"""Options that change what is computed and that transformers' classes do not have."""


@dataclass(frozen=True)
class Converted:
    """A model in transformers' terms.

    Attributes:
        config: its configuration, whose class says which model it is.
        weights: fp32, by the names of that model.
        left_out: names in fairseq of weights that no encoder needs: heads, segments that were never used.
    """

    config: Any
    weights: dict[str, torch.Tensor]
    left_out: tuple[str, ...]


def convert_stacks(model: FairseqModel) -> Converted:
    """Find out what a model is and rename its weights.

    Raises:
        EncoderError: where it is of none of the kinds above, or has weights that none of them has.
    """
    for option, meaning in _UNLIKE.items():
        if model.options.get(option):
            raise EncoderError(f"option {option}: {meaning}, which no class of transformers that is used here does")
    names = model.weights.keys()
    if any(name.startswith("encoder.sentence_encoder.layers.") for name in names):
        return _masked_lm(model)
    if any(name.startswith("encoder.layers.") for name in names):
        return _encoder_decoder(model)
    if any(name.startswith("decoder.layers.") for name in names):
        return _language_model(model)
    raise EncoderError(
        "no layers of a known Transformer are among its weights (encoder.layers, decoder.layers, "
        "encoder.sentence_encoder.layers)"
    )


def sinusoids(rows: int, width: int) -> torch.Tensor:
    """Sinusoids as fairseq has them, of the first ``rows`` positions of a text, ``[rows, width]``.

    Half of a row are sines, half cosines, of ``position * 10000^(-i / (width / 2 - 1))``. Rates and angles are rounded
    to fp32, as fairseq has them. Functions are computed in fp64 and then rounded: those of fp32 may end in other bits
    on another processor, and the converted weights would not be the same everywhere.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32) * -(math.log(10000) / (half - 1))
    rates = exponents.double().exp().float()
    angles = (torch.arange(OFFSET, rows + OFFSET, dtype=torch.float32).unsqueeze(1) * rates).double()
    table = torch.zeros(rows, width)
    table[:, : 2 * half] = torch.cat([angles.sin(), angles.cos()], dim=1).float()
    return table


def _encoder_decoder(model: FairseqModel) -> Converted:
    from transformers import BartConfig, MBartConfig

    options, weights = model.options, model.weights
    before = bool(options.get("encoder_normalize_before"))
    if before is not bool(options.get("decoder_normalize_before")):
        raise EncoderError("its encoder and decoder put their norms at different places; BART and mBART don't")
    if "encoder.layernorm_embedding.weight" not in weights or "encoder.embed_positions.weight" not in weights:
        raise EncoderError("expected learned positions and a norm of the embeddings (--layernorm-embedding), as BART's")
    table = weights["encoder.embed_tokens.weight"]
    if not torch.equal(table, weights.get("decoder.embed_tokens.weight", table)):
        raise EncoderError("encoder and decoder have tables of subwords of their own; BART's share one")
    renamed = {"shared.weight": table, **_chosen(weights, r"(?:en|de)coder\.(?!embed_tokens\.|output_projection\.)")}
    config = (MBartConfig if before else BartConfig)(
        vocab_size=len(table),
        d_model=table.shape[1],
        encoder_layers=_layers(weights, "encoder.layers."),
        decoder_layers=_layers(weights, "decoder.layers."),
        encoder_attention_heads=_number(options, "encoder_attention_heads"),
        decoder_attention_heads=_number(options, "decoder_attention_heads"),
        encoder_ffn_dim=len(weights["encoder.layers.0.fc1.weight"]),
        decoder_ffn_dim=len(weights["decoder.layers.0.fc1.weight"]),
        max_position_embeddings=len(weights["encoder.embed_positions.weight"]) - OFFSET,
        activation_function=options.get("activation_fn", "gelu"),
        scale_embedding=not options.get("no_scale_embedding", False),
        **_common(options),
    )
    return _finished(
        config, renamed, weights, r"encoder\.embed_tokens|decoder\.embed_tokens|decoder\.output_projection"
    )


def _masked_lm(model: FairseqModel) -> Converted:
    from transformers import MarianConfig

    options, weights = model.options, model.weights
    prefix = "encoder.sentence_encoder."
    if f"{prefix}emb_layer_norm.weight" in weights:
        raise EncoderError("it normalises its embeddings before layers that normalise after themselves; Marian doesn't")
    table = weights[f"{prefix}embed_tokens.weight"]
    learned = weights.get(f"{prefix}embed_positions.weight")
    length = _number(options, "max_positions" if options.get("max_positions") else "tokens_per_sample")
    positions = sinusoids(length, table.shape[1]) if learned is None else learned[OFFSET:]
    layers = _chosen(weights, re.escape(f"{prefix}layers."))
    renamed = {
        "shared.weight": table,
        "encoder.embed_positions.weight": positions,
        "decoder.embed_positions.weight": positions,
        **{f"encoder.{name.removeprefix(prefix)}": tensor for name, tensor in layers.items()},
    }
    config = MarianConfig(
        vocab_size=len(table),
        d_model=table.shape[1],
        encoder_layers=_layers(weights, f"{prefix}layers."),
        decoder_layers=0,
        encoder_attention_heads=_number(options, "encoder_attention_heads"),
        encoder_ffn_dim=len(weights[f"{prefix}layers.0.fc1.weight"]),
        decoder_attention_heads=_number(options, "encoder_attention_heads"),
        decoder_ffn_dim=4,
        max_position_embeddings=len(positions),
        activation_function=options.get("activation_fn", "relu"),
        scale_embedding=False,
        **_common(options, activation_dropout="act_dropout"),
    )
    head = r"encoder\.(?:masked_lm_pooler|lm_head_transform_weight|layer_norm|embed_out|sentence_projection_layer)\."
    unused = rf"{head}|encoder\.lm_output_learned_bias$|{re.escape(prefix)}(?:segment_embeddings|embed_)"
    return _finished(config, renamed, weights, unused)


def _language_model(model: FairseqModel) -> Converted:
    from transformers import XGLMConfig

    options, weights = model.options, model.weights
    if "decoder.embed_positions.weight" in weights:
        raise EncoderError("its positions are learned; XGLM, the class for such models, has sinusoids")
    if "decoder.layer_norm.weight" not in weights:
        raise EncoderError("it has no norm after its last layer; XGLM, the class for such models, has one")
    if options.get("layernorm_embedding"):
        raise EncoderError("option layernorm_embedding: XGLM, the class for such models, does not normalise embeddings")
    table = weights["decoder.embed_tokens.weight"]
    renamed = _chosen(weights, r"decoder\.(?!output_projection\.|embed_positions\.)")
    length = _number(options, "max_target_positions" if options.get("max_target_positions") else "tokens_per_sample")
    config = XGLMConfig(
        vocab_size=len(table),
        d_model=table.shape[1],
        num_layers=_layers(weights, "decoder.layers."),
        attention_heads=_number(options, "decoder_attention_heads"),
        ffn_dim=len(weights["decoder.layers.0.fc1.weight"]),
        max_position_embeddings=length,
        activation_function=options.get("activation_fn", "relu"),
        scale_embedding=not options.get("no_scale_embedding", False),
        layerdrop=0.0,
        xglue_reads_as_encoder=True,  # see encoders.backbone.is_decoder_only
        **_common(options),
    )
    plain = {name.removeprefix("decoder."): tensor for name, tensor in renamed.items()}
    return _finished(config, plain, weights, r"decoder\.output_projection\.")


def _common(options: Mapping[str, Any], activation_dropout: str = "activation_dropout") -> dict[str, Any]:
    """Dropout as it was pretrained with, and fairseq's four special tokens."""
    return {
        "dropout": float(options.get("dropout", 0.1)),
        "attention_dropout": float(options.get("attention_dropout") or 0.0),
        "activation_dropout": float(options.get(activation_dropout) or 0.0),
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }


def _chosen(weights: Mapping[str, torch.Tensor], pattern: str) -> dict[str, torch.Tensor]:
    """Weights whose names begin so, but for what fairseq notes of its versions."""
    return {name: tensor for name, tensor in weights.items() if re.match(pattern, name) and not re.search(_NOTES, name)}


_NOTES = r"\.version$|\._float_tensor$|embed_positions\.weights$"


def _finished(config: Any, renamed: dict[str, torch.Tensor], weights: Mapping[str, Any], unused: str) -> Converted:
    """The conversion, where every weight has a place or is known to be of no use, and the model lacks none."""
    from transformers import AutoModel

    sources = {id(tensor) for tensor in renamed.values()}
    left = [name for name, tensor in weights.items() if id(tensor) not in sources and not re.search(_NOTES, name)]
    if unknown := [name for name in left if not re.match(unused, name)]:
        raise EncoderError(f"{unknown[0]} and {len(unknown) - 1} more weights have no place in {config.model_type}")
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in AutoModel.from_config(config).state_dict().items()}
    tied = {name for name in wanted if name.endswith("embed_tokens.weight") and "shared.weight" in wanted}
    for name in wanted.keys() - tied:
        if name not in renamed or renamed[name].shape != wanted[name]:
            found = "it is not there" if name not in renamed else f"it has {tuple(renamed[name].shape)}"
            raise EncoderError(f"{config.model_type} needs {name} of shape {tuple(wanted[name])}, and {found}")
    if extra := sorted(renamed.keys() - wanted.keys()):
        raise EncoderError(f"{extra[0]} and {len(extra) - 1} more weights have no place in {config.model_type}")
    left_out = tuple(sorted(name for name in left if not name.endswith("coder.embed_tokens.weight")))  # which are tied
    return Converted(config, {name: tensor.float() for name, tensor in renamed.items()}, left_out)


def _layers(weights: Mapping[str, torch.Tensor], prefix: str) -> int:
    numbers = {int(name.removeprefix(prefix).split(".")[0]) for name in weights if name.startswith(prefix)}
    if numbers != set(range(len(numbers))):
        raise EncoderError(f"layers {prefix}N are not numbered from 0 without a gap: {sorted(numbers)}")
    return len(numbers)


def _number(options: Mapping[str, Any], name: str) -> int:
    value = options.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise EncoderError(f"option {name}: is {value!r}; expected a positive number")
    return value
