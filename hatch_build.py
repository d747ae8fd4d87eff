"""The README as a package index shows it, where links to the files beside it would lead nowhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Readme(MetadataHookInterface):
    """Fills in the one dynamic field, ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with the table ``project``."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        place = source and f"{source.rstrip('/')}/blob/v{metadata['version']}"
        metadata["readme"] = {"content-type": "text/markdown", "text": without_relative_links(text, place)}


def without_relative_links(text: str, place: str | None) -> str:
    """Let links to files lead to ``place``; where that is not known, name the file instead."""

    def replaced(match: re.Match[str]) -> str:
        words, path = match.groups()
        if place:
            return f"[{words}]({place}/{path})"
        return words if words.strip("`") == path else f"{words} (`{path}`)"

    return re.sub(r"\[([^\]]+)\]\((?![a-z]+:|#)([^)]+)\)", replaced, text)
