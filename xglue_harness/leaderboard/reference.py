"""Published numbers, shown beside ours and never ranked with them: another recipe, other code, mostly one seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.backbones import Family
from xglue_harness.results.paper import reference_folder, tables

FAMILY_OF: Mapping[str, Family] = {
    "mbert": "LM",
    "xlmr-base": "LM",
    "mbart-large-50": "LM",
    "mbart-m2m": "CP",
    "mbart-m2o": "CP",
    "mbart-o2m": "CP",
    "nllb-600m": "MT",
}
"""The seven backbones of Ji et al. 2024, by their name there, which is ours, too."""

CONTINUED: Mapping[str, str] = {
    "mbart-m2m": "mbart-large-50",
    "mbart-m2o": "mbart-large-50",
    "mbart-o2m": "mbart-large-50",
}
"""The models of Ji et al. 2024 whose pretraining was continued on translation, and what it began with."""

TITLES: Mapping[str, str] = {
    "mbert": "mBERT",
    "xlmr-base": "XLM-R base",
    "mbart-large-50": "mBART",
    "mbart-m2m": "mBART m2m",
    "mbart-m2o": "mBART m2o",
    "mbart-o2m": "mBART o2m",
    "nllb-600m": "NLLB 600M",
}

PAPER_NOTES = (
    "Table 4 has NER's fourth language under PL (Polish); XGLUE's NER has none: it is Dutch (nl), and stands so here.",
)
"""What we found in the tables beside their errata."""


@dataclass(frozen=True)
class Published:
    """One system's published numbers, in percent.

    Attributes:
        name: short name.
        title: name in tables.
        family: LM, MT or CP.
        scores: by task and language; may lack tasks.
        printed: the average that was printed, by task.
    """

    name: str
    title: str
    family: Family
    scores: Mapping[str, Mapping[str, float]]
    printed: Mapping[str, float]

    def mean(self, task: str) -> float | None:
        """The mean over the languages of a task; ``None`` where they were not published."""
        own = self.scores.get(task)
        return sum(own.values()) / len(own) if own else None

    def shown(self, task: str) -> float | None:
        """The mean over all languages where they are known, else the printed average."""
        mean = self.mean(task)
        return self.printed.get(task) if mean is None else mean

    @property
    def overall(self) -> float | None:
        """The mean of `shown` over the eight tasks; ``None`` where one is not known."""
        known = [value for task in TASKS if (value := self.shown(task)) is not None]
        return sum(known) / len(TASKS) if len(known) == len(TASKS) else None


@dataclass(frozen=True)
class Reference:
    """A publication.

    Attributes:
        name: of its file in ``leaderboard/reference``, without ending.
        short: how it is cited, as ``Ji et al. 2024``.
        source: the publication.
        url: where it is.
        notes: errata, and what the numbers are.
        systems: its systems.
    """

    name: str
    short: str
    source: str
    url: str
    notes: tuple[str, ...]
    systems: tuple[Published, ...]


@cache
def references() -> tuple[Reference, ...]:
    """All publications: the paper first."""
    return _paper(), _xglue()


def _paper() -> Reference:
    table4, table1 = tables()["table4"], tables()["table1"]
    systems = []
    for name, family in FAMILY_OF.items():
        scores = {}
        for spec in TASKS.values():
            own = {
                "nl" if (spec.name, lang) == ("ner", "pl") else lang: v for lang, v in table4[spec.title][name].items()
            }
            scores[spec.name] = {language: own[language] for language in spec.languages}
        printed = {spec.name: table1[name][spec.title] for spec in TASKS.values()}
        systems.append(Published(name, TITLES[name], family, scores, printed))
    notes = (*PAPER_NOTES, *tables()["errata"])
    url = "https://arxiv.org/abs/2403.16777"
    return Reference("ji2024", "Ji et al. 2024", tables()["source"], url, notes, tuple(systems))


def _xglue() -> Reference:
    found = json.loads((reference_folder() / "xglue2020.json").read_text(encoding="utf-8"))
    systems = tuple(
        Published(name, own["title"], own["family"], own["scores"], own["averages"])
        for name, own in found["systems"].items()
    )
    return Reference("xglue2020", "Liang et al. 2020", found["source"], found["url"], tuple(found["notes"]), systems)
