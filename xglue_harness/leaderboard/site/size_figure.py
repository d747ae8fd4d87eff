"""Figures of score against size: does a larger encoder transfer better?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10

from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.site.family_figures import SYMBOLS
from xglue_harness.leaderboard.site.figures import Figure, Point, drawn, label, scatter, short
from xglue_harness.leaderboard.site.paths import PUBLISHED_JSON, summary_path
from xglue_harness.leaderboard.site.words import interval, millions, percent
from xglue_harness.published.families import FAMILIES, Family
from xglue_harness.published.reference import Reference

LEAST = 2
"""Backbones that a figure needs: one point says nothing."""
NEAR = 0.06
"""Share of the axis within which names beside each other would touch."""
_SIZE = "Size is that of the encoder with its embeddings, which is what is fine-tuned"


def score_by_size(board: Board) -> Figure | None:
    """Scores over the eight tasks with their intervals; ``None`` for fewer than two backbones that have one.

    Args:
        board: of the recipe.
    """
    points: dict[Family, list[tuple[Point, str]]] = {}
    for row in board.overall:
        if row.score is None:
            continue
        own, size = row.backbone, row.backbone.parameters.encoder
        text = f"{own.title}: {percent(row.score.value)} ({interval(row.score)}), {millions(size)} parameters"
        href = summary_path(board.place, own.name)
        reach = 50 * (row.score.high - row.score.low)
        point = Point(size / 1e6, 100 * row.score.value, text, href, reach)
        points.setdefault(own.family, []).append((point, own.title))
    text = f"Mean over the eight tasks with its 95% interval. {_SIZE}, on a logarithmic axis."
    return _figure(f"size-{board.recipe}", "Score by size", text, points)


def published_by_size(reference: Reference, backbones: Mapping[str, Backbone]) -> Figure | None:
    """The same from published numbers, of the systems that are described; ``None`` for fewer than two.

    Args:
        reference: with all tasks of its systems.
        backbones: by name, with their sizes.
    """
    points: dict[Family, list[tuple[Point, str]]] = {}
    for system in reference.systems:
        if system.overall is None or system.name not in backbones:
            continue
        size = backbones[system.name].parameters.encoder
        text = f"{system.title}: {system.overall:.1f}, {millions(size)} parameters"
        point = Point(size / 1e6, system.overall, text, PUBLISHED_JSON)
        points.setdefault(system.family, []).append((point, system.title))
    text = f"Numbers of {reference.short}, not ours: mean over the eight tasks, one run each. {_SIZE}, logarithmic."
    return _figure(f"size-{reference.name}", f"Score by size in {reference.short}", text, points)


def _figure(ident: str, title: str, text: str, points: Mapping[Family, Sequence[tuple[Point, str]]]) -> Figure | None:
    everything = [point for named in points.values() for point, _ in named]
    if len(everything) < LEAST:
        return None
    sides = _sides(everything)
    traces = []
    for family in FAMILIES:
        if family not in points:
            continue
        own = [point for point, _ in points[family]]
        more = {
            "mode": "markers+text",
            "text": [label(short(name, 24)) for _, name in points[family]],
            "textposition": [f"middle {sides[point]}" for point in own],
            "cliponaxis": False,
            "marker": {"symbol": SYMBOLS[family], "size": 10},
        }
        traces.append(scatter(f"{family}: {FAMILIES[family]}", family.lower(), own, **more))
    low, high = (pick(point.x for point in everything) for pick in (min, max))
    ticks = [value for power in range(-3, 7) for value in (10.0**power, 3 * 10.0**power)]
    shown = [value for value in ticks if low / 3 <= value <= 3 * high]
    layout = {
        "xaxis": {
            "type": "log",
            "title": {"text": "parameters of the encoder (millions)"},
            "tickvals": shown,
            "ticktext": [f"{value:g}" for value in shown],
            "tickangle": 0,
            "range": [_log(low / 2.5), _log(high * 4)],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {"title": {"text": "score (%)"}, "zeroline": False, "fixedrange": True},
    }
    return Figure(ident, title, text, drawn(traces, layout))


def _sides(points: Sequence[Point]) -> dict[Point, str]:
    """On which side of its point a name stands: towards the middle, but not where the name of one below stands."""
    middle = (min(point.x for point in points) * max(point.x for point in points)) ** 0.5
    near = NEAR * (max(point.y for point in points) - min(point.y for point in points))
    sides: dict[Point, str] = {}
    last = {"left": -1e9, "right": -1e9}
    for point in sorted(points, key=lambda point: (point.y, point.x)):
        side, other = ("left", "right") if point.x > middle else ("right", "left")
        sides[point] = other if point.y - last[side] < near <= point.y - last[other] else side
        last[sides[point]] = point.y
    return sides


def _log(value: float) -> float:
    return round(log10(value), 6)
