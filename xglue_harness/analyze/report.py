"""One page for a set of runs: scores, measures and whether they go together, interventions, what can't be concluded."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xglue_harness.analyze.output import DataMark, Kind, Output
from xglue_harness.analyze.report_limits import limits
from xglue_harness.analyze.report_measures import (
    Intervened,
    LayerValue,
    Measured,
    interventions,
    layer_values,
    measures,
)
from xglue_harness.analyze.report_models import Association, Table, adjusted, associate
from xglue_harness.analyze.report_scores import Number, ScoreLine, score_line
from xglue_harness.analyze.summary import Summary
from xglue_harness.analyze.summary import number as shown
from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.errors import DataError
from xglue_harness.results.reading import read_runs
from xglue_harness.results.run import Run
from xglue_harness.results.series import Series, series_of


@dataclass(frozen=True)
class Report:
    """All that a page says.

    Attributes:
        mark: what the numbers rest on.
        lines: scores, by task in the order of the benchmark.
        measures: diagnostics by language.
        layers: the same by layer.
        points: how they and the scores lie, by task and measure.
        associations: whether they go together.
        interventions: what they did.
        limits: what can't be concluded.
    """

    mark: DataMark
    lines: tuple[ScoreLine, ...]
    measures: tuple[Measured, ...]
    layers: tuple[LayerValue, ...]
    points: dict[tuple[str, str], Table]
    associations: tuple[Association, ...]
    interventions: tuple[Intervened, ...]
    limits: tuple[str, ...]


def report_of(results: Sequence[Path], seed: int = 0) -> Report:
    """Put together what some results say.

    Args:
        results: files of lm_eval, folders of them, or a leaderboard's tree.
        seed: of the permutations.

    Raises:
        DataError: where there is no test score, the SAMPLE stands beside real data, one task and language has two test
            sets, or a run is given twice.
    """
    read = read_runs(results)
    runs = [run for run in read if run.split == "test" and run.score is not None]
    if not runs:
        raise DataError("no test scores here, which a report is of: give results that lm_eval wrote with --output_path")
    _check_data(runs)
    lines = tuple(score_line(series) for series in _told_apart(runs))
    found = tuple(item for line in lines for item in measures(line.series))
    points = _points(lines, found)
    associations = tuple(adjusted([associate(*key, table, seed=seed) for key, table in points.items()]))
    done = tuple(item for line in lines for item in interventions(line.series))
    numbers = [cell for line in lines for cell in line.cells.values()]
    numbers += [item.number for item in found] + [item.gain for item in done]
    without = len(read) - len(runs)
    left_out = [f"Anything of {without} runs without a test score, which are left out."] if without else []
    unofficial = list(dict.fromkeys(split for run in runs for split in run.unofficial))
    kind: Kind = "SAMPLE" if runs[0].sample else "UNOFFICIAL" if unofficial else "XGLUE"
    return Report(
        DataMark(kind, unofficial),
        lines,
        found,
        tuple(item for line in lines for item in layer_values(line.series)),
        points,
        associations,
        done,
        tuple(limits(lines, associations, done, numbers, left_out)),
    )


def _told_apart(runs: Sequence[Run]) -> Iterator[Series]:
    """Series whose titles differ within a task: those of other protocols than fine-tuning say it."""
    taken: Counter[tuple[str, str]] = Counter()
    for series in series_of(runs):
        protocol = series.runs[0].protocol
        title = series.title if protocol == "finetune" else f"{series.title} ({protocol})"
        taken[series.spec.name, title] += 1
        count = taken[series.spec.name, title]
        yield dataclasses.replace(series, title=title if count == 1 else f"{title} ({count})")


def _check_data(runs: Sequence[Run]) -> None:
    if len({run.sample for run in runs}) > 1:
        raise DataError("results on the SAMPLE and on real data can't stand in one report: leave one kind out")
    tests: dict[tuple[str, str], tuple[str, Run]] = {}
    for run in runs:
        files = {} if run.record is None else run.record.data.files
        test = files.get(run.spec.path("test", run.language))
        if test is None:
            continue
        first, other = tests.setdefault((run.task, run.language), (test, run))
        if test != first:
            raise DataError(f"{run}: another test set of {run.task} {run.language} than {other}: leave one kind out")


def _points(lines: Sequence[ScoreLine], found: Sequence[Measured]) -> dict[tuple[str, str], Table]:
    """Measure and score (percent) by task and measure, then by series and language; English is left out.

    A measure that is the same in all languages of every series, such as one of weights, goes with no language's score.
    """
    scores = {(id(line.series), language): cell.value for line in lines for language, cell in line.cells.items()}
    tables: dict[tuple[str, str], dict[str, dict[str, tuple[float, float]]]] = defaultdict(lambda: defaultdict(dict))
    for item in found:
        if item.language != SOURCE_LANGUAGE:
            score = 100 * scores[id(item.series), item.language]
            own = tables[item.series.spec.name, item.name][item.series.title]
            own[item.language] = (item.number.value, score)
    return {
        key: table
        for key, table in tables.items()
        if any(len({value for value, _ in own.values()}) > 1 or len(own) == 1 for own in table.values())
    }


def analyze_report(results: Sequence[Path], seed: int, out: Output) -> Summary:
    """Write ``report.html``, ``report.pdf``, a tidy table and a record.

    Args:
        results: as `report_of`.
        seed: of the permutations.
        out: where to.

    Raises:
        DataError: as `report_of`.
    """
    from xglue_harness.analyze.report_page import figures_of, page, write_pdf

    report = report_of(results, seed)
    out.data = report.mark
    figures = [] if out.plots is None else figures_of(report)
    out.text("report.html", page(report, figures))
    if out.plots is not None:
        out.written.append(write_pdf(report, figures, out.folder / "report.pdf"))
    out.table("report", [*tidy(report)])
    files = {str(run.source) for line in report.lines for run in line.series.runs}
    hashes = {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in sorted(files)}
    facts = {
        "results": hashes,
        "seed": seed,
        "associations": [dataclasses.asdict(item) for item in report.associations],
        "limits": report.limits,
    }
    out.record("report", torch.device("cpu"), facts)
    return _summary(report)


def tidy(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each number of a report; scores and gains are from 0 to 1.

    Args:
        report: any.
    """
    for line in report.lines:
        place = (line.series.spec.name, line.series.title)
        for language, cell in line.cells.items():
            yield _row("score", *place, language, None, line.series.spec.metric, cell)
        for name, number in (("mean of the others", line.targets), ("transfer gap", line.gap)):
            if number is not None:
                yield _row("score", *place, None, None, name, number)
    for item in report.measures:
        yield _row("measure", item.series.spec.name, item.series.title, item.language, None, item.name, item.number)
    for value in report.layers:
        place = (value.series.spec.name, value.series.title)
        yield _row("measure by layer", *place, value.language, value.layer, value.name, value.number)
    for done in report.interventions:
        place = (done.series.spec.name, done.series.title)
        for what, number in (("gain", done.gain), ("control", done.control), ("beyond control", done.beyond)):
            of = "" if done.language else ", mean of the others"
            yield _row("intervention", *place, done.language, done.layer, f"{done.name}: {what}{of}", number)


def _row(
    section: str, task: str, run: str, language: str | None, layer: int | None, name: str, number: Number
) -> dict[str, Any]:
    place = {"section": section, "task": task, "run": run, "language": language, "layer": layer, "name": name}
    ends = {"low": number.low, "high": number.high}
    return {**place, "value": number.value, **ends, "seeds": number.seeds, "interval_over": number.over}


def _summary(report: Report) -> Summary:
    summary = Summary(
        ("task", "measure", "slope (95%)", "p", "p (Holm)", "languages", "backbones"),
        "points of score for one standard deviation of the measure, across languages within backbones; - is too few",
        remark="\n".join(["What can't be concluded from these runs:", *(f"- {text}" for text in report.limits)]),
    )
    for item in report.associations:
        ends = "" if item.low is None or item.high is None else f" ({item.low:+.2f} to {item.high:+.2f})"
        slope = "-" if item.slope is None else f"{item.slope:+.2f}{ends}"
        counts = (str(len(item.languages)), str(item.backbones))
        summary.add(TASKS[item.task].title, item.measure, slope, shown(item.p, 4), shown(item.p_holm, 4), *counts)
    return summary
