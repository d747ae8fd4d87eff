"""What language models, translation models and continued models score, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from xglue_harness.leaderboard.ranking.contrasts import contrast
from xglue_harness.leaderboard.ranking.rows import TaskBoard
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.published.families import FAMILIES, Family


class Lineage(Protocol):
    """What a backbone is; its description in the tree says it."""

    @property
    def family(self) -> Family:
        """LM, MT or CP."""

    @property
    def continued_from(self) -> str | None:
        """Name of the backbone that its pretraining began with; ``None`` where that was nothing."""


@dataclass(frozen=True)
class FamilyScore:
    """The mean of a family's backbones.

    Attributes:
        family: LM, MT or CP.
        members: names of the backbones.
        score: their mean. Its interval is over trainings and test rows, for these backbones, not for others to come.
    """

    family: Family
    members: tuple[str, ...]
    score: Estimate


@dataclass(frozen=True)
class FamilyDifference:
    """A difference that the paper's question asks for.

    Attributes:
        first: a family (``LM``) or a backbone.
        second: what is taken from it.
        difference: the first minus the second.
    """

    first: str
    second: str
    difference: Estimate

    def minus(self, subtracted: str) -> Estimate:
        """The difference with one of the two taken from the other.

        Args:
            subtracted: name of that one.
        """
        return self.difference if subtracted == self.second else -self.difference


@dataclass(frozen=True)
class Families:
    """The families' answer for one task, or for all.

    Attributes:
        scores: of each family that has a backbone here.
        versus: differences between them, each pair once.
        continued: each CP minus the language model that it was continued from, where both are here.
        matched: differences that a study was made for, where both are here; it has no means of families, for its
            backbones have several shapes.
    """

    scores: tuple[FamilyScore, ...]
    versus: tuple[FamilyDifference, ...]
    continued: tuple[FamilyDifference, ...]
    matched: tuple[FamilyDifference, ...] = ()


def compare_families(
    tasks: Sequence[TaskBoard], lineages: Mapping[str, Lineage], pairs: Sequence[tuple[str, str]] | None = None
) -> Families:
    """What each family scores on the mean of some tasks, with the backbones that have all of them.

    Args:
        tasks: the tasks.
        lineages: by name; backbones that it does not tell of are in no family.
        pairs: names of backbones of a study, the second to be taken from the first; ``None``: it is no study.
    """
    names = [name for name in tasks[0].names if name in lineages and all(name in board.names for board in tasks)]
    if pairs is not None:
        there = [(first, second) for first, second in pairs if {first, second} <= {*names}]
        return Families((), (), (), tuple(_difference(tasks, first, second) for first, second in there))
    known = {name: lineages[name] for name in names}
    members = {family: tuple(name for name in names if known[name].family == family) for family in FAMILIES}
    means = {family: dict.fromkeys(there, 1 / len(there)) for family, there in members.items() if there}
    scores = tuple(FamilyScore(family, members[family], contrast(tasks, mean)) for family, mean in means.items())
    versus = []
    for first, second in combinations(means, 2):
        weights = {**means[first], **{name: -share for name, share in means[second].items()}}
        versus.append(FamilyDifference(first, second, contrast(tasks, weights)))
    continued = tuple(
        _difference(tasks, name, base)
        for name in names
        if (base := known[name].continued_from) in known and base is not None
    )
    return Families(scores, tuple(versus), continued)


def _difference(tasks: Sequence[TaskBoard], first: str, second: str) -> FamilyDifference:
    return FamilyDifference(first, second, contrast(tasks, {first: 1.0, second: -1.0}))
