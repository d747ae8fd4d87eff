"""Which weights count: five rules and those of ``average_last_K``, all answered by one training.

``last`` is the paper's (Ji et al. 2024). ``en_dev`` stays zero-shot. ``all_dev``, the mean over all languages' dev
sets, is how XGLUE's own baseline was selected (Liang et al. 2020), and ``oracle``, the best epoch for each target
language, is an upper bound; both look at target-language data. ``average`` is the mean of all epochs' weights instead
of a choice among them (Schmidt et al. 2023, arXiv:2305.16834), and ``average_last_3`` that of the last three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.records.training_schema import EpochScores, NamedRule, Rule

RULES: tuple[NamedRule, ...] = get_args(NamedRule)
_LAST = "average_last_"


@dataclass(frozen=True, order=True)
class Selected:
    """The weights that a rule leads to.

    Attributes:
        epoch: after which they were had; of a mean, the last one that is in it.
        averaged: epochs, up to that one, whose weights' mean it is; 1: the epoch's own weights.
    """

    epoch: float
    averaged: int = 1

    def __str__(self) -> str:
        """In words."""
        mean = f"the mean of the {self.averaged} epochs up to " if self.averaged > 1 else ""
        return f"{mean}epoch {self.epoch:g}"


def averaged_by(rule: Rule, epochs: int) -> int:
    """Number of the last epochs whose weights a rule averages; 1 for a rule that selects one epoch.

    Args:
        rule: the rule.
        epochs: of the training; a last one that is not whole counts.
    """
    if rule == "average":
        return epochs
    return int(rule.removeprefix(_LAST)) if rule.startswith(_LAST) else 1


def selected(epochs: Sequence[EpochScores], rule: Rule, language: str) -> Selected | None:
    """The weights that a rule selects for a target language: of equal epochs the first.

    Args:
        epochs: all epochs in their order, with their dev scores.
        rule: the rule.
        language: the target language (only ``oracle`` looks at it).

    Returns:
        The weights; ``None`` where the dev scores that the rule needs are missing, or so many epochs.
    """
    if rule not in ("en_dev", "all_dev", "oracle"):
        averaged = averaged_by(rule, len(epochs))
        return Selected(epochs[-1].epoch, averaged) if averaged <= len(epochs) else None
    scores = [_criterion(epoch.dev, rule, language) for epoch in epochs]
    known = [(score, -place) for place, score in enumerate(scores) if score is not None]
    return Selected(epochs[-max(known)[1]].epoch) if len(known) == len(epochs) else None


def _criterion(dev: Mapping[str, float], rule: Rule, language: str) -> float | None:
    if rule == "all_dev":
        return math.fsum(dev.values()) / len(dev) if len(dev) > 1 else None
    return dev.get(SOURCE_LANGUAGE if rule == "en_dev" else language)


def needed(epochs: Sequence[EpochScores], *, final: bool) -> set[float]:
    """Epochs that some rule selects for some language; the last one is among them once it is the ``final`` one.

    Means are not kept by epoch (`xglue_harness.training.averaging`).
    """
    languages = {language for epoch in epochs for language in epoch.dev} or {SOURCE_LANGUAGE}
    rules: list[Rule] = ["en_dev", "all_dev", "oracle", *(["last"] if final else [])]
    chosen = {selected(epochs, rule, language) for rule in rules for language in languages}
    return {weights.epoch for weights in chosen if weights is not None}
