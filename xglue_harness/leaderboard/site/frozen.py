"""The page of frozen encoders: what fine-tuning adds to each, in which languages, and their own boards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.recipes import FROZEN, probe_terms, standard_probe_terms
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.frozen import BackboneGain, Gain, Gains
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.ranking.tables import MARKS
from xglue_harness.leaderboard.site.cells import (
    BEHIND,
    NONE,
    Cell,
    Head,
    Table,
    estimate_cell,
    family_cell,
    heated,
    name_cell,
)
from xglue_harness.leaderboard.site.figures import OTHER_SYMBOLS, Figure, Point, drawn, scatter, short
from xglue_harness.leaderboard.site.overview import overview
from xglue_harness.leaderboard.site.paths import gains_path
from xglue_harness.leaderboard.site.tasks import task_table
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES, TRACKS, interval, metric_of, seeds_in_words, signed

PAGE = "frozen.html"
TITLE = "Frozen encoders"

_WIDTH = 0.6
"""Share of a task's place on the axis that the points of its backbones take."""


@dataclass(frozen=True)
class GainSection:
    """What fine-tuning by a recipe adds to what a probe finds.

    Attributes:
        track: whose backbones these are, in words.
        recipe: of the fine-tuning.
        frozen: recipe of the probe.
        answer: who gains most, and in which languages, a sentence each.
        figures: gains by task, and by language.
        tables: means over the tasks, by language, and each task.
        href: the JSON with the numbers.
    """

    track: str
    recipe: str
    frozen: str
    answer: tuple[str, ...]
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    href: str


@dataclass(frozen=True)
class BoardSection:
    """Frozen encoders under a recipe.

    Attributes:
        track: whose backbones these are, in words.
        recipe: its name.
        text: what it is.
        table: over all tasks.
        tasks: by language, a table a task.
    """

    track: str
    recipe: str
    text: str
    table: Table
    tasks: tuple[Table, ...]


def frozen_page(boards: Sequence[Board], gains: Sequence[Gains]) -> dict[str, Any]:
    """What the page needs.

    Args:
        boards: of frozen encoders, one for each track and probe.
        gains: what fine-tuning adds, for each track, fine-tuning and probe.
    """
    return {
        "title": TITLE,
        "gains": [_gain_section(one) for one in gains],
        "boards": [_board_section(board) for board in boards],
    }


def _board_section(board: Board) -> BoardSection:
    tables = tuple(task_table(board, task) for task in board.tasks)
    return BoardSection(TRACKS[board.track], board.recipe, _recipe_text(board), overview(board), tables)


def _recipe_text(board: Board) -> str:
    if board.recipe == FROZEN:
        return (
            "Every option of the probe at its default: the last layer, pooled as the checkpoint says, or by the mean."
        )
    changed: dict[str, Any] = {}
    for name, table in board.tasks.items():
        actual = probe_terms(next(iter(table.rows[0].results[0].languages.values())).record.recipe)
        usual = standard_probe_terms(TASKS[name])
        changed |= {key: value for key, value in actual.items() if value != usual.get(key)}
    told = ", ".join(f"{key} {value}" for key, value in changed.items())
    return f"Differs from the probe of all defaults in: {told}."


def _gain_section(gains: Gains) -> GainSection:
    href = gains_path(gains.place, gains.frozen)
    tables = [_overall_table(gains, href)] if gains.overall else []
    tables.append(_language_table(gains, href))
    tables += [_task_table(gains, task, rows, href) for task, rows in gains.tasks.items()]
    figures = (_by_task(gains, href), _by_language(gains))
    answer = tuple(_answer(gains))
    return GainSection(TRACKS[gains.track], gains.recipe, gains.frozen, answer, figures, tuple(tables), href)


# ---------------------------------------------------------------- words


def _answer(gains: Gains) -> list[str]:
    """Who gains most, over all tasks or task by task, and in which languages."""
    if gains.overall:
        (best, gain), *others = gains.overall
        line = f"Over the eight tasks fine-tuning adds most to {best.title}: {_points(gain)}"
        if others:
            last, least = others[-1]
            line += f"; least to {last.title}: {_points(least)}"
    else:
        parts = [
            f"in {TASKS[task].title} {rows[0].backbone.title}, {_points(rows[0].mean)}"
            for task, rows in gains.tasks.items()
        ]
        line = f"Most is gained by fine-tuning: {'; '.join(parts)}"
    by_language = []
    for task, languages in gains.by_language.items():
        ordered = sorted(languages, key=lambda language: -languages[language].gain.value)
        most, fewest = (
            f"{LANGUAGE_NAMES[one]} ({signed(languages[one].gain.value)})" for one in (ordered[0], ordered[-1])
        )
        by_language.append(f"in {TASKS[task].title} {most} and {fewest}")
    return [f"{line}.", f"Languages that gain most and least: {'; '.join(by_language)}."]


def _points(gain: Gain) -> str:
    return f"{signed(gain.gain.value)} points ({interval(gain.gain, sign=True)})"


# ---------------------------------------------------------------- figures


def _by_task(gains: Gains, href: str) -> Figure:
    """A point a backbone and task, with intervals."""
    names = [*gains.tasks, *([ALL] if gains.overall else [])]
    found: dict[str, dict[str, Gain]] = {}
    titles, families = {}, {}
    for task, rows in gains.tasks.items():
        for row in rows:
            found.setdefault(row.backbone.name, {})[task] = row.mean
            titles[row.backbone.name], families[row.backbone.name] = row.backbone.title, row.backbone.family
    for backbone, gain in gains.overall:
        found[backbone.name][ALL] = gain
    traces = []
    for number, (name, known) in enumerate(sorted(found.items())):
        shift = 0.0 if len(found) < 2 else _WIDTH * (number / (len(found) - 1) - 0.5)
        points = [
            Point(
                names.index(task) + shift,
                100 * gain.gain.value,
                f"{_title(task)}: {titles[name]} {_points(gain)}",
                href,
                50 * (gain.gain.high - gain.gain.low),
            )
            for task, gain in known.items()
        ]
        marker = {"symbol": OTHER_SYMBOLS[number % len(OTHER_SYMBOLS)], "size": 9}
        traces.append(scatter(short(titles[name]), families[name].lower(), points, marker=marker, showlegend=True))
    layout = {
        "xaxis": {
            "tickvals": [*range(len(names))],
            "ticktext": [_title(name) for name in names],
            "range": [-0.6, len(names) - 0.4],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {"title": {"text": "gain (points)"}, "zeroline": True, "fixedrange": True},
    }
    text = (
        "Fine-tuned minus frozen, mean over a task's languages, on the same test rows. Above the line: fine-tuning "
        "helped. Bars: 95% intervals over trainings and test rows."
    )
    ident = f"gains-{gains.place}-{gains.frozen}"
    return Figure(ident, "What fine-tuning adds, by task", text, drawn(traces, layout), 380)


def _title(name: str) -> str:
    return TASKS[name].title if name in TASKS else "all"


def _by_language(gains: Gains) -> Figure:
    """The mean gain over the backbones, a colour for each task and language."""
    tasks, languages = [*gains.by_language], gains.languages
    points = [[_rounded(gains.by_language[task].get(language)) for language in languages] for task in reversed(tasks)]
    limit = max(abs(value) for row in points for value in row if value is not None) or 1.0
    trace = {
        "type": "heatmap",
        "x": languages,
        "y": [TASKS[task].title for task in reversed(tasks)],
        "z": points,
        "zmin": -limit,
        "zmax": limit,
        "colorscale": "RdBu",
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"thickness": 10, "outlinewidth": 0},
        "hovertemplate": "%{y}, %{x}: %{z:+.1f} points<extra></extra>",
        "hoverongaps": False,
    }
    layout = {
        "xaxis": {"type": "category", "fixedrange": True},
        "yaxis": {"type": "category", "fixedrange": True, "automargin": True},
    }
    text = (
        "Gain in points, mean over the backbones that have both. Blue: fine-tuning helped; red: the frozen encoder was "
        "better. The numbers with their intervals stand in the table below."
    )
    ident = f"gains-languages-{gains.place}-{gains.frozen}"
    return Figure(ident, "What fine-tuning adds, by language", text, drawn([trace], layout), 150 + 26 * len(tasks))


def _rounded(gain: Gain | None) -> float | None:
    return None if gain is None else round(100 * gain.gain.value, 4)


# ---------------------------------------------------------------- tables


_THREE = (
    Head("frozen", "score of the probe on the frozen encoder, in %"),
    Head("fine-tuned", "score after fine-tuning, in %"),
    Head("gain", "fine-tuned minus frozen, in points, paired over test rows"),
)


def _three(gain: Gain, href: str) -> tuple[Cell, ...]:
    return (
        estimate_cell(gain.frozen, href, more=True),
        estimate_cell(gain.tuned, href, more=True),
        estimate_cell(gain.gain, href, more=True, sign=True, kind="main"),
    )


def _overall_table(gains: Gains, href: str) -> Table:
    heads = (Head("backbone", kind=""), Head("family", kind=""), *_THREE)
    rows = tuple(
        (name_cell(backbone), family_cell(backbone.family), *_three(gain, href)) for backbone, gain in gains.overall
    )
    return Table("Mean over the eight tasks, the largest gain first", heads, rows, True, True)


def _language_table(gains: Gains, href: str) -> Table:
    """Gains by task and language, means over the backbones."""
    heads = (Head("task", kind=""), *(Head(language, LANGUAGE_NAMES[language]) for language in gains.languages))
    rows = []
    for task, known in gains.by_language.items():
        cells = [_gain_cell(known[one], href) if one in known else NONE for one in gains.languages]
        rows.append((Cell(TASKS[task].title, f"task-{task}.html", kind="name", head=True), *heated(cells)))
    count = max(len(rows) for rows in gains.tasks.values())
    of = f"mean over the {count} backbones at most that have both" if count > 1 else "of the one backbone that has both"
    legend = ("colour: from the lowest to the highest of a row, which spans 5 points at least",)
    return Table(f"Gains by language in points, {of}", heads, tuple(rows), False, True, legend)


def _gain_cell(gain: Gain, href: str) -> Cell:
    return estimate_cell(gain.gain, href, sign=True, kind="heat")


def _task_table(gains: Gains, task: str, rows: Sequence[BackboneGain], href: str) -> Table:
    spec = TASKS[task]
    heads = (
        Head("backbone", kind=""),
        Head("family", kind=""),
        Head("seeds", "trainings of the probe, and of the encoder"),
        *_THREE,
        *(Head(language, f"{LANGUAGE_NAMES[language]}: gain in points") for language in spec.languages),
    )
    columns: Mapping[str, list[Cell]] = {
        language: heated([_gain_cell(row.languages[language], href) for row in rows]) for language in spec.languages
    }
    lines = []
    for number, row in enumerate(rows):
        frozen, tuned = row.seeds
        note = f"frozen: {seeds_in_words(frozen)}; fine-tuned: {seeds_in_words(tuned)}"
        lines.append(
            (
                name_cell(row.backbone),
                family_cell(row.backbone.family),
                Cell(f"{frozen} / {tuned}", href, note=note, order=tuned),
                *_three(row.mean, href),
                *(columns[language][number] for language in spec.languages),
            )
        )
    sources = dict.fromkeys(row.mean.gain.seeds for row in rows)
    legend = tuple(f"{MARKS[source]} {BEHIND[source]}" for source in sources if MARKS[source])
    caption = f"{spec.title}: {metric_of(spec)}, and gains by language; recipes {gains.recipe} and {gains.frozen}"
    return Table(caption, heads, tuple(lines), True, True, legend)
