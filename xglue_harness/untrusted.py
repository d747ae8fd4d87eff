"""What a stranger wrote: one gate for texts and numbers, and YAML and JSON that hold nothing but such values."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationError

from xglue_harness.errors import LeaderboardError, XGlueError

VALUES_LIMIT = 100_000
"""Most values (keys not counted) of a file; a result on 15 languages with diagnostics has about 5,000."""

DEPTH_LIMIT = 32
LENGTH_LIMIT = 4000
"""Most characters of any text."""

INTEGER_LIMIT = 2**53
"""Largest whole number: beyond it, not every reader of JSON takes a number for what it is."""

NUMBER_LIMIT = 1e15
"""Largest number otherwise: sums and squares of such numbers are finite."""

_NAME = "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<\s*[A-Za-z!/?]|&(#\w+|\w+);|javascript:", re.IGNORECASE)
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that show nothing though their category (a letter, a mark, a symbol) says otherwise."""

_SHOWN_LIMIT = 600


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
        if category in ("Cs", "Co", "Cn") or _UNSEEN.match(character) or (category == "Zs" and character != " "):
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


def shown(problem: str) -> str:
    """A message in one line of characters that can be seen, cut where it is long, whatever a stranger put into it."""
    text = "".join(c if c.isprintable() and not _UNSEEN.match(c) else ascii(c)[1:-1] for c in problem[:_SHOWN_LIMIT])
    return text if len(problem) <= _SHOWN_LIMIT else f"{text}…"


Name = Annotated[str, StringConstraints(pattern=_NAME), AfterValidator(_no_dots), AfterValidator(_no_device)]
"""Of a backbone or a recipe, and so of a folder: lower-case letters, digits, and ``. _ -`` between them."""

Text = Annotated[str, StringConstraints(max_length=400), AfterValidator(plain)]
FROM_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""A list of JSON or YAML where a schema has a tuple, which strict reading would not take it for."""

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


@contextmanager
def net(path: Path, problems: list[str]) -> Iterator[None]:
    """Whatever is raised inside is a problem of that file, and not the end of the check."""
    try:
        yield
    except XGlueError as error:
        problems.append(str(error))
    except Exception as error:  # hostile files find what no list of exceptions foresaw
        problems.append(f"{path}: malformed: {type(error).__name__}: {error}")


class _Values(yaml.SafeLoader):  # type: ignore[misc]
    """YAML of JSON's values: no aliases (a few lines of them fill a memory), no tags, no key twice.

    What YAML 1.1 takes for more than it looks like (``1:30`` is 90, ``012`` is 10, ``no`` is false, dates) is text.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError("tags (!name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        return _once([(self._key(key), self.construct_object(value, deep=True)) for key, value in node.value])

    def _key(self, node: Any) -> str:
        if not isinstance(key := self.construct_object(node, deep=True), str):
            raise yaml.YAMLError(f"the key {key!r} is no text")
        return key


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?", list("-+0123456789")),
):
    _Values.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_pattern})$"), _first)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of some pairs.

    Raises:
        ValueError: where a key stands there twice.
    """
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {', '.join(twice[:5])} stands there twice")
    return value


def read_limited(path: Path, limit: int) -> bytes:
    """Bytes of a regular file, and of no other: a pipe has no end, and a link may lead anywhere.

    Args:
        path: of the file.
        limit: most bytes it may have.

    Raises:
        LeaderboardError: where it is no regular file, is too large or can't be read.
    """
    if not stat.S_ISREG(path.lstat().st_mode if os.path.lexists(path) else 0):
        raise LeaderboardError(f"{path}: is a link or no file; expected a regular file")
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise LeaderboardError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise LeaderboardError(f"{path}: {path.stat().st_size:,} bytes; at most {limit:,} are allowed")
    return data


def read_yaml(path: Path, limit: int) -> Any:
    """Values of a YAML file.

    Raises:
        LeaderboardError: as `read_limited`, and where it is no YAML, holds aliases, tags or a key twice, or a value
            that `parse_json` would refuse.
    """
    data = read_limited(path, limit)
    try:
        text = data.decode()
        lines_seen(text)  # comments, too: a reviewer reads them
        value = yaml.load(text, Loader=_Values)  # noqa: S506 (a SafeLoader)
    except RecursionError:
        raise LeaderboardError(f"{path}: is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise LeaderboardError(f"{path}: no YAML that is accepted: {' '.join(str(error).split())}") from None
    return _let_in(value, path, seen)  # its schemas have a type for each text, and look for markup


def read_json(path: Path, limit: int) -> Any:
    """Values of a JSON file.

    Raises:
        LeaderboardError: as `read_limited` and `parse_json`.
    """
    return parse_json(read_limited(path, limit), path)


def parse_json(data: bytes, where: Path) -> Any:
    """Values of JSON.

    Args:
        data: in UTF-8.
        where: the file, for the message.

    Raises:
        LeaderboardError: where it is no JSON, is nested too deeply, holds NaN or a key twice, or a text or a number
            that can't be let in.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    def integer(digits: str) -> int:
        if len(digits) > 20:
            raise ValueError(f"a number of {len(digits):,} digits")
        return int(digits)

    try:
        value = json.loads(data.decode(), parse_constant=refuse, parse_int=integer, object_pairs_hook=_once)
    except ValueError as error:
        raise LeaderboardError(f"{where}: no JSON that is accepted: {error}") from None
    except RecursionError:  # how deep a parser goes depends on Python's version
        raise LeaderboardError(f"{where}: is nested too deeply") from None
    return _let_in(value, where, lambda text: seen(without_markup(text)))


def _let_in(value: Any, path: Path, gate: Callable[[str], str]) -> Any:
    """The value itself: the one gate that every value of a file passes.

    Raises:
        LeaderboardError: where a text or a number in it is none that we take, or it has too many or too deep values.
    """
    problems: list[str] = []
    below: list[tuple[str, int, Any]] = [("", 0, value)]
    count = 0
    while below and len(problems) < 5:
        where, depth, item = below.pop()
        count += 1
        if depth > DEPTH_LIMIT:
            raise LeaderboardError(f"{path}: is nested too deeply")
        if count > VALUES_LIMIT:
            raise LeaderboardError(f"{path}: more than {VALUES_LIMIT:,} values; expected fewer")
        if isinstance(item, dict):
            problems += [f"{where} (a key): {found}" for key in item if (found := _problem(key, gate))]
            below += [(f"{where}.{key[:80]}".lstrip("."), depth + 1, own) for key, own in reversed(item.items())]
        elif isinstance(item, list):
            below += [(where, depth + 1, own) for own in reversed(item)]
        elif found := _problem(item, gate):
            problems.append(f"{where or 'file'}: {found}")
    if problems:
        raise LeaderboardError(f"{path}: {'; '.join(problems)}")
    return value


def _problem(value: Any, gate: Callable[[str], str]) -> str | None:
    """Why a text or a number is not let in."""
    if isinstance(value, str):
        if len(value) > LENGTH_LIMIT:
            return f"{len(value):,} characters; at most {LENGTH_LIMIT:,} are allowed"
        try:
            gate(value)
        except ValueError as error:
            return str(error)
    elif isinstance(value, int) and abs(value) > INTEGER_LIMIT:
        return f"is beyond {INTEGER_LIMIT}"
    elif isinstance(value, float) and not (math.isfinite(value) and abs(value) <= NUMBER_LIMIT):
        return f"is beyond {NUMBER_LIMIT:g}"
    return None


def problems_of(error: ValidationError, where: str = "") -> str:
    """What a schema holds against a file, key by key, in a line; at most ten.

    Args:
        error: of the schema.
        where: what stands before each key.
    """
    if (count := error.error_count()) > 1000:  # a list of them all may take more memory than the file
        return f"{where.rstrip('.') or 'file'}: {count:,} values are against the schema"
    return "; ".join(
        f"{where}{'.'.join(map(str, item['loc']))}".rstrip(".") + f": {item['msg'].removeprefix('Value error, ')}"
        if where or item["loc"]
        else f"file: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:10]
    )
