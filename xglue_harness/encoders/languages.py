"""Source-language codes of encoders that read one (mBART-50, NLLB-200 and M2M100)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.errors import EncoderError

logger = logging.getLogger(__name__)

_TABLE = {  # language: (mBART-50, NLLB-200); mBART-50 has neither Bulgarian nor Greek
    "ar": ("ar_AR", "arb_Arab"),
    "bg": (None, "bul_Cyrl"),
    "de": ("de_DE", "deu_Latn"),
    "el": (None, "ell_Grek"),
    "en": ("en_XX", "eng_Latn"),
    "es": ("es_XX", "spa_Latn"),
    "fr": ("fr_XX", "fra_Latn"),
    "hi": ("hi_IN", "hin_Deva"),
    "it": ("it_IT", "ita_Latn"),
    "nl": ("nl_XX", "nld_Latn"),
    "pl": ("pl_PL", "pol_Latn"),
    "pt": ("pt_XX", "por_Latn"),
    "ru": ("ru_RU", "rus_Cyrl"),
    "sw": ("sw_KE", "swh_Latn"),
    "th": ("th_TH", "tha_Thai"),
    "tr": ("tr_TR", "tur_Latn"),
    "ur": ("ur_PK", "urd_Arab"),
    "vi": ("vi_VN", "vie_Latn"),
    "zh": ("zh_CN", "zho_Hans"),
}

MBART_CODES: Mapping[str, str | None] = MappingProxyType({lang: codes[0] for lang, codes in _TABLE.items()})
NLLB_CODES: Mapping[str, str] = MappingProxyType({lang: codes[1] for lang, codes in _TABLE.items()})


_TOLD: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""Languages that have been warned of, by tokenizer, so that a run says it once."""


def language_code(tokenizer: Any, language: str) -> str | None:
    """The tokenizer's own code of a language; ``None`` where the tokenizer reads no language code.

    A language that an mBART-50 tokenizer does not know gets English's code, and the log says so, once.

    Raises:
        EncoderError: where the tokenizer's vocabulary has language codes, but its class can't set them (transformers
            before 5.6 loads the tokenizers of mBART-50 and NLLB so): all languages would be read as one.
    """
    if not hasattr(tokenizer, "src_lang"):
        _refuse_fixed_language(tokenizer)
        return None
    if language in (getattr(tokenizer, "lang_code_to_token", None) or {}):  # M2M100: its codes are ours
        return language
    known = set(tokenizer.get_vocab())
    for codes in (MBART_CODES, NLLB_CODES):
        fallback = codes[SOURCE_LANGUAGE]
        if fallback not in known:
            continue
        code = codes[language]
        if code in known:
            return code
        _tell(tokenizer, language, "the tokenizer has no code for %s: it is read as %s", fallback)
        return fallback
    _tell(tokenizer, language, "no known code for %s fits the tokenizer: it is read as %s", tokenizer.src_lang)
    return None


def _refuse_fixed_language(tokenizer: Any) -> None:
    for code in (MBART_CODES[SOURCE_LANGUAGE], NLLB_CODES[SOURCE_LANGUAGE]):
        if tokenizer.convert_tokens_to_ids(code) not in (None, tokenizer.unk_token_id):
            raise EncoderError(
                f"{tokenizer.name_or_path} is loaded as a {type(tokenizer).__name__}, which can't change the language "
                f"that it reads, though it has codes like {code}: upgrade transformers, or set tokenizer_class in the "
                "checkpoint's tokenizer_config.json to MBart50Tokenizer or NllbTokenizer"
            )


def _tell(tokenizer: Any, language: str, message: str, code: str | None) -> None:
    told = _TOLD.setdefault(tokenizer, set())
    if language not in told:
        told.add(language)
        logger.warning(message, language, code)


@contextmanager
def reading(tokenizer: Any, language: str) -> Iterator[None]:
    """Let the tokenizer read text of ``language``; its own setting returns afterwards."""
    code = language_code(tokenizer, language)
    if code is None:
        yield
        return
    before = tokenizer.src_lang
    tokenizer.src_lang = code
    try:
        yield
    finally:
        tokenizer.src_lang = before
