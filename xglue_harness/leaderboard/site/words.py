"""Numbers, languages and metrics in the words of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xglue_harness.benchmark import TaskSpec
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.ranking.tables import MARKS
from xglue_harness.published.reference import as_printed
from xglue_harness.published.tracks import Track

LANGUAGE_NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sw": "Swahili",
    "th": "Thai",
    "tr": "Turkish",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def percent(value: float, digits: int = 1) -> str:
    """A share in percent, without the sign."""
    return f"{_round(100 * value, digits):.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """A difference of shares in points, with its sign."""
    return signed_points(100 * value, digits)


def signed_points(value: float, digits: int = 1) -> str:
    """A difference in points, with its sign."""
    rounded = _round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def _round(value: float, digits: int) -> float:
    return float(as_printed(value, digits)) + 0.0  # no minus before a zero


def interval(estimate: Estimate, digits: int = 1, *, sign: bool = False) -> str:
    """The 95% interval in words, as ``57.9 to 61.9``."""
    shown = signed if sign else percent
    return f"{shown(estimate.low, digits)} to {shown(estimate.high, digits)}"


def half(estimate: Estimate) -> str:
    """Half the interval with its mark, as ``±2.0~``."""
    return f"±{percent((estimate.high - estimate.low) / 2)}{MARKS[estimate.seeds]}"


def p_value(p: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def seeds_in_words(count: int) -> str:
    """As ``3 seeds``."""
    return f"{count} seed{'s' * (count != 1)}"


def collapsed_in_words(reasons: Sequence[str], limit: int = 6) -> str:
    """Why runs count as collapsed, shortened."""
    rest = len(reasons) - limit
    return "; ".join([*reasons[:limit], *([f"and {rest} more"] if rest > 0 else [])])


def licence_in_words(licence: str) -> str:
    """A licence's SPDX identifier, or in words that none is stated."""
    return "not stated" if licence == "NOASSERTION" else licence


def millions(parameters: int) -> str:
    """Parameters in millions, as ``408.3 M``."""
    return f"{parameters / 1e6:,.1f} M"


SIZES: Mapping[int, str] = {
    100_000_000: "under 100 M",
    300_000_000: "100 to 300 M",
    1_000_000_000: "300 M to 1 B",
}
"""Classes of encoders' sizes, by the number of parameters that they stay below."""


def size_in_words(parameters: int) -> str:
    """The class of an encoder's size."""
    return next((words for limit, words in SIZES.items() if parameters < limit), "1 B and more")


METRICS: Mapping[str, str] = {"acc": "accuracy", "ndcg": "nDCG", "f1": "F1 over entities"}

QUESTIONS: Mapping[str, str] = {
    "nc": "News classification: which of ten topics has an article, given its title and body?",
    "xnli": "Natural language inference: does one sentence follow from the other, contradict it, or neither?",
    "pawsx": "Paraphrases: do two sentences that share most of their words mean the same?",
    "qam": "Questions and answers: does a passage answer a question?",
    "qadsm": "Queries and advertisements: does an advertisement fit a search query?",
    "wpr": "Ranking of web pages: how well, in five grades, does a page answer a query? A query's pages are ranked.",
    "ner": "Named entities: which words name a person, an organisation, a place or something else?",
    "pos": "Parts of speech: which of 17 tags has each word?",
}

TRACKS: Mapping[Track, str] = {"main": "", "controlled": "controlled track"}
"""Tracks in words; the main one goes without."""


def recipe_in_words(track: Track, recipe: str) -> str:
    """A recipe's name, and its track, as ``paper, controlled track``."""
    return ", ".join(filter(None, (recipe, TRACKS[track])))


GAP = "English minus the mean of the other languages"


def metric_of(spec: TaskSpec) -> str:
    """What a task's number is."""
    return f"mean {METRICS[spec.metric]} over {len(spec.languages)} languages"
