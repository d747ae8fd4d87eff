"""Whose answer depends on padding, asked of every encoder in transformers.

python -m benchmarks.padding [FAMILY ...]

Each family that ``AutoModel`` knows is built small, with random weights of some size, and probed as a run would: the
states of an input alone and beside longer ones. A line a family: what may share a batch with an input, the difference
relative to the largest state, the subwords that it can read; or why it is no encoder of text. A minute for all.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from typing import Any

from benchmarks.rounds import parser_of

SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "emb_dim", "dim", "n_embd", "embedding_size", "hidden_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "encoder_layers", "decoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_decoder_layers", "num_layers", "n_layers", "n_layer", "num_hidden_groups"), 2),
    **dict.fromkeys(("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "n_heads"), 4),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads", "n_head", "num_heads"), 4),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "d_ff", "d_inner"), 64),
    **dict.fromkeys(("d_kv", "d_head", "attention_head_size", "head_dim"), 8),
    **dict.fromkeys(("initializer_range", "init_std", "embed_init_std", "initializer_factor"), 0.2),
    "max_position_embeddings": 514,
    "type_vocab_size": 3,
}
"""What is small, where a configuration has it."""

LARGEST = 20_000_000
"""Parameters of what is built at all."""

OWN: dict[str, dict[str, Any]] = {
    "funnel": {"block_sizes": [1, 1], "block_repeats": [1, 1], "n_head": 4, "architectures": ["FunnelModel"]},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "longformer": {"attention_window": [8, 8]},
    "led": {"attention_window": [8, 8]},
    "mobilebert": {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    "rembert": {"input_embedding_size": 32, "output_embedding_size": 32},
    "reformer": {"axial_pos_shape": [16, 32], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"]},
    "roformer": {"embedding_size": 32},
    "squeezebert": {f"{name}_groups": 1 for name in ("q", "k", "v", "post_attention", "intermediate", "output")},
    "switch_transformers": {"num_experts": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    "xlm": {"n_langs": 2, "use_lang_emb": True, "lang2id": {"en": 0, "de": 1}},
    "xmod": {"languages": ["en_XX", "de_DE"], "default_language": "en_XX"},
}
"""What some families want beside."""


def families() -> dict[str, Any]:
    """Configuration classes of all families that ``AutoModel`` builds, by name."""
    from transformers import MODEL_MAPPING

    return {config.model_type: config for config in MODEL_MAPPING if getattr(config, "model_type", "")}


def small(family: str, tokenizer: Any) -> Any:
    """A small configuration of a family."""
    kind = families()[family]
    known = vars(kind())
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "pad_index": tokenizer.pad_token_id}
    names = {**SIZES, **sizes, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    names = {name: value for name, value in names.items() if name in known or name in kind.attribute_map}
    for name in [name for name, whole in kind.attribute_map.items() if whole in names]:
        names.pop(name, None)
    return kind(**{**names, **OWN.get(family, {})})


def backbone_of(family: str, tokenizer: Any, seed: int = 0) -> Any:
    """A small encoder of a family, with random weights.

    Raises:
        EncoderError: for a family that has no encoder of text.
    """
    import torch
    from transformers import AutoModel

    from xglue_harness.encoders.backbone import Backbone, check_trainable, encoder_of, refuse_decoder_only
    from xglue_harness.encoders.loading import without_pooler

    config = small(family, tokenizer)
    refuse_decoder_only(config)
    with torch.device("meta"):  # which takes no memory
        whole = AutoModel.from_config(config, **without_pooler(config))
        check_trainable(encoder_of(whole))
        if (size := sum(parameter.numel() for parameter in whole.parameters())) > LARGEST:
            raise ValueError(f"it has {size:,} parameters: make it smaller in OWN")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = encoder_of(AutoModel.from_config(config, **without_pooler(config))).eval()
    check_trainable(encoder)
    return Backbone(encoder, tokenizer, config, torch.device("cpu"), family)


def probed(family: str, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """What is found out about a family; ``reason`` where it has no encoder of text."""
    from xglue_harness.encoders.probe import position_limit, probe_padding
    from xglue_harness.errors import EncoderError

    began = time.perf_counter()
    try:
        backbone = backbone_of(family, tokenizer)
        limit = position_limit(backbone)
        probe = probe_padding(backbone, min(max_length, limit or max_length))
    except EncoderError as error:
        return {"family": family, "reason": str(error)}
    except Exception as error:  # building is this table's business, not the harness's
        return {"family": family, "unbuilt": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    seconds = time.perf_counter() - began
    return {"family": family, "batches": probe.batch_rule, "difference": probe.difference, "limit": limit, "s": seconds}


def main() -> None:
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="all, where none is given")
    parser.add_argument("--max-length", type=int, default=256, help="subwords of the longest input")
    parser.add_argument("--all", action="store_true", help="print those that have no encoder of text, too")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from tests.helpers import tokenizers

    tokenizer = tokenizers.bert()
    rows = [probed(family, tokenizer, arguments.max_length) for family in arguments.families or sorted(families())]
    for row in rows:
        if "batches" in row:
            limit = "any" if row["limit"] is None else row["limit"]
            print(f"{row['family']:24}{row['batches']:12}{row['difference']:10.1e}{limit!s:>8}{row['s']:8.2f} s")
        elif arguments.all or arguments.families:
            print(f"{row['family']:24}{row.get('reason') or row.get('unbuilt')}")
    counts = {what: sum(what in row for row in rows) for what in ("batches", "reason", "unbuilt")}
    alike = [row["difference"] for row in rows if row.get("batches") == "any length"]
    depends = [row["family"] for row in rows if row.get("batches", "any length") != "any length"]
    print(
        f"{len(rows)} families: {counts['batches']} encoders probed, {counts['reason']} refused, {counts['unbuilt']} "
        f"not built; {len(alike)} within {max(alike, default=0):.1e}; {len(depends)} depend on their batch: "
        f"{', '.join(depends)}"
    )


if __name__ == "__main__":
    main()
