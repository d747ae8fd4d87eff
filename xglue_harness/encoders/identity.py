"""Which encoder it is: hashes of all that decides what it computes, whatever folder or name it was loaded from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.encoders.languages import reading
from xglue_harness.encoders.loading import weights_sha256

if TYPE_CHECKING:
    from xglue_harness.encoders.loading import Backbone

_NO_DIFFERENCE = frozenset(
    {"_name_or_path", "_commit_hash", "architectures", "dtype", "torch_dtype", "transformers_version", "auto_map"}
    | {"use_cache", "add_pooling_layer", "_attn_implementation_autoset"}
)
"""Entries of a configuration that do not change what the encoder computes."""


@dataclass(frozen=True)
class Identity:
    """SHA-256 (hex) of an encoder's weights, configuration and tokenizer."""

    weights: str
    config: str
    tokenizer: str


def identify(backbone: Backbone) -> Identity:
    """Hash a backbone; takes about a second for each gigabyte of weights."""
    return Identity(
        weights_sha256(backbone.encoder), config_sha256(backbone.encoder.config), tokenizer_sha256(backbone.tokenizer)
    )


def config_sha256(config: Any) -> str:
    """Hash (hex) of a configuration without what does not change the computation."""
    return _sha256({key: value for key, value in config.to_dict().items() if key not in _NO_DIFFERENCE})


def tokenizer_sha256(tokenizer: Any) -> str:
    """Hash (hex) of a tokenizer's vocabulary, rules and special tokens, when it reads English."""
    facts: dict[str, Any] = {
        "special": {key: str(value) for key, value in tokenizer.special_tokens_map.items()},
        "inputs": list(tokenizer.model_input_names),
    }
    with reading(tokenizer, SOURCE_LANGUAGE):
        if tokenizer.is_fast:
            rules = json.loads(tokenizer.backend_tokenizer.to_str())
            facts["rules"] = {key: value for key, value in rules.items() if key not in ("truncation", "padding")}
        else:
            facts["rules"] = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
            facts["probe"] = tokenizer("The quick brown fox, 12.5%; Ünïcödé 中文")["input_ids"]
    return _sha256(facts)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
