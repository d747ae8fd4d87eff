"""Runs as a table of text: a line for each run of a task, a column for each language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.columns import in_blocks
from xglue_harness.results.run import Run, Score
from xglue_harness.results.series import english_first, series_of
from xglue_harness.scoring import means

SAME = 5e-7
"""Scores that are no further apart are one: they differ by the order of additions only."""

MEANS = ("mean", "±", "gap")


@dataclass(frozen=True)
class ShownTask:
    """A task's lines.

    Attributes:
        title: the task, its metric and what marks the numbers.
        heads: of the columns of names and means, then of each language.
        names: how many of the heads are of names.
        lines: cells, one a head.
        notes: what a reader must know.
    """

    title: str
    heads: tuple[str, ...]
    names: int
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def parts(self, width: int) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
        """Heads and lines of tables that are each no wider than there is room, if one language has room at all.

        Args:
            width: columns of the terminal.
        """
        widths = [max(map(len, column)) + 2 for column in zip(self.heads, *self.lines, strict=True)]
        fixed = sum(widths[: self.names])
        for block in in_blocks([fixed, *widths[self.names :]], width, gap=0):
            places = [*range(self.names), *(self.names - 1 + number for number in block)]
            yield tuple(self.heads[i] for i in places), [tuple(line[i] for i in places) for line in self.lines]


def shown_tasks(runs: Sequence[Run]) -> list[ShownTask]:
    """A table for each task, protocol and kind of data, in the order of the benchmark.

    Scores are in percent. The mean is over the languages that a line has, its standard error over test documents of
    independent languages; the gap is English minus the mean of the others.

    Args:
        runs: any.
    """
    lines: dict[tuple[str, str, str], list[tuple[str, list[Run]]]] = {}
    for series in series_of(runs):
        for members in _lines(series.runs):
            key = (series.spec.name, members[0].protocol, members[0].split)
            lines.setdefault(key, []).append((series.title_within, members))
    return [_table(found) for found in lines.values()]


def _lines(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by file and seed: what was written together."""
    lines: dict[Any, list[Run]] = {}
    for run in runs:
        source = run.source.parent if run.split == "dev" else run.source
        lines.setdefault((source, run.seed), []).append(run)
    return [*lines.values()]


def _table(lines: Sequence[tuple[str, list[Run]]]) -> ShownTask:
    first = lines[0][1][0]
    spec = first.spec
    there = {run.language for _, members in lines for run in members}
    order = english_first(language for language in spec.languages if language in there)
    official = any(_official_differs(run) for _, members in lines for run in members)
    seeds = any(run.seed is not None for _, members in lines for run in members)
    counts = len({len(members) for _, members in lines}) > 1  # else a mean would be read as one of the same languages
    names = ("model", *["seed"] * seeds, *["languages"] * counts)
    means = (*MEANS, *["official"] * official)
    rows = []
    for title, members in lines:
        cells = (title, *[str(members[0].seed)] * seeds, *[str(len(members))] * counts)
        by_language = {run.language: run for run in members}
        rows.append((*cells, *_means(members, official), *(_cell(by_language.get(name)) for name in order)))
    runs = [run for _, members in lines for run in members]
    what = "dev scores after the last epoch" if first.split == "dev" else first.protocol
    title = f"{spec.title} ({spec.metric}, {what})"
    return ShownTask(title, (*names, *means, *order), len(names), tuple(rows), tuple(_notes(spec, runs)))


def _official_differs(run: Run) -> bool:
    return run.official is not None and run.score is not None and abs(run.official - run.score.value) > SAME


def _means(runs: Sequence[Run], official: bool) -> Iterator[str]:
    known = {run.language: run.score for run in runs if run.score is not None}
    if any(run.score is None for run in runs):
        yield from ["-"] * (len(MEANS) + official)
        return
    mark = "!" if any(run.collapsed for run in runs) else ""
    found = means(
        {language: score.value for language, score in known.items()},
        {language: score.stderr for language, score in known.items()},
    )
    yield f"{_percent(found.mean)}{mark}"
    yield _percent(found.stderr)
    yield _percent(found.gap)
    if official:
        all_official = {run.language: run.official for run in runs if run.official is not None}
        yield "-" if any(run.official is None for run in runs) else _percent(means(all_official).mean)


def _cell(run: Run | None) -> str:
    if run is None or run.score is None:
        return "-"
    return f"{_percent(run.score.value)}{'!' * run.collapsed}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _notes(spec: TaskSpec, runs: Sequence[Run]) -> Iterator[str]:
    there = {run.language for run in runs}
    if len(there) < len(spec.languages):
        yield f"{len(there)} of {len(spec.languages)} languages"
    if any(run.sample for run in runs):
        yield "SAMPLE data: a toy; these scores mean nothing"
    if any(run.unofficial for run in runs):
        yield "UNOFFICIAL data: scores do not compare with those on XGLUE"
    limited = [kept for run in runs if run.record and (kept := run.record.predictions) and kept.rows < kept.total]
    if limited:
        yield f"{len(limited)} scores are of some rows only (--limit)"
    if any(run.score is None for run in runs):
        yield "-: not scored"
    if any(run.collapsed for run in runs):
        yield "!: the run failed to learn"


def as_json(run: Run) -> dict[str, Any]:
    """A run without its record: what a program wants of many."""
    kept = None if run.record is None else run.record.predictions
    return {
        "file": str(run.source),
        "name": run.name,
        "task": run.task,
        "language": run.language,
        "split": run.split,
        "protocol": run.protocol,
        "backbone": run.backbone,
        "seed": run.seed,
        "recipe": dict(run.recipe),
        "metric": run.spec.metric,
        "scores": {name: _score(score) for name, score in run.scores.items()},
        "official": run.official,
        "rows": None if kept is None else kept.rows,
        "rows_of_the_test_set": None if kept is None else kept.total,
        "collapsed": run.collapsed,
        "SAMPLE": run.sample,
        "unofficial": [*run.unofficial],
        "predictions": None if run.predictions is None else str(run.predictions),
    }


def _score(score: Score) -> dict[str, float | None]:
    return {"value": score.value, "stderr": score.stderr}
