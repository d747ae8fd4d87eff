"""Which epoch counts: four rules, all answered by one training.

``last`` is the paper's (Ji et al. 2024). ``en_dev`` stays zero-shot. ``all_dev``, the mean over all languages' dev
sets, is how XGLUE's own baseline was selected (Liang et al. 2020), and ``oracle``, the best epoch for each target
language, is an upper bound; both look at target-language data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import get_args

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.records.schema import EpochScores, Rule

RULES: tuple[Rule, ...] = get_args(Rule)


def selected(epochs: Sequence[EpochScores], rule: Rule, language: str) -> float | None:
    """The epoch that a rule selects for a target language; the first of equals.

    Args:
        epochs: all epochs in their order, with their dev scores.
        rule: the rule.
        language: the target language (only ``oracle`` looks at it).

    Returns:
        The epoch; ``None`` where the dev scores that the rule needs are missing.
    """
    if rule == "last":
        return epochs[-1].epoch
    scores = [_criterion(epoch.dev, rule, language) for epoch in epochs]
    known = [(score, -place) for place, score in enumerate(scores) if score is not None]
    return epochs[-max(known)[1]].epoch if len(known) == len(epochs) else None


def _criterion(dev: Mapping[str, float], rule: Rule, language: str) -> float | None:
    if rule == "all_dev":
        return math.fsum(dev.values()) / len(dev) if len(dev) > 1 else None
    return dev.get(SOURCE_LANGUAGE if rule == "en_dev" else language)


def needed(epochs: Sequence[EpochScores], *, final: bool) -> set[float]:
    """Epochs that some rule selects for some language; the last one is among them once it is the ``final`` one."""
    languages = {language for epoch in epochs for language in epoch.dev} or {SOURCE_LANGUAGE}
    rules = RULES if final else [rule for rule in RULES if rule != "last"]
    epochs_wanted = {selected(epochs, rule, language) for rule in rules for language in languages}
    return {epoch for epoch in epochs_wanted if epoch is not None}
