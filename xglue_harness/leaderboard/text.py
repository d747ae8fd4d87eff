"""Text that a stranger wrote: what may stand in it, and YAML and JSON that hold nothing but values."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, StringConstraints, ValidationError

from xglue_harness.errors import LeaderboardError

_NAME = "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
_MARKUP = re.compile(r"<\s*[A-Za-z!/?]|&(#\w+|\w+);|javascript:", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _no_dots(name: str) -> str:
    if ".." in name:
        raise ValueError("two dots in a row would leave the folder")
    return name


def plain(value: str) -> str:
    """The text itself.

    Raises:
        ValueError: where it holds markup (a page would run it), control characters, or nothing.
    """
    if found := _MARKUP.search(value):
        raise ValueError(f"holds HTML or a script ({found[0]!r}); expected plain text")
    if found := _CONTROL.search(value):
        raise ValueError(f"holds the control character {found[0]!r}; expected one line of plain text")
    if value != value.strip() or not value:
        raise ValueError("is empty, or begins or ends with a blank; expected plain text")
    return value


Name = Annotated[str, StringConstraints(pattern=_NAME), AfterValidator(_no_dots)]
"""Of a backbone or a recipe, and so of a folder: lower-case letters, digits, and ``. _ -`` between them."""

Text = Annotated[str, StringConstraints(max_length=400), AfterValidator(plain)]
Commit = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
HubId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$"), AfterValidator(_no_dots)
]
Link = Annotated[str, StringConstraints(pattern=r"^https://[^\s<>\"'`\\]{3,300}$")]


class _Values(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without aliases (a few lines of them fill a memory) and without a key twice (the last one would win)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.YAMLError(f"key {', '.join(twice)} stands there twice")
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


def read_limited(path: Path, limit: int) -> bytes:
    """Bytes of a regular file.

    Args:
        path: of the file.
        limit: most bytes it may have.

    Raises:
        LeaderboardError: where it is a link, is too large or can't be read.
    """
    if path.is_symlink() or not path.is_file():
        raise LeaderboardError(f"{path}: is a link or no file; expected a regular file")
    size = path.stat().st_size
    if size > limit:
        raise LeaderboardError(f"{path}: {size:,} bytes; at most {limit:,} are allowed")
    try:
        return path.read_bytes()
    except OSError as error:
        raise LeaderboardError(f"{path}: cannot be read: {error.strerror}") from error


def read_yaml(path: Path, limit: int) -> Any:
    """Values of a YAML file.

    Raises:
        LeaderboardError: as `read_limited`, and where it is no YAML, or holds aliases or a key twice.
    """
    try:
        return yaml.load(read_limited(path, limit), Loader=_Values)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LeaderboardError(f"{path}: no YAML that is accepted: {' '.join(str(error).split())}") from None


def read_json(path: Path, limit: int) -> Any:
    """Values of a JSON file.

    Raises:
        LeaderboardError: as `read_limited`, and where it is no JSON, is nested too deeply or holds NaN.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(read_limited(path, limit), parse_constant=refuse)
    except ValueError as error:
        raise LeaderboardError(f"{path}: no JSON: {error}") from None
    except RecursionError:  # how deep a parser goes depends on Python's version
        raise LeaderboardError(f"{path}: is nested too deeply") from None


def problems_of(error: ValidationError) -> str:
    """What a schema holds against a file, key by key, in a line; at most ten."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False)[:10]
    )


def check_texts(value: Any, where: str = "") -> list[str]:
    """What is wrong with the texts inside a JSON value, at any depth: markup, control characters.

    Args:
        value: the value.
        where: its key.
    """
    if isinstance(value, dict):
        found = [problem for key, item in value.items() for problem in check_texts(item, f"{where}.{key}".lstrip("."))]
        return [*found, *(problem for key in value for problem in check_texts(str(key), f"{where} (a key)"))]
    if isinstance(value, list):
        return [problem for item in value for problem in check_texts(item, where)]
    if not isinstance(value, str) or not value:
        return []
    try:
        plain(value.strip() or "-")
    except ValueError as error:
        return [f"{where}: {error}"]
    return []
