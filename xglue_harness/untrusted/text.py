"""Texts that a stranger wrote: one line that can be seen, and names of backbones, commits and pages."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints

_NAME = "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<\s*[A-Za-z!/?]|&(#\w+|\w+);|javascript:", re.IGNORECASE)
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
"""Characters that show nothing though their category (a letter, a mark, a symbol) says otherwise."""


def _no_dots(name: str) -> str:
    if ".." in name:
        raise ValueError("two dots in a row would leave the folder")
    return name


def _no_device(name: str) -> str:
    if _DEVICE.fullmatch(name):
        raise ValueError(f"{name!r} is a device in Windows, which can't check it out; expected another name")
    return name


def seen(value: str) -> str:
    """The text itself.

    Raises:
        ValueError: where it holds a character that can't be encoded, can't be seen, breaks the line, turns the text
            around or passes for a blank.
    """
    for character in value if not (value.isascii() and value.isprintable()) else "":
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Zl", "Zp"):
            raise ValueError(f"holds the control character {character!a}; expected one line of plain text")
        if category in ("Cs", "Co", "Cn") or UNSEEN.match(character) or (category == "Zs" and character != " "):
            raise ValueError(f"holds {character!a}, which can't be encoded or seen; expected plain text")
    return value


def lines_seen(text: str) -> None:
    """Look through a text of many lines, which may end as in Windows.

    Raises:
        ValueError: as `seen`, with the number of the line.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            seen(line.removesuffix("\r"))
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from None


def without_markup(value: str) -> str:
    """The text itself.

    Raises:
        ValueError: where it holds markup, which a page would run.
    """
    if markup := _MARKUP.search(value):
        raise ValueError(f"holds HTML or a script ({markup[0]!r}); expected plain text")
    return value


def plain(value: str) -> str:
    """The text itself.

    Raises:
        ValueError: as `seen` and `without_markup`, and where it is empty or has a blank at an end.
    """
    seen(without_markup(value))
    if value != value.strip() or not value:
        raise ValueError("is empty, or begins or ends with a blank; expected plain text")
    return value


Name = Annotated[str, StringConstraints(pattern=_NAME), AfterValidator(_no_dots), AfterValidator(_no_device)]
"""A backbone or a recipe, and so a folder: lower-case letters, digits, and ``. _ -`` between them."""

Text = Annotated[str, StringConstraints(max_length=400), AfterValidator(plain)]
FROM_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Takes a list of JSON or YAML for a schema's tuple, which strict reading would refuse."""

Commit = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
HubId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$"),
    AfterValidator(_no_dots),
]
Link = Annotated[
    str,
    StringConstraints(
        pattern=r"^https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[!#-&(-;=?-\[\]^_a-~]*)?$",
        max_length=308,
    ),
]
