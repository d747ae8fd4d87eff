"""Modules for ``evaluate``: the metrics of NER, POS and WPR, ours and the official ones, without the Hub.

Each is a thin shell over `xglue_harness.metrics` and `xglue_harness.official_metrics`::

    evaluate.load(xglue_harness.evaluate_modules.path("ner"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from xglue_harness.metrics import Ratio

NAMES = ("ner", "pos", "wpr")


def path(name: str) -> str:
    """Where a module lies, for ``evaluate.load``.

    Args:
        name: ``ner``, ``pos`` or ``wpr``.

    Raises:
        KeyError: naming the modules there are.
    """
    if name not in NAMES:
        raise KeyError(f"no evaluate module {name!r}; one of {', '.join(NAMES)}")
    return str(Path(__file__).with_name(f"xglue_{name}"))


def sentence_counts(
    count: Callable[[Sequence[str], Sequence[str]], Ratio],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
) -> list[Ratio]:
    """Count sentence by sentence.

    Args:
        count: of one sentence, from `xglue_harness.metrics`.
        gold: labels of the words, ``[sentences][words]``.
        predicted: labels of the words, ``[sentences][words]``.

    Raises:
        ValueError: of the first sentence that can't be counted, with its number, from 1.
    """
    counts = []
    for number, (g, p) in enumerate(zip(gold, predicted, strict=True), start=1):
        try:
            counts.append(count(g, p))
        except ValueError as error:
            raise ValueError(f"sentence {number}: {error}") from None
    return counts
