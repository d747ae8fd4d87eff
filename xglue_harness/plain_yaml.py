"""YAML as people read it: a key once, 2e-5 is a number, and ``no`` is Norwegian; anchors may be used."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def add_resolvers(loader: type[yaml.SafeLoader], *, floats: str) -> None:
    """Let a loader without resolvers take for nulls, booleans and numbers what people read as such, and no more.

    YAML 1.1 takes more for one: ``1:30`` is 90, ``012`` is 10, ``no`` is false.

    Args:
        loader: a class with ``yaml_implicit_resolvers`` of its own.
        floats: regular expression of what is a float.
    """
    for tag, pattern, first in (
        ("null", r"~|null|", ["~", "n", ""]),
        ("bool", r"true|false", ["t", "f"]),
        ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
        ("float", floats, list("-+.0123456789")),
    ):
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^({pattern})$"), first)


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML as people read it."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        own = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in own:
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {key!r} is no text: put it into quotes")
            if own.count(key) > 1:
                raise yaml.YAMLError(f"the key {key} stands there twice, {str(node.start_mark).strip()}")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=True)
        return mapping


_PLAIN_FLOATS = r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"

add_resolvers(_PlainLoader, floats=_PLAIN_FLOATS)
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^(<<)$"), ["<"])
