"""Families of backbones: what they were pretrained to do."""

from __future__ import annotations

from typing import Literal

Family = Literal["LM", "MT", "CP"]
"""Language model; translation model; language model whose pretraining was continued on translation."""

FAMILIES: dict[Family, str] = {
    "LM": "language models",
    "MT": "translation models",
    "CP": "language models continued on translation",
}
