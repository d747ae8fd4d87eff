"""The numbers of Ji et al. 2024 (arXiv:2403.16777), Tables 1, 2, 4 and 5, with errata found by recomputing them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from xglue_harness.resources import published_tree

NAMES = {
    "mbart-large-50": "mbart-large-50",
    "mbart-large-50-many-to-many-mmt": "mbart-m2m",
    "mbart-large-50-many-to-one-mmt": "mbart-m2o",
    "mbart-large-50-one-to-many-mmt": "mbart-o2m",
    "bert-base-multilingual-cased": "mbert",
    "xlm-roberta-base": "xlmr-base",
    "nllb-200-distilled-600M": "nllb-600m",
}
"""What the paper's tables call a checkpoint, by the last part of its name on the Hub."""

LAST_LAYER = 11
"""Table 2 is of the 12th encoder layer, Table 5 of layers 0 to 10."""


@cache
def tables() -> dict[str, Any]:
    """All tables: ``table1``, ``table2``, ``table4``, ``table5`` and ``errata``."""
    found: dict[str, Any] = json.loads((reference_folder() / "ji2024.json").read_text(encoding="utf-8"))
    return found


def reference_folder() -> Path:
    """Folder of published numbers, in the `published_tree`.

    Raises:
        FileNotFoundError: when the installation lost it.
    """
    return published_tree() / "reference"


def name_of(checkpoint: str) -> str | None:
    """What the paper calls a checkpoint; ``None`` where it is not in the paper.

    Args:
        checkpoint: Hub id or folder.
    """
    return NAMES.get(checkpoint.rstrip("/").rsplit("/", 1)[-1])


def spectrum(checkpoint: str, layer: int, role: str) -> tuple[float, float | None] | None:
    """The paper's norm of the singular values and their distance from mBART's (Tables 2 and 5).

    Args:
        checkpoint: Hub id or folder.
        layer: encoder layer, from 0.
        role: ``K``, ``Q``, ``V``, ``Out``, ``FC up`` or ``FC down``.

    Returns:
        ``None`` where the paper has no such number; the distance is ``None`` for mBART itself.
    """
    table = tables()["table2"] if layer == LAST_LAYER else tables()["table5"].get(str(layer), {})
    own = table.get(name_of(checkpoint), {})
    found = own.get(role) or own.get({"FC up": "FC1", "FC down": "FC2"}.get(role))
    if found is None:
        return None
    distance = found["d"] if name_of(checkpoint) != "mbart-large-50" else None
    return found["norm"], distance
