"""The numbers of Ji et al. 2024 (arXiv:2403.16777), Tables 1, 2, 4 and 5, with errata found by recomputing them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from xglue_harness.published.families import Family
from xglue_harness.resources import published_tree

FAMILY_OF: Mapping[str, Family] = {
    "mbert": "LM",
    "xlmr-base": "LM",
    "mbart-large-50": "LM",
    "mbart-m2m": "CP",
    "mbart-m2o": "CP",
    "mbart-o2m": "CP",
    "nllb-600m": "MT",
}
"""The seven backbones of Ji et al. 2024, by the paper's names, which are ours as well."""

CONTINUED: Mapping[str, str] = {
    "mbart-m2m": "mbart-large-50",
    "mbart-m2o": "mbart-large-50",
    "mbart-o2m": "mbart-large-50",
}
"""The models of Ji et al. 2024 whose pretraining was continued on translation, and what it began with."""

TITLES: Mapping[str, str] = {
    "mbert": "mBERT",
    "xlmr-base": "XLM-R base",
    "mbart-large-50": "mBART-50",
    "mbart-m2m": "mBART-50 m2m",
    "mbart-m2o": "mBART-50 m2o",
    "mbart-o2m": "mBART-50 o2m",
    "nllb-600m": "NLLB-200 distilled 600M",
}

NOTES = (
    "Table 4 has NER's fourth language under PL (Polish); XGLUE's NER has none: it is Dutch (nl), and stands so here.",
)
"""What we found in the tables besides the errata listed with them."""

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
    content: dict[str, Any] = json.loads((reference_folder() / "ji2024.json").read_text(encoding="utf-8"))
    return content


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
    roles = table.get(name_of(checkpoint), {})
    numbers = roles.get(role) or roles.get({"FC up": "FC1", "FC down": "FC2"}.get(role))
    if numbers is None:
        return None
    distance = numbers["d"] if name_of(checkpoint) != "mbart-large-50" else None
    return numbers["norm"], distance
