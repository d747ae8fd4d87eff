"""Reading a language's lexicon: ``lexicon/<language>.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.sample.tokens import fill, parse, plain

FOLDER = Path(__file__).parent / "lexicon"


@dataclass(frozen=True)
class Lexicon:
    """The words, phrases and sentences of one language; ``data`` is the YAML document."""

    language: str
    data: Mapping[str, Any]

    def city(self, key: str) -> str:
        """Tagged name of a city, in the nominative."""
        return self._city(key)[0]

    def in_city(self, key: str) -> str:
        """Tagged phrase "in <city>": the entry's second part, or the language's pattern."""
        parts = self._city(key)
        return parts[1] if len(parts) > 1 else fill(self.data["in_city"], city=parts[0])

    def _city(self, key: str) -> list[str]:
        return [part.strip() for part in self.data["cities"][key].split("|")]

    def plain(self, tagged: str) -> str:
        """Running text of tagged text."""
        return plain(parse(tagged), self.language)


@cache
def load(language: str) -> Lexicon:
    """Read the lexicon of ``language``."""
    text = (FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    return Lexicon(language, yaml.safe_load(text))
