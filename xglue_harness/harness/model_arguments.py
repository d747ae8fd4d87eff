"""The arguments that models are made with: lm-eval's parser makes numbers of what looks like one, and keeps none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from xglue_harness.errors import EncoderError

_STRINGS = ("pretrained", "revision", "subfolder")
_STRINGS_OR_NONE = ("tokenizer", "peft", "delta", "gguf_file", "model", "tokenizer_revision", "code_revision", "device")
_NAMES = (*_STRINGS, *_STRINGS_OR_NONE)
_SWITCHES = ("trust_remote_code", "use_fast_tokenizer")


@dataclass
class MadeWith:
    """What a model was asked for by.

    Attributes:
        arguments: as lm-eval's parser gave them; none for a model that was made by hand.
        adapter: the adapter that ``hf`` was asked for.
    """

    arguments: dict[str, object] = field(default_factory=dict)
    adapter: str | None = None

    @property
    def name(self) -> str | None:
        """The checkpoint's name; those behind an API or vLLM don't all keep it."""
        name = self.arguments.get("pretrained") or self.arguments.get("model")
        return str(name) if name else None

    @property
    def revision(self) -> str | None:
        """The revision that was asked for."""
        revision = self.arguments.get("revision") if self.name else None
        return None if revision is None else str(revision)


_MADE: WeakKeyDictionary[object, MadeWith] = WeakKeyDictionary()
_LAST: set[str] = set()


def begin(arguments: Mapping[str, object]) -> None:
    """Note that a model is about to be made."""
    _LAST.clear()
    _LAST.update(arguments)


def made_with(lm: object) -> MadeWith:
    """What a model was made with; an empty note for one that none is known of, to be filled in."""
    return _MADE.setdefault(lm, MadeWith())


def names_of_last() -> frozenset[str]:
    """Names of the arguments that the last model was made with.

    lm_eval merges ``--model_args`` into the metadata of every task; this tells a model's argument from a misspelt
    option.
    """
    return frozenset(_LAST)


def forget_last() -> None:
    """The next run may bring a model that is built already, and that has no arguments."""
    _LAST.clear()


def unquoted(arguments: Mapping[str, object]) -> dict[str, object]:
    """Names as lm-eval 0.4's parser gives them; 0.5's leaves their quotes, and ``None`` is a word like others.

    Args:
        arguments: of a model, by name.
    """
    return {name: _unquoted(value) if name in _NAMES else value for name, value in arguments.items()}


def _unquoted(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() == "none":
        return None
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def check_strings(arguments: Mapping[str, object]) -> None:
    """Refuse names that are none any more: ``revision=1.10`` arrives as 1.1, ``0012345`` as 12345, ``true`` as True.

    Args:
        arguments: of a model, by name.

    Raises:
        EncoderError: with the quoting that works.
    """
    for name in _NAMES:
        value = arguments.get(name, "")
        cast = isinstance(value, (bool, int, float, list, tuple, dict, set)) or (value is None and name in _STRINGS)
        if cast:
            quoted = f"'pretrained=...,{name}=\"1.10\"'"
            raise EncoderError(
                f"the model's argument {name} is {value!r}, which is no string: lm_eval reads 1.10 as the number 1.1, "
                "0012345 as 12345, 1e5 as 100000.0. Quote it for lm_eval, within the quotes that the shell takes off: "
                f'--model_args {quoted}; in JSON, YAML or Python it is a string: {{"{name}": "1.10"}}'
            )


def check_switches(arguments: Mapping[str, object]) -> None:
    """Refuse a word where true or false is meant: ``trust_remote_code=no`` is a word, and would count as true.

    Raises:
        EncoderError: naming the argument.
    """
    for name in _SWITCHES:
        value = arguments.get(name, False)
        if value not in (True, False, None):
            raise EncoderError(f"the model's argument {name} is {value!r}: give True or False")
