"""Figures of families and of continued models: ours, and those of published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.families import FamilyDifference
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.site.figures import OTHER_SYMBOLS, Figure, Point, drawn, scatter
from xglue_harness.leaderboard.site.paths import PUBLISHED_JSON, families_path, summary_path
from xglue_harness.leaderboard.site.words import interval, percent, signed, signed_points
from xglue_harness.published.families import FAMILIES, Family
from xglue_harness.published.reference import Reference

SYMBOLS: Mapping[str, str] = {"LM": "circle", "MT": "square", "CP": "diamond"}
"""Shape of a family's points, for those who don't tell the colours apart."""

WIDTH = 0.64
"""Share of a task's place on the axis that points take."""

SIDE = 0.11
"""How far the points of backbones stand to the left of their family's mean."""


def _shift(number: int, count: int) -> float:
    """Where the ``number``-th of ``count`` stands beside the middle of its task."""
    return 0.0 if count < 2 else WIDTH * (number / (count - 1) - 0.5)


def _titles(names: Sequence[str]) -> list[str]:
    return [TASKS[name].title if name in TASKS else "all" for name in names]


def _axis(names: Sequence[str]) -> dict[str, Any]:
    """The tasks along the axis, then all."""
    return {
        "tickvals": [*range(len(names))],
        "ticktext": _titles(names),
        "range": [-0.6, len(names) - 0.4],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def _separator(names: Sequence[str]) -> list[dict[str, Any]]:
    """A line before the mean of all tasks."""
    if ALL not in names or len(names) < 2:
        return []
    x = len(names) - 1.5
    return [{"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 1, "dash": "dot"}}]


def _reach(estimate: Estimate) -> float:
    return 50 * (estimate.high - estimate.low)


def families(board: Board, titles: Mapping[str, str]) -> Figure:
    """Means of the families with intervals, and each backbone, task by task.

    Args:
        board: of the recipe.
        titles: of the backbones, by name.
    """
    names = [*board.families]
    places = _titles(names)
    there = {group.family for families in board.families.values() for group in families.scores}
    used = [family for family in FAMILIES if family in there]
    href = families_path(board.place)
    means: dict[Family, list[Point]] = {family: [] for family in used}
    for place, name in enumerate(names):
        for group in board.families[name].scores:
            words = f"{places[place]}: {FAMILIES[group.family]} {percent(group.score.value)}"
            text = f"{words} (95% interval {interval(group.score)})"
            x = place + _shift(used.index(group.family), len(used))
            means[group.family].append(Point(x, 100 * group.score.value, text, href, _reach(group.score)))
    singles: dict[Family, list[Point]] = {family: [] for family in used}
    for row in board.overall:
        scores = {task: task_row.score for task, task_row in row.tasks.items()}
        scores |= {ALL: row.score} if row.score else {}
        for name, score in scores.items():
            place = names.index(name)
            text = f"{places[place]}: {titles[row.backbone.name]} {percent(score.value)} ({interval(score)})"
            x = place + _shift(used.index(row.backbone.family), len(used)) - SIDE
            summary = summary_path(board.place, row.backbone.name, name)
            singles[row.backbone.family].append(Point(x, 100 * score.value, text, summary))
    text = (
        "Large points: mean of a family's backbones, with its 95% interval over trainings and test rows. Small, hollow "
        "points to their left: each backbone."
    )
    return _family_figure(f"families-{board.recipe}", "Score by family", text, names, means, singles)


def published_families(reference: Reference) -> Figure:
    """The same from published numbers, which have no intervals.

    Args:
        reference: with all tasks of all its systems.
    """
    names = [*TASKS, ALL]
    places = _titles(names)
    used = [family for family in FAMILIES if any(system.family == family for system in reference.systems)]
    href = PUBLISHED_JSON
    means: dict[Family, list[Point]] = {family: [] for family in used}
    singles: dict[Family, list[Point]] = {family: [] for family in used}
    for place, name in enumerate(names):
        known: dict[Family, list[float]] = {family: [] for family in used}
        for system in reference.systems:
            value = system.overall if name == ALL else system.shown(name)
            if value is None:
                continue
            known[system.family].append(value)
            x = place + _shift(used.index(system.family), len(used)) - SIDE
            singles[system.family].append(Point(x, value, f"{places[place]}: {system.title} {value:.1f}", href))
        for family, values in known.items():
            if values:
                mean = sum(values) / len(values)
                x = place + _shift(used.index(family), len(used))
                text = f"{places[place]}: {FAMILIES[family]} {mean:.1f}"
                means[family].append(Point(x, mean, text, href))
    text = (
        f"Numbers of {reference.short}, not ours: means over languages from its Table 4, one run each and no "
        "intervals. Large points: mean of a family's backbones. Small, hollow points to their left: each backbone."
    )
    title = f"Score by family in {reference.short}"
    return _family_figure(f"families-{reference.name}", title, text, names, means, singles)


def _family_figure(
    ident: str,
    title: str,
    text: str,
    names: Sequence[str],
    means: Mapping[Family, Sequence[Point]],
    singles: Mapping[Family, Sequence[Point]],
) -> Figure:
    traces = []
    for family, points in means.items():
        shape = SYMBOLS[family]
        small = {"symbol": f"{shape}-open", "size": 6, "line": {"width": 1}}
        words = f"{family}: {FAMILIES[family]}"
        traces.append(scatter(words, family.lower(), points, marker={"symbol": shape, "size": 10}))
        traces.append(scatter(words, family.lower(), singles[family], marker=small, showlegend=False))
    layout = {
        "xaxis": _axis(names),
        "yaxis": {"title": {"text": "score (%)"}, "zeroline": False, "fixedrange": True},
        "shapes": _separator(names),
    }
    return Figure(ident, title, text, drawn(traces, layout))


def continued(board: Board, titles: Mapping[str, str]) -> Figure | None:
    """Each CP minus the model that it was continued from; ``None`` where there is none.

    Args:
        board: of the recipe.
        titles: of the backbones, by name.
    """
    names = [*board.families]
    rows: dict[str, list[tuple[int, FamilyDifference]]] = {}
    for place, name in enumerate(names):
        for pair in board.families[name].continued:
            rows.setdefault(pair.first, []).append((place, pair))
    if not rows:
        return None
    places = _titles(names)
    traces = []
    for number, (first, points) in enumerate(rows.items()):
        second = points[0][1].second
        shown = [
            Point(
                place + _shift(number, len(rows)),
                100 * pair.difference.value,
                f"{places[place]}: {titles[first]} minus {titles[second]} {signed(pair.difference.value)} "
                f"(95% interval {interval(pair.difference, sign=True)})",
                families_path(board.place),
                _reach(pair.difference),
            )
            for place, pair in points
        ]
        marker = {"symbol": OTHER_SYMBOLS[number % len(OTHER_SYMBOLS)], "size": 9}
        traces.append(scatter(f"{titles[first]} − {titles[second]}", "cp", shown, marker=marker, showlegend=True))
    text = (
        "Each model whose pretraining was continued on translation, minus the model it began as, on the same test "
        "rows. Above the line: the translation helped. Bars: 95% intervals."
    )
    title = "What continuing on translation changes"
    return _difference_figure(f"continued-{board.recipe}", title, text, names, traces)


def published_continued(reference: Reference, bases: Mapping[str, str]) -> Figure:
    """The same from published numbers.

    Args:
        reference: with all tasks of all its systems.
        bases: what each CP was continued from, by name.
    """
    names = [*TASKS, ALL]
    places = _titles(names)
    systems = {system.name: system for system in reference.systems}
    traces = []
    for number, (first, second) in enumerate(bases.items()):
        points = []
        for place, name in enumerate(names):
            pair = (systems[first], systems[second])
            one, other = (system.overall if name == ALL else system.shown(name) for system in pair)
            if one is None or other is None:
                continue
            words = f"{systems[first].title} minus {systems[second].title} {signed_points(one - other)}"
            x = place + _shift(number, len(bases))
            points.append(Point(x, one - other, f"{places[place]}: {words}", PUBLISHED_JSON))
        marker = {"symbol": OTHER_SYMBOLS[number % len(OTHER_SYMBOLS)], "size": 9}
        named = f"{systems[first].title} − {systems[second].title}"
        traces.append(scatter(named, "cp", points, marker=marker, showlegend=True))
    text = (
        f"Numbers of {reference.short}, not ours. Each model whose pretraining was continued on translation, minus the "
        "model it began as. Above the line: the translation helped. One run each, so there are no intervals."
    )
    title = f"What continuing on translation changes in {reference.short}"
    return _difference_figure(f"continued-{reference.name}", title, text, names, traces)


def _difference_figure(
    ident: str, title: str, text: str, names: Sequence[str], traces: Sequence[Mapping[str, Any]]
) -> Figure:
    layout = {
        "xaxis": _axis(names),
        "yaxis": {"title": {"text": "difference (points)"}, "zeroline": True, "fixedrange": True},
        "shapes": _separator(names),
    }
    return Figure(ident, title, text, drawn(traces, layout), 340)
