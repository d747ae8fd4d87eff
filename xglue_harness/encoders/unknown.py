"""How much of a text a tokenizer can't read: subwords that are its unknown one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xglue_harness.encoders.languages import reading
from xglue_harness.encoders.subwords import plain_ids

logger = logging.getLogger(__name__)

MUCH = 0.05
"""Share of unknown subwords from which a warning is worth it: tokenizers that know a language's letters stay below."""


def count_unknown(tokenizer: Any, ids: Any) -> tuple[int, int] | None:
    """Unknown subwords, and subwords of the text: special ones around it don't count.

    Args:
        tokenizer: the encoder's.
        ids: ``[subwords]`` whole numbers.

    Returns:
        ``None`` for a tokenizer without an unknown subword of its own (bytes).
    """
    unknown = tokenizer.unk_token_id
    others = [getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "cls", "sep", "pad")]
    if unknown is None or unknown in others:
        return None
    numbers = np.asarray(ids)
    special = np.isin(numbers, [number for number in tokenizer.all_special_ids if number != unknown])
    return int((numbers == unknown).sum()), int(numbers.size - special.sum())


def unknown_shares(tokenizer: Any, texts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Share (0..1) of unknown subwords by language; nothing for a tokenizer without an unknown subword.

    Args:
        tokenizer: the encoder's; its source language is set meanwhile.
        texts: by language.
    """
    shares = {}
    for language, sentences in texts.items():
        with reading(tokenizer, language):
            ids = np.concatenate([np.array(one, np.int64) for one in (*plain_ids(tokenizer, [*sentences]), [])])
        if (counted := count_unknown(tokenizer, ids)) is not None:
            shares[language] = counted[0] / counted[1] if counted[1] else 0.0
    return shares


def warning(name: str, shares: Mapping[str, float]) -> str:
    """What is to be said of languages that a tokenizer reads badly, the worst first; empty where it reads all well.

    Args:
        name: of the encoder.
        shares: of `unknown_shares`.
    """
    much = sorted((language for language in shares if shares[language] >= MUCH), key=lambda own: -shares[own])
    if not much:
        return ""
    said = ", ".join(f"{language} {100 * shares[language]:.0f}%" for language in much)
    return (
        f"the tokenizer of {name} reads much text as unknown, which the encoder can't tell apart; share of unknown "
        f"subwords: {said}"
    )


def warn(name: str, shares: Mapping[str, float]) -> None:
    """Log `warning`, where there is one."""
    if said := warning(name, shares):
        logger.warning("%s", said)
