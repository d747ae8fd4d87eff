"""Arguments of a model as lm-eval's parser hands them over: it makes numbers of what looks like one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xglue_harness.errors import EncoderError

_STRINGS = ("pretrained", "revision", "subfolder")
_STRINGS_OR_NONE = ("tokenizer", "peft", "delta", "gguf_file", "model", "tokenizer_revision", "code_revision", "device")
_SWITCHES = ("trust_remote_code", "use_fast_tokenizer")


def check_strings(arguments: Mapping[str, Any]) -> None:
    """Refuse names that are none any more: ``revision=1.10`` arrives as 1.1, ``0012345`` as 12345, ``true`` as True.

    Args:
        arguments: of a model, by name.

    Raises:
        EncoderError: with the quoting that works.
    """
    for name in (*_STRINGS, *_STRINGS_OR_NONE):
        value = arguments.get(name, "")
        cast = isinstance(value, (bool, int, float, list, tuple, dict, set)) or (value is None and name in _STRINGS)
        if cast:
            quoted = f"'pretrained=...,{name}=\"1.10\"'"
            raise EncoderError(
                f"the model's argument {name} is {value!r}, which is no string: lm_eval reads 1.10 as the number 1.1, "
                "0012345 as 12345, 1e5 as 100000.0. Quote it for lm_eval, within the quotes that the shell takes off: "
                f'--model_args {quoted}; in JSON, YAML or Python it is a string: {{"{name}": "1.10"}}'
            )


def check_switches(arguments: Mapping[str, Any]) -> None:
    """Refuse a word where true or false is meant: ``trust_remote_code=no`` is a word, and would count as true.

    Raises:
        EncoderError: naming the argument.
    """
    for name in _SWITCHES:
        value = arguments.get(name, False)
        if value not in (True, False, None):
            raise EncoderError(f"the model's argument {name} is {value!r}: give True or False")
