"""Which family of backbones is ahead, by how much and how surely: the first sentences of the overview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.families import Families, FamilyDifference
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.ranking.significance import holm
from xglue_harness.leaderboard.ranking.statistics import LEVEL
from xglue_harness.leaderboard.site.paths import families_path
from xglue_harness.leaderboard.site.words import interval, percent, seeds_in_words, signed
from xglue_harness.published.families import FAMILIES
from xglue_harness.published.reference import Reference


@dataclass(frozen=True)
class Answer:
    """The families' answer in words.

    Attributes:
        sentence: who is ahead, by how much.
        basis: how many backbones and seeds stand behind it.
        changes: what continuing on translation did, a sentence for each model.
        href: the JSON with the numbers; ``None`` where there are none.
    """

    sentence: str
    basis: str
    changes: tuple[str, ...]
    href: str | None


def answer(board: Board, backbones: Mapping[str, Backbone]) -> Answer:
    """Who is ahead, by how much and how surely.

    Args:
        board: of the recipe.
        backbones: by name.
    """
    families = board.families.get(ALL)
    if families is None:
        return Answer("No backbone has all eight tasks yet; the tables below hold what there is.", "", (), None)
    href = families_path(board.place)
    rows = [row for row in board.overall if row.score is not None]
    counts = sorted({count for row in rows for count in row.seed_counts})
    seeds = seeds_in_words(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    members = ", ".join(f"{len(group.members)} {group.family}" for group in families.scores)
    basis = f"Means over the backbones that have all eight tasks ({members}), {seeds} each."
    changes = tuple(
        f"{backbones[pair.first].title} minus {backbones[pair.second].title}: {signed(pair.difference.value)} points "
        f"({interval(pair.difference, sign=True)})."
        for pair in families.continued
    )
    return Answer(_sentence(families), basis, changes, href)


def _sentence(families: Families) -> str:
    best, *others = sorted(families.scores, key=lambda group: -group.score.value)
    name, mean = FAMILIES[best.family], percent(best.score.value)
    if not others:
        return f"So far only {name} have all eight tasks: {mean}% on average ({interval(best.score)})."
    adjusted = dict(zip(families.versus, holm([pair.difference.p for pair in families.versus]), strict=True))
    parts, sure = [], []
    for other in others:
        versus = next(pair for pair in families.versus if {pair.first, pair.second} == {best.family, other.family})
        sure.append(adjusted[versus] <= 1 - LEVEL)
        parts.append((FAMILIES[other.family], *_lead(versus, best.family)))
    leads = [
        f"{value} above {family} ({'' if number else '95% interval '}{span}"
        f"{'' if all(sure) or not any(sure) else ', significant' if certain else ', not significant'})"
        for number, ((family, value, span), certain) in enumerate(zip(parts, sure, strict=True))
    ]
    if all(sure):
        return f"{name.capitalize()} are ahead: {mean}% on average over the eight tasks, {' and '.join(leads)}."
    return f"No family is clearly ahead: {name} have the highest mean, {mean}%, {' and '.join(leads)}."


def published_answer(reference: Reference) -> str:
    """Which family is ahead in published numbers, and by how much.

    Args:
        reference: with all tasks of all its systems.
    """
    scores: dict[str, list[float]] = {}
    for system in reference.systems:
        if system.overall is not None:
            scores.setdefault(system.family, []).append(system.overall)
    means = {words: sum(scores[family]) / len(scores[family]) for family, words in FAMILIES.items() if family in scores}
    (best, mean), *others = sorted(means.items(), key=lambda item: -item[1])
    leads = " and ".join(f"{mean - value:.1f} above {family}" for family, value in others)
    return (
        f"In {reference.short}, {best} have the highest mean over the eight tasks: {mean:.1f}%, {leads} (one run of "
        f"each backbone, so how sure that is can't be said)."
    )


def _lead(versus: FamilyDifference, family: str) -> tuple[str, str]:
    """How far a family is ahead, and the interval."""
    difference = versus.minus(versus.second if versus.first == family else versus.first)
    return percent(difference.value), interval(difference, sign=True)
