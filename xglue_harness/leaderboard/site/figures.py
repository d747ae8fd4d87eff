"""The site's figures, as plotly's JSON.

Colours are not in them: a trace's ``meta.ink`` names a colour of the page (``lm``, ``mt``, ``cp``, ...), and
``assets/site.js`` puts in that of the light or dark page. A point's ``customdata`` is the JSON that it links to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

OTHER_SYMBOLS = ("diamond", "triangle-up", "square", "circle", "cross", "x", "star", "hexagon", "pentagon", "hourglass")


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Attributes:
        name: id in the page.
        title: what it shows, in a line.
        text: how to read it.
        value: plotly's ``data`` and ``layout``.
        height: in pixels.
    """

    name: str
    title: str
    text: str
    value: Mapping[str, Any]
    height: int = 420

    @property
    def script(self) -> Markup:
        """The JSON for a script element."""
        return script_json(self.value)


@dataclass(frozen=True)
class Point:
    """A number of a figure.

    Attributes:
        x: place on the axis.
        y: in percent.
        text: on hover.
        href: the JSON that holds it.
        reach: half its interval.
    """

    x: float
    y: float
    text: str
    href: str
    reach: float | None = None


def script_json(value: Any) -> Markup:
    """JSON that can stand inside a script element: no text in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (a script's text is not unescaped by browsers, and holds no markup now)


def label(text: str) -> str:
    """Text for plotly, which reads a few HTML tags."""
    return escape(text, quote=False)


def short(title: str, limit: int = 40) -> str:
    """A title that fits into a legend."""
    return title if len(title) <= limit else f"{title[: limit - 1]}…"


def drawn(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> dict[str, Any]:
    """A figure, checked by plotly.

    Args:
        traces: with ``type``; ``scatter`` where not given.
        layout: beside what all figures share.
    """
    import plotly.graph_objects as go

    common = {
        "template": "none",
        "margin": {"l": 48, "r": 12, "t": 12, "b": 40},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
        "dragmode": False,
    }
    figure = go.Figure([{"type": "scatter", **trace} for trace in traces], {**common, **layout})
    plain: dict[str, Any] = json.loads(json.dumps(figure.to_plotly_json()))
    return plain


def scatter(name: str, ink: str, points: Sequence[Point], **more: Any) -> dict[str, Any]:
    """Points, with their intervals where they have some."""
    trace: dict[str, Any] = {
        "mode": "markers",
        "name": label(name),
        "x": [point.x for point in points],
        "y": [round(point.y, 4) for point in points],
        "hovertext": [label(point.text) for point in points],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "customdata": [point.href for point in points],
        "meta": {"ink": ink},
    }
    if any(point.reach is not None for point in points):
        reaches = [round(point.reach or 0, 4) for point in points]
        trace["error_y"] = {"type": "data", "array": reaches, "thickness": 2, "width": 4}
    return {**trace, **more}
