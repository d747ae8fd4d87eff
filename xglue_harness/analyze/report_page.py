"""A report as a page of HTML and as a PDF: the same sections, tables and figures in both."""

from __future__ import annotations

import logging
import textwrap
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.analyze.report_tables import Section, Sheet, sections_of
from xglue_harness.atomic import replacing
from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.columns import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xglue_harness.analyze.report import Report

logger = logging.getLogger(__name__)

TITLE = "Does alignment go with transfer?"
PIXELS = 115
"""Of the page for an inch of a figure, whose text is of 6 to 8 points."""


@dataclass(frozen=True)
class Drawn:
    """A figure of a report.

    Attributes:
        section: key of the section that it stands in.
        caption: what it shows.
        figure: matplotlib's.
    """

    section: str
    caption: str
    figure: Figure


def figures_of(report: Report) -> list[Drawn]:
    """All figures that a report allows; the log says why one is left out.

    Args:
        report: any.
    """
    from xglue_analysis import report_plots, results_plots

    mark = f"[{report.mark.kind}]" if report.mark.warning else None
    scores = [*_score_rows(report)]
    wanted: list[tuple[str, str, Callable[[], Figure]]] = [
        (
            "scores",
            "Scores by language; bars are 95% intervals.",
            partial(results_plots.language_scores, scores, title=mark),
        )
    ]
    for (task, title), rows in _layer_rows(report).items():
        banded = len({row["language"] for row in rows}) <= report_plots.BANDED and any(row["low"] for row in rows)
        caption = f"{task}, {title}: measures by layer; 0 is the embeddings" + "; bands are 95% intervals" * banded
        wanted.append(("layers", f"{caption}.", partial(report_plots.measures_by_layer, rows, title=mark)))
    for measure, rows in _point_rows(report).items():
        caption = f"Scores against {measure}, means over trainings."
        draw = partial(results_plots.score_against, rows, measure="value", label=plain(measure), title=mark)
        wanted.append(("associations", caption, draw))
    for title, rows in _gain_rows(report).items():
        caption = f"{title}: what interventions and their controls do to scores."
        wanted.append(("interventions", caption, partial(report_plots.gains, rows, title=mark)))
    drawn = []
    for section, caption, make in wanted:
        try:
            drawn.append(Drawn(section, caption, make()))
        except ValueError as error:
            logger.warning("no figure (%s): %s", caption, error)
    return drawn


def page(report: Report, figures: Sequence[Drawn]) -> str:
    """The page of HTML, which needs no other file; every text is escaped.

    Args:
        report: what it says.
        figures: of `figures_of`; none where matplotlib is not there.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    svgs: dict[str, list[tuple[str, Markup, int]]] = defaultdict(list)
    for place, drawn in enumerate(figures):
        from xglue_analysis.report_plots import inline_svg

        svg = Markup(inline_svg(drawn.figure, f"f{place}"))  # noqa: S704 (matplotlib's, which escapes texts)
        svgs[drawn.section].append((drawn.caption, svg, round(PIXELS * drawn.figure.get_figwidth())))
    return template.render(
        title=TITLE, warning=_warning(report), sections=sections_of(report), figures=svgs, with_figures=bool(figures)
    )


def _warning(report: Report) -> str:
    """What the data are; the sets with other numbers of rows are told by the last section."""
    return report.mark.warning.partition(";")[0]


def write_pdf(report: Report, figures: Sequence[Drawn], path: Path) -> Path:
    """The same as a PDF: tables as text, then each figure on a page of its own.

    Args:
        report: what it says.
        figures: of `figures_of`.
        path: where to.

    Raises:
        OSError: it can't be written.
    """
    from xglue_analysis.report_plots import LETTERS, pages_of_text, save_pdf

    lines = [TITLE, "", *filter(None, [_warning(report)])]
    for section in sections_of(report):
        lines += ["", section.title, "=" * len(section.title), *_wrapped(section, LETTERS)]
    lines = [part for line in lines for part in textwrap.wrap(line, LETTERS, replace_whitespace=False) or [""]]
    pages = [*pages_of_text(lines), *(drawn.figure for drawn in figures)]
    with replacing(path) as temporary:
        save_pdf(pages, temporary, TITLE)
    return path


def _wrapped(section: Section, room: int) -> list[str]:
    lines = [part for text in section.texts for part in textwrap.wrap(text, room)]
    for item in section.items:
        lines += textwrap.wrap(item, room, initial_indent="- ", subsequent_indent="  ")
    for sheet in section.sheets:
        lines += ["", *textwrap.wrap(sheet.title, room), *_table(sheet, room)]
    return lines


def _table(sheet: Sheet, room: int) -> list[str]:
    return aligned([sheet.heads, *sheet.rows], room)


def plain(text: str) -> str:
    r"""A text for a figure, where ``$`` would begin a formula."""
    return text.replace("$", r"\$")


def _score_rows(report: Report) -> list[dict[str, Any]]:
    rows = []
    for line in report.lines:
        spec = line.series.spec
        facts = {"task": spec.title, "metric": spec.metric, "run": plain(line.series.title)}
        for language, cell in line.cells.items():
            ends = {"low": _percent(cell.low), "high": _percent(cell.high)}
            row = {**facts, "language": language, "score": 100 * cell.value, **ends, "chance": None}
            trained = [run.training.chance for run in line.series.runs if run.training is not None]
            if language == SOURCE_LANGUAGE and trained and None not in trained:
                row["chance"] = 100 * max(chance for chance in trained if chance is not None)
            rows.append(row)
    return rows


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _layer_rows(report: Report) -> dict[tuple[str, str], list[dict[str, Any]]]:
    figures: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for item in report.layers:
        ends = {"low": item.number.low, "high": item.number.high}
        row = {"measure": plain(item.name), "language": item.language, "layer": item.layer, "value": item.number.value}
        figures[item.series.spec.title, item.series.title].append({**row, **ends})
    return figures


def _point_rows(report: Report) -> dict[str, list[dict[str, Any]]]:
    """By measure; tasks with one point have none."""
    figures: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (task, measure), table in report.points.items():
        spec = TASKS[task]
        rows: list[dict[str, Any]] = [
            {
                "task": spec.title,
                "metric": spec.metric,
                "run": plain(title),
                "language": language,
                "value": value,
                "score": score,
            }
            for title, own in table.items()
            for language, (value, score) in own.items()
        ]
        if len(rows) > 1:
            figures[measure] += rows
    return figures


def _gain_rows(report: Report) -> dict[str, list[dict[str, Any]]]:
    figures: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in report.interventions:
        panel = f"{item.name}, layer {item.layer}"
        for what, number in (("intervention", item.gain), ("control", item.control)):
            ends = {"low": _percent(number.low), "high": _percent(number.high)}
            row = {
                "panel": panel,
                "language": item.language or "mean",
                "what": what,
                "gain": 100 * number.value,
                **ends,
            }
            figures[f"{item.series.spec.title}, {item.series.title}"].append(row)
    return figures
