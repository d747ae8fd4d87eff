"""What GPUs can do at most, by their data sheets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from xglue_harness.errors import SweepError

Arithmetic = Literal["bf16", "fp16", "tf32", "fp32"]


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: how it is asked for; a device of torch's that has all of its words is one.
        bf16: 10^12 floating-point operations a second of dense matrix products with fp32 sums; ``None``: it has none.
        fp16: the same in fp16.
        tf32: the same of fp32 numbers rounded to 10 bits; ``None``: it has none.
        fp32: the same in plain fp32, which is torch's default for it.
        source: of the numbers.
    """

    name: str
    bf16: float | None
    fp16: float
    tf32: float | None
    fp32: float
    source: str

    def peak(self, precision: Arithmetic | Literal["auto"]) -> tuple[float, Arithmetic]:
        """Operations a second, and in which arithmetic: ``auto`` is bf16 where the card has it, else fp32.

        Raises:
            SweepError: where it has none.
        """
        chosen: Arithmetic = ("fp32" if self.bf16 is None else "bf16") if precision == "auto" else precision
        value: float | None = getattr(self, chosen)
        if value is None:
            raise SweepError(f"{self.name} has no {chosen}; choose another precision, or another card")
        return value * 1e12, chosen


CARDS = (
    Card("H200", 989.5, 989.5, 494.7, 67.0, "NVIDIA H200 data sheet (half of the numbers with sparsity)"),
    Card("H100 PCIe", 756.5, 756.5, 378.0, 51.0, "NVIDIA H100 data sheet (half of the numbers with sparsity)"),
    Card("H100", 989.5, 989.5, 494.7, 67.0, "NVIDIA H100 data sheet, SXM (half of the numbers with sparsity)"),
    Card("A100", 312.0, 312.0, 156.0, 19.5, "NVIDIA A100 data sheet"),
    Card("L40S", 362.0, 362.0, 183.0, 91.6, "NVIDIA L40S data sheet (half of the numbers with sparsity)"),
    Card("RTX 4090", 165.2, 165.2, 82.6, 82.6, "NVIDIA Ada GPU architecture white paper, appendix A"),
    Card("RTX 3090", 71.0, 71.0, 35.6, 35.6, "NVIDIA Ampere GA102 white paper, appendix A"),
    Card("V100", None, 125.0, None, 15.7, "NVIDIA V100 data sheet, SXM2"),
    Card("T4", None, 65.0, None, 8.1, "NVIDIA T4 data sheet"),
)
"""Those that have a name within another's come first."""


def card_of(device: str) -> Card | None:
    """The card that a device is, as ``NVIDIA H100 80GB HBM3``; ``None`` for one that the table does not have."""
    words = set(re.findall(r"[a-z0-9]+", device.lower()))
    return next((card for card in CARDS if set(card.name.lower().split()) <= words), None)
