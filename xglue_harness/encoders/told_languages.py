"""Encoders that are told the language of each input: XLM with language embeddings, X-MOD with its adapters.

Their number of a language stands in the configuration (or, of old XLM checkpoints, with the tokenizer), under codes of
many forms: ``de``, ``de_DE``, ``deu_Latn``, ``zh-cn``. Without it they run, on inputs that they were never trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from xglue_harness.encoders.calling import language_argument
from xglue_harness.encoders.languages import MBART_CODES, NLLB_CODES
from xglue_harness.errors import EncoderError

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone

_MAINLAND = ("cn", "hans", "simplified")
"""Chinese of XGLUE is that of the mainland; of all other languages it has one kind."""


def language_numbers(encoder: Any, tokenizer: Any) -> dict[str, int] | None:
    """An encoder's own number of each language, by its own code; ``None`` for one that is not told the language.

    Raises:
        EncoderError: where it needs to be told, and nothing says which number is which language.
    """
    argument = language_argument(encoder)
    if argument is None:
        return None
    config = encoder.config
    by_code: Any = getattr(config, "lang2id", None)
    if not by_code and getattr(config, "id2lang", None):
        by_code = {code: number for number, code in config.id2lang.items()}
    if not by_code and getattr(config, "languages", None):
        by_code = {code: number for number, code in enumerate(config.languages)}
    if not by_code:
        by_code = getattr(tokenizer, "lang2id", None)
    name = config.name_or_path or type(encoder).__name__
    if not isinstance(by_code, Mapping) or not by_code:
        raise EncoderError(
            f"{name} was trained with the language of each input ({argument}), and its configuration does not say "
            "which number is which language: add lang2id to config.json"
        )
    numbers = {str(code): _number(number) for code, number in by_code.items()}
    rows = getattr(config, "n_langs", None) or len(numbers)
    if wrong := [code for code, number in numbers.items() if not 0 <= number < rows]:
        raise EncoderError(
            f"{name}: the number of {', '.join(map(repr, wrong))} in lang2id of config.json is none of 0 to {rows - 1}"
        )
    return numbers


def _number(value: Any) -> int:
    """A number, also as JSON's keys hold it; -1 for whatever is none."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def language_number(backbone: Backbone, language: str) -> int | None:
    """The number that a backbone's encoder knows a language by; ``None`` where it is not told the language.

    Raises:
        EncoderError: where it does not know the language; names those that it knows.
    """
    numbers = language_numbers(backbone.encoder, backbone.tokenizer)
    if numbers is None:
        return None
    codes = _codes(language, numbers)
    if len(codes) != 1:
        known = ", ".join(sorted(numbers))
        what = f"has several for {language!r} ({', '.join(codes)})" if codes else f"does not know {language!r}"
        raise EncoderError(
            f"{backbone.name} is told the language of each input, and {what}; it knows {known}. Choose leaves of "
            'those, and --metadata \'{"dev": "en"}\' where the dev sets have others'
        )
    return numbers[codes[0]]


def check_languages(backbone: Backbone, languages: Iterable[str]) -> None:
    """Refuse languages that an encoder is to be told and does not know, before anything is trained.

    Raises:
        EncoderError: as `language_number`.
    """
    for language in languages:
        language_number(backbone, language)


def keep_languages(encoder: Any) -> None:
    """Let training leave X-MOD's adapters as they are, as its authors do: else English's alone would move away."""
    for module in encoder.modules():
        adapters = getattr(module, "adapter_modules", None)
        if adapters is not None:
            adapters.requires_grad_(False)


def _codes(language: str, codes: Iterable[str]) -> list[str]:
    """Codes of a model that stand for a language: the one that is most surely meant, or all that may be."""
    codes = list(codes)
    exact = [language, MBART_CODES.get(language), NLLB_CODES.get(language)]
    for wanted in filter(None, exact):
        if same := [code for code in codes if _plain(code) == _plain(wanted)]:
            return same[:1]
    short = {language, NLLB_CODES.get(language, language).partition("_")[0]}
    alike = [code for code in codes if _plain(code).partition("-")[0] in short]
    if language == "zh" and len(alike) > 1:
        alike = [code for code in alike if _plain(code).partition("-")[2].startswith(_MAINLAND)] or alike
    return alike


def _plain(code: str) -> str:
    return code.strip().lower().replace("_", "-")
