"""Which encoder it is: hashes of all that decides what it computes, whatever folder or name it was loaded from."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tokenizers import Tokenizer

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.languages import reading
from xglue_harness.encoders.subwords import plain_ids

if TYPE_CHECKING:
    from torch import nn

    from xglue_harness.encoders.backbone import Backbone

_NO_DIFFERENCE = frozenset(
    {"_name_or_path", "_commit_hash", "architectures", "dtype", "torch_dtype", "transformers_version", "auto_map"}
    | {"use_cache", "add_pooling_layer", "_attn_implementation_autoset", "xglue_converted_from"}
)
"""Entries of a configuration that do not change what the encoder computes."""


_KNOWN_CODE = frozenset({"torch", "transformers", "peft", "xglue_harness"})
"""Packages whose versions, which the record names, say what their code does."""


@dataclass(frozen=True)
class Identity:
    """SHA-256 (hex) of an encoder's weights, configuration (with its own code, where it brings some) and tokenizer."""

    weights: str
    config: str
    tokenizer: str


def identify(backbone: Backbone) -> Identity:
    """Hash a backbone; takes about a second for each gigabyte of weights."""
    config = config_sha256(backbone.encoder.config)
    if code := _foreign_code(backbone.encoder):
        config = _sha256([config, code])
    return Identity(weights_sha256(backbone.encoder), config, tokenizer_sha256(backbone.tokenizer))


def _foreign_code(encoder: nn.Module) -> list[str]:
    """Hashes (hex) of the code of modules that are neither torch's, transformers' nor ours (``trust_remote_code``).

    With it the same weights and configuration may compute anything. All files beside it count: it may import them.
    """
    names = {type(module).__module__ for module in encoder.modules()}
    foreign = {name for name in names if name.partition(".")[0] not in _KNOWN_CODE}
    files = {file for name in foreign if (file := getattr(sys.modules.get(name), "__file__", None)) is not None}
    sources = {Path(file) for file in files}
    for file in files:
        if "transformers_modules" in Path(file).parts:  # where transformers copies it: a folder for each repository
            sources.update(Path(file).parent.glob("*.py"))
    return sorted(hashlib.sha256(source.read_bytes()).hexdigest() for source in sources if source.is_file())


def config_sha256(config: Any) -> str:
    """Hash (hex) of a configuration, without the entries that do not change the computation."""
    return _sha256({key: value for key, value in config.to_dict().items() if key not in _NO_DIFFERENCE})


def tokenizer_sha256(tokenizer: Any) -> str:
    """Hash (hex) of a tokenizer's vocabulary, rules and special tokens, when it reads English."""
    with reading(tokenizer, SOURCE_LANGUAGE):
        framed = [dict(tokenizer(*texts)) for texts in (("a",), ("a", "b"))]
    special = {key: str(value) for key, value in tokenizer.special_tokens_map.items()}
    return _sha256([subwords_sha256(tokenizer), framed, special])


_KNOWN: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()
"""Entries and hash of tokenizers: hashing a large one takes a tenth of a second."""


def subwords_sha256(tokenizer: Any) -> str:
    """Hash (hex) of all that decides a text's subwords; not of the special ones around it, nor of languages and names.

    So the tokenizers of mBART-large-50 and of the translation models made from it have the same.
    """
    size = len(tokenizer)
    if tokenizer not in _KNOWN or _KNOWN[tokenizer][0] != size:
        _KNOWN[tokenizer] = (size, _sha256(_subword_rules(tokenizer)))
    return _KNOWN[tokenizer][1]


def _subword_rules(tokenizer: Any) -> list[Any]:
    facts = [tokenizer.unk_token_id, tokenizer.pad_token_id, getattr(tokenizer, "split_special_tokens", False)]
    probe = plain_ids(tokenizer, ["The quick brown fox, 12.5%; Ünïcödé 中文"])
    if not tokenizer.is_fast:
        return [*facts, probe, type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    backend = tokenizer.backend_tokenizer
    bare = Tokenizer(backend.model)  # without what stands around a text, which depends on its language
    for part in ("normalizer", "pre_tokenizer"):
        if getattr(backend, part) is not None:
            setattr(bare, part, getattr(backend, part))
    added = [
        (token, entry.content, entry.single_word, entry.lstrip, entry.rstrip, entry.normalized, entry.special)
        for token, entry in sorted(backend.get_added_tokens_decoder().items())
    ]
    return [*facts, probe, bare.to_str(), added]


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
