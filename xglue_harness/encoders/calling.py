"""Calling an encoder: what it reads besides subwords and mask, and how each family wants that."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from xglue_harness.errors import EncoderError

_LANGUAGES = {"langs": "subword", "lang_ids": "input"}
"""Arguments that number a language, and what each number stands for: XLM's and Flaubert's, X-MOD's."""

_NOT_IN_TEXT = frozenset(
    {"bbox", "xpath_tags_seq", "xpath_subs_seq", "pixel_values", "image", "images", "visual_feats", "visual_embeds"}
)
"""Arguments that a line of text can't fill: places on a page, pictures."""


def arguments_of(encoder: Any) -> Mapping[str, inspect.Parameter]:
    """Arguments of an encoder's forward pass, by name."""
    return inspect.signature(encoder.forward).parameters


def language_argument(encoder: Any) -> str | None:
    """The argument by which an encoder is told the language; ``None`` where it is not told.

    XLM's and Flaubert's models have one in any case, and read it where they have an embedding for each language.
    """
    name = next((name for name in _LANGUAGES if name in arguments_of(encoder)), None)
    if name == "langs" and hasattr(encoder, "config"):
        config = encoder.config
        known = hasattr(config, "use_lang_emb") and hasattr(config, "n_langs")
        return name if not known or (config.use_lang_emb and config.n_langs > 1) else None
    return name


def reads_segments(encoder: Any) -> bool:
    """Whether an encoder was trained with segments."""
    return "token_type_ids" in arguments_of(encoder) and getattr(encoder.config, "type_vocab_size", 0) > 1


def check_arguments(encoder: Any) -> None:
    """Refuse an encoder that needs, or was trained with, what no XGLUE task has.

    Raises:
        EncoderError: for one that reads no text (Whisper), takes no attention mask (FNet), wants an argument that it
            does not get, reads pages or pictures (LayoutLM), or is told the language in a way that is not known here.
    """
    name, reads = type(encoder).__name__, arguments_of(encoder)
    if "input_ids" not in reads:
        raise EncoderError(f"{name} can't be used: it reads no text")
    if "attention_mask" not in reads:
        raise EncoderError(f"{name} can't be used: it does not tell padding from text")
    given = {"input_ids", "attention_mask", *_LANGUAGES} | ({"token_type_ids"} if reads_segments(encoder) else set())
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    wanted = [key for key, one in reads.items() if one.default is one.empty and one.kind not in kinds]
    if lacking := [key for key in wanted if key not in given]:
        raise EncoderError(f"{name} can't be used: it needs {', '.join(lacking)}, which text does not give")
    if foreign := sorted(_NOT_IN_TEXT & set(reads)):
        raise EncoderError(
            f"{name} can't be used: it was trained with {', '.join(foreign)}, which text does not give, and would run "
            "without"
        )
    strange = [key for key in reads if key.startswith(("lang", "src_lang")) and key not in _LANGUAGES]
    if strange:
        raise EncoderError(
            f"{name} can't be used: it is told the language by {', '.join(strange)}; known here are "
            f"{' and '.join(_LANGUAGES)}"
        )


def call(
    encoder: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_type_ids: torch.Tensor | None = None,
    languages: torch.Tensor | None = None,
    **options: Any,
) -> Any:
    """An encoder's output.

    Args:
        encoder: one of transformers, or one that is called like it.
        input_ids: ``[batch, length]`` subwords.
        attention_mask: ``[batch, length]``, 1 for real subwords.
        token_type_ids: ``[batch, length]`` segments; an encoder that was trained without does not get them.
        languages: ``[batch]`` the encoder's own numbers of the inputs' languages, for one that is told them.
        options: further arguments.
    """
    if token_type_ids is not None and reads_segments(encoder):
        options["token_type_ids"] = token_type_ids
    argument = None if languages is None else language_argument(encoder)
    if languages is not None and argument is not None:
        each = _LANGUAGES[argument] == "subword"
        options[argument] = languages.unsqueeze(1).expand_as(input_ids) if each else languages
    return encoder(input_ids=input_ids, attention_mask=attention_mask, **options)
