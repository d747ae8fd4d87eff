"""Files that a stranger wrote: YAML and JSON that hold nothing but texts and numbers that can be let in."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from xglue_harness.errors import LeaderboardError
from xglue_harness.plain_yaml import add_resolvers
from xglue_harness.untrusted.text import lines_seen, seen, without_markup

VALUES_LIMIT = 100_000
"""Most values (keys not counted) of a file; a result on 15 languages with diagnostics has about 5,000."""

DEPTH_LIMIT = 32
LENGTH_LIMIT = 4000
"""Most characters of any text."""

INTEGER_LIMIT = 2**53
"""Largest whole number: beyond it, not every reader of JSON takes a number for what it is."""

NUMBER_LIMIT = 1e15
"""Largest number otherwise: sums and squares of such numbers are finite."""


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


add_resolvers(_Values, floats=r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of some pairs.

    Raises:
        ValueError: where a key stands there twice.
    """
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {', '.join(twice[:5])} stands there twice")
    return mapping


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
    return _admitted(value, path, seen)  # its schemas have a type for each text, and look for markup


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
    return _admitted(value, where, lambda text: seen(without_markup(text)))


def _admitted(value: Any, path: Path, gate: Callable[[str], str]) -> Any:
    """The value itself: the one gate that every value of a file passes.

    Raises:
        LeaderboardError: where a text or a number in it is refused, or it has too many values or nests them too deeply.
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
            problems += [f"{where} (a key): {problem}" for key in item if (problem := _problem(key, gate))]
            below += [(f"{where}.{key[:80]}".lstrip("."), depth + 1, inner) for key, inner in reversed(item.items())]
        elif isinstance(item, list):
            below += [(where, depth + 1, inner) for inner in reversed(item)]
        elif problem := _problem(item, gate):
            problems.append(f"{where or 'file'}: {problem}")
    if problems:
        raise LeaderboardError(f"{path}: {'; '.join(problems)}")
    return value


def _problem(value: Any, gate: Callable[[str], str]) -> str | None:
    """Why a text or a number is refused."""
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
