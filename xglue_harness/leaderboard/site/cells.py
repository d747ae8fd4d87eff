"""Tables of a page: cells with the number, the JSON it links to, and what stands behind it in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.ranking.rows import TaskRow
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.ranking.tables import MARKS
from xglue_harness.leaderboard.site.paths import page_of
from xglue_harness.leaderboard.site.words import (
    half,
    interval,
    licence_in_words,
    percent,
    seeds_in_words,
    signed,
    size_in_words,
)
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.families import FAMILIES

BEHIND = {
    "own": "",
    "borrowed": "one seed: variance between seeds borrowed from the other backbone with the largest",
    "unknown": "test rows only: no backbone has two seeds, so this is too narrow",
}

HEAT_STEPS = 8
HEAT_SPAN = 0.05
"""A column whose scores differ by less does not take the whole scale of colours."""


@dataclass(frozen=True)
class Head:
    """Head of a column.

    Attributes:
        text: its name.
        note: what it means, on hover and for screen readers.
        href: where it leads.
        kind: ``num`` for numbers (sorted from the largest), ``rank``, or empty.
    """

    text: str
    note: str = ""
    href: str | None = None
    kind: str = "num"


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: what is shown.
        href: the JSON or page that it links to.
        more: small print behind it, as ``±2.0``.
        note: on hover and for screen readers, as the interval.
        order: what the column is sorted by; ``None`` for text, and for no number.
        kind: CSS classes.
        warning: why not to trust it; shown as a sign with this text on hover.
        head: whether it heads its row.
        value: the number in the unit that is shown, in full precision; ``None`` for text.
        span: its 95% interval, in the same unit.
    """

    text: str
    href: str | None = None
    more: str = ""
    note: str = ""
    order: float | None = None
    kind: str = "num"
    warning: str = ""
    head: bool = False
    value: float | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: what it shows.
        heads: of the columns.
        rows: of cells.
        sortable: with buttons to sort, and a box to filter.
        intervals: with a box that shows the intervals of all cells.
        legend: what signs mean.
        facets: by what the rows can be chosen (`facets_of`), one for each row; empty where they can't.
    """

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = False
    intervals: bool = False
    legend: tuple[str, ...] = field(default=())
    facets: tuple[Mapping[str, str], ...] = field(default=())


NONE = Cell("–", note="none")


def estimate_cell(
    estimate: Estimate | None,
    href: str,
    *,
    seeds: int | None = None,
    more: bool = False,
    sign: bool = False,
    kind: str = "",
    warning: str = "",
) -> Cell:
    """A cell of an estimate.

    Args:
        estimate: ``None`` gives a dash.
        href: the JSON that holds it.
        seeds: how many stand behind it.
        more: show half the interval, too.
        sign: it is a difference.
        kind: further CSS classes.
        warning: why not to trust it.
    """
    if estimate is None:
        return NONE
    notes = [f"95% interval {interval(estimate, 2, sign=sign)}"]
    if seeds is not None:
        notes.append(seeds_in_words(seeds))
    if BEHIND[estimate.seeds]:
        notes.append(BEHIND[estimate.seeds])
    text = signed(estimate.value) if sign else percent(estimate.value)
    mark = half(estimate) if more else MARKS[estimate.seeds]
    return Cell(
        text,
        href,
        mark,
        "; ".join(notes),
        estimate.value,
        f"num {kind}".strip(),
        warning,
        value=100 * estimate.value,
        span=(100 * estimate.low, 100 * estimate.high),
    )


def share_cell(value: float | None, href: str, note: str = "") -> Cell:
    """A cell of a share without interval; ``None`` gives a dash."""
    return NONE if value is None else Cell(percent(value), href, note=note, order=value, value=100 * value)


def point_cell(value: float | None, href: str, note: str = "", digits: int = 1) -> Cell:
    """A cell of a number in percent, as published; ``None`` gives a dash."""
    return NONE if value is None else Cell(f"{value:.{digits}f}", href, note=note, order=value, value=value)


def rank_cell(rank: tuple[int, int] | None, all_ranks: Sequence[tuple[int, int] | None], href: str) -> Cell:
    """A cell of a rank; ``=`` where another backbone may share it.

    Args:
        rank: best and worst rank.
        all_ranks: those of all backbones of the table.
        href: the JSON that holds it.
    """
    if rank is None:
        return Cell("–", note="not ranked: it lacks a task", kind="num rank", order=1e6)
    best, worst = rank
    tied = best != worst or sum(rank is not None and rank[0] == best for rank in all_ranks) > 1
    note = f"rank {best} to {worst}" if best != worst else f"rank {best}"
    return Cell(f"{best}{'=' * tied}", href, note=note, order=best + worst / 1000, kind="num rank")


def name_cell(backbone: Backbone) -> Cell:
    """The cell that heads a backbone's row."""
    return Cell(backbone.title, page_of(backbone.name), note=backbone.name, kind="name", head=True)


def family_cell(family: str) -> Cell:
    """The cell of a family."""
    note = next((words for name, words in FAMILIES.items() if name == family), "")
    return Cell(family, note=note, kind=f"family {family.lower()}")


def day_cell(day: str | None) -> Cell:
    """A cell of a day; ``None`` gives a dash."""
    return Cell("–", note="not known", kind="") if day is None else Cell(day, kind="day")


def facets_of(backbone: Backbone | None, family: str) -> dict[str, str]:
    """By what a row can be chosen: its family, size and licence.

    Args:
        backbone: of the row; ``None`` for one that is not described.
        family: of the row.
    """
    if backbone is None:
        return {"family": family}
    size, licence = size_in_words(backbone.parameters.encoder), licence_in_words(backbone.licence)
    return {"family": family, "size": size, "licence": licence}


def heated(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of a column with classes ``h0`` to ``h8`` by where they lie between its lowest and highest number."""
    known = [cell.order for cell in cells if cell.order is not None]
    if len(known) < 2:
        return [*cells]
    low, high = min(known), max(known)
    middle, span = (low + high) / 2, max(high - low, HEAT_SPAN)
    coloured = []
    for cell in cells:
        if cell.order is None:
            coloured.append(cell)
            continue
        step = round(HEAT_STEPS * min(1.0, max(0.0, 0.5 + (cell.order - middle) / span)))
        coloured.append(replace(cell, kind=f"{cell.kind} h{step}"))
    return coloured


RANK = Head("rank", "1 + number of backbones that are significantly better; = shared", kind="num rank")


def legend_of(rows: Sequence[TaskRow]) -> list[str]:
    """What the signs of a table mean, as far as they are in it."""
    sources = {row.score.seeds for row in rows}
    legend = []
    if "borrowed" in sources:
        legend.append("~ one seed: its variance between seeds is borrowed from the other backbone with the largest")
    if "unknown" in sources:
        legend.append("? test rows only: no backbone has two seeds, so intervals are too narrow")
    if any(row.collapsed for row in rows):
        legend.append("⚠ collapsed: a run did not learn the task; hover for the signs")
    return legend


def system_cell(name: str, title: str, validated: ValidatedTree) -> Cell:
    """The cell that heads a published system's row; it links to the backbone's page where there is one."""
    return Cell(title, page_of(name) if name in validated.backbones else None, note=name, kind="name", head=True)
