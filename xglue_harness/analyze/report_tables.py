"""The sections of a report in words: what its page and its PDF print."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from xglue_harness.analyze.report_models import LEAST_BACKBONES, LEAST_LANGUAGES
from xglue_harness.analyze.report_scores import Number, ScoreLine
from xglue_harness.benchmark import TASKS
from xglue_harness.results.series import english_first

if TYPE_CHECKING:
    from xglue_harness.analyze.report import Report
    from xglue_harness.analyze.report_measures import Intervened


@dataclass(frozen=True)
class Sheet:
    """A table in words.

    Attributes:
        title: what it is of.
        heads: of the columns; the first names the rows.
        rows: cells.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        key: what figures are put into it by.
        title: above it.
        texts: paragraphs: how to read it.
        sheets: tables.
        items: sentences of a list.
    """

    key: str
    title: str
    texts: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    items: tuple[str, ...] = ()


def sections_of(report: Report) -> list[Section]:
    """All sections, the last of which says what can't be concluded.

    Args:
        report: any.
    """
    return [
        Section(
            "scores",
            "Scores and transfer gap",
            (
                "In percent, means over trainings, with 95% intervals over trainings and test rows; * over the test "
                "rows of one training only; † over trainings only. The gap is English less the mean of the others.",
            ),
            tuple(_scores(report)),
        ),
        Section(
            "measures",
            "Measures by language",
            ("Diagnostics of the fine-tuned encoders: means over the layers above the embeddings, and over trainings.",)
            if report.measures
            else ("No run has diagnostics.",),
            tuple(_measures(report)),
        ),
        Section(
            "layers",
            "Measures by layer",
            ("Means over trainings; the table report has the numbers, with their intervals.",)
            if report.layers
            else ("No record has measures by layer.",),
        ),
        Section(
            "associations",
            "Do measures and scores go together across languages?",
            ("No run has diagnostics.",)
            if not report.associations
            else (
                "The slope is in points of score for one standard deviation of the measure, across the languages "
                "that all backbones have but English, within backbones (a mixed model with the backbone as random "
                "effect; measures are centred in each). Its interval is from leaving out one language at a time. p "
                "is from shuffling languages in the same way in all backbones, which share what is hard about a "
                "language; the model's own standard error takes them for independent. p (Holm) is adjusted for all "
                "rows of the table. A recipe of a backbone counts as a backbone.",
                f"No slope stands on fewer than {LEAST_LANGUAGES} languages, no mixed model on fewer than "
                f"{LEAST_BACKBONES} backbones; with one or two the slope is that within them.",
            ),
            tuple(_associations(report)),
        ),
        Section(
            "interventions",
            "What happens when states no longer tell their language",
            (
                "center moves each language's mean state onto English's at evaluation, erase removes what tells "
                "languages apart by a linear map; the control does as much in a random direction or subspace. Gains "
                "are in points of score, paired by test row; what counts is the gain beyond the control.",
            )
            if report.interventions
            else ("""No run has interventions: --metadata '{"intervene": ["center", "erase"]}' makes them.""",),
            tuple(_interventions(report)),
        ),
        Section("limits", "What can't be concluded from these runs", items=report.limits),
    ]


def _scores(report: Report) -> Iterator[Sheet]:
    """A table for each task: a row a language, a column a run."""
    for task, group in groupby(report.lines, key=lambda line: line.series.spec.name):
        lines = [*group]
        there = {language for line in lines for language in line.cells}
        languages = english_first([language for language in TASKS[task].languages if language in there])
        rows = [(language, *(percent(line.cells.get(language)) for line in lines)) for language in languages]
        rows.append(("mean of the others", *(percent(line.targets) for line in lines)))
        rows.append(("transfer gap", *(percent(line.gap) for line in lines)))
        rows.append(("seeds", *(str(len({run.seed for run in line.series.runs})) for line in lines)))
        rows.append(("collapsed seeds", *(str(_collapsed(line)) for line in lines)))
        title = f"{TASKS[task].title} ({TASKS[task].metric})"
        yield Sheet(title, ("language", *(line.series.title for line in lines)), tuple(rows))


def _collapsed(line: ScoreLine) -> int:
    return len({run.seed for run in line.series.runs if run.collapsed})


def _measures(report: Report) -> Iterator[Sheet]:
    """A table for each run and task: a row a language, a column a measure."""
    for series, group in groupby(report.measures, key=lambda item: item.series):
        items = [*group]
        names = [*dict.fromkeys(item.name for item in items)]
        cells = {(item.language, item.name): item.number for item in items}
        languages = [*dict.fromkeys(item.language for item in items)]
        rows = tuple((language, *(plain(cells.get((language, name))) for name in names)) for language in languages)
        yield Sheet(f"{series.spec.title}, {series.title}", ("language", *names), rows)


def _associations(report: Report) -> Iterator[Sheet]:
    if not report.associations:
        return
    heads = ("task and measure", "slope", "95% interval", "p", "p (Holm)", "r", "languages", "backbones")
    mixed = ("model's s.e.", "s.d. between", "s.d. within", "note")
    rows = []
    for item in report.associations:
        model = item.mixed
        numbers = (None, None, None) if model is None else (model.stderr, model.between, model.within)
        rows.append(
            (
                f"{TASKS[item.task].title} {item.measure}",
                _number(item.slope, "+.2f"),
                "–" if item.low is None or item.high is None else f"{item.low:+.2f} to {item.high:+.2f}",
                _number(item.p, ".4f"),
                _number(item.p_holm, ".4f"),
                _number(item.correlation, "+.2f"),
                str(len(item.languages)),
                str(item.backbones),
                *(_number(value, ".2f") for value in numbers),
                item.note,
            )
        )
    yield Sheet("Slopes", (*heads, *mixed), tuple(rows))


def _interventions(report: Report) -> Iterator[Sheet]:
    heads = ("language", "score before", "gain", "control's gain", "beyond control", "moved by", "rank", "seeds")
    groups: dict[tuple[int, str, int], list[Intervened]] = defaultdict(list)
    for item in report.interventions:
        groups[id(item.series), item.name, item.layer].append(item)
    for (_, name, layer), group in groups.items():
        rows, series = [], group[0].series
        for item in group:
            ranks = "–" if None in item.rank else "/".join(map(str, dict.fromkeys(item.rank)))
            gains = (signed(number) for number in (item.gain, item.control, item.beyond))
            shown = (f"{100 * item.before:.2f}", *gains, f"{item.length:.3g}", ranks, str(item.gain.seeds))
            rows.append((item.language or "mean of the others", *shown))
        yield Sheet(f"{series.spec.title}, {series.title}: {name}, layer {layer}", heads, tuple(rows))


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def percent(number: Number | None) -> str:
    """A share in percent, with its interval and what that is over."""
    return _with_interval(number, 100, ".2f")


def signed(number: Number) -> str:
    """A difference of shares in percentage points."""
    return _with_interval(number, 100, "+.2f")


def plain(number: Number | None) -> str:
    """A measure as it is."""
    return _with_interval(number, 1, ".4g")


def _with_interval(number: Number | None, scale: float, form: str) -> str:
    if number is None:
        return "–"
    text = format(scale * number.value, form)
    if number.low is None or number.high is None:
        return text
    ends = " to ".join(format(scale * end, form) for end in (number.low, number.high))
    mark = {"rows": "*", "trainings": "†"}.get(number.over, "")
    return f"{text} ({ends}){mark}"
