"""Published numbers, shown beside ours and never ranked with them: another recipe, other code, mostly one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError
from xglue_harness.published.families import Family
from xglue_harness.published.paper import FAMILY_OF, NOTES, TITLES, reference_folder
from xglue_harness.untrusted.problems import problems_of
from xglue_harness.untrusted.text import Link, Name, Text
from xglue_harness.untrusted.values import read_json


@dataclass(frozen=True)
class PublishedSystem:
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
        scores = self.scores.get(task)
        return sum(scores.values()) / len(scores) if scores else None

    def shown(self, task: str) -> float | None:
        """The mean over all languages where they are known, else the printed average."""
        mean = self.mean(task)
        return self.printed.get(task) if mean is None else mean

    @property
    def overall(self) -> float | None:
        """The mean of `shown` over the eight tasks; ``None`` where one is not known."""
        known = [value for task in TASKS if (value := self.shown(task)) is not None]
        return sum(known) / len(TASKS) if len(known) == len(TASKS) else None


def as_printed(percent: float, digits: int = 1) -> str:
    """A published number, a half rounded up, as papers do: 88.85 is 88.9, though its nearest float is below.

    Args:
        percent: the number.
        digits: decimals.
    """
    return str(Decimal(f"{percent:.6f}").quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


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
    systems: tuple[PublishedSystem, ...]


REFERENCE_LIMIT = 100_000
"""Most bytes of a file."""

Percent = Annotated[float, Field(ge=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Singular(_Part):
    norm: Annotated[float, Field(ge=0)]
    d: Annotated[float, Field(ge=0)] | None


File = TypeVar("File", bound=BaseModel)

_Spectra = dict[str, dict[str, _Singular]]


class _PaperFile(_Part):
    source: str
    table1: dict[str, dict[str, Percent]]
    table2: _Spectra
    table4: dict[str, dict[str, dict[str, Percent]]]
    table5: dict[str, _Spectra]
    errata: list[str]


class _SystemFile(_Part):
    title: Text
    family: Family
    scores: dict[str, dict[str, Percent]]
    averages: dict[str, Percent]


class _XglueFile(_Part):
    source: str
    url: Link
    notes: list[str]
    systems: dict[Name, _SystemFile] = Field(min_length=1)


@cache
def references() -> tuple[Reference, ...]:
    """All publications: the paper first."""
    return tuple(read(reference_folder() / name) for name, read in REFERENCES.items())


def _read(path: Path, schema: type[File]) -> File:
    try:
        return schema.model_validate(read_json(path, REFERENCE_LIMIT))
    except ValidationError as error:
        raise LeaderboardError(f"{path}: {problems_of(error)}") from None


def _paper(path: Path) -> Reference:
    """The paper's file, with every number that a page shows.

    Raises:
        LeaderboardError: where it is malformed, or a number is missing.
    """
    file = _read(path, _PaperFile)
    try:
        systems = []
        for name, family in FAMILY_OF.items():
            scores = {}
            for spec in TASKS.values():
                columns = dict(file.table4[spec.title][name])
                columns.pop("AVG")
                if spec.name == "ner":
                    columns["nl"] = columns.pop("pl")
                scores[spec.name] = {language: columns.pop(language) for language in spec.languages}
                if columns:
                    raise KeyError(f"no {', '.join(columns)} in {spec.title}")
            printed = {spec.name: file.table1[name][spec.title] for spec in TASKS.values()}
            systems.append(PublishedSystem(name, TITLES[name], family, scores, printed))
    except KeyError as error:
        raise LeaderboardError(f"{path}: table1 and table4: lack, or have too much: {error}") from None
    notes = (*NOTES, *file.errata)
    url = "https://arxiv.org/abs/2403.16777"
    return Reference("ji2024", "Ji et al. 2024", file.source, url, notes, tuple(systems))


def _xglue(path: Path) -> Reference:
    """XGLUE's own baseline.

    Raises:
        LeaderboardError: where it is malformed, or has scores of some of a task's languages.
    """
    file = _read(path, _XglueFile)
    for name, system in file.systems.items():
        for task, scores in system.scores.items():
            if task not in TASKS or {*scores} != {*TASKS[task].languages}:
                raise LeaderboardError(f"{path}: systems.{name}.scores.{task}: expected a task with all its languages")
        if unknown := [task for task in system.averages if task not in TASKS]:
            raise LeaderboardError(f"{path}: systems.{name}.averages.{unknown[0]}: expected one of {', '.join(TASKS)}")
    systems = tuple(
        PublishedSystem(name, system.title, system.family, system.scores, system.averages)
        for name, system in file.systems.items()
    )
    return Reference("xglue2020", "Liang et al. 2020", file.source, file.url, tuple(file.notes), systems)


REFERENCES: Mapping[str, Callable[[Path], Reference]] = {"ji2024.json": _paper, "xglue2020.json": _xglue}
"""The files of published numbers, the paper's first, and what reads and checks each."""
