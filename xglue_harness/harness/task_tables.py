"""Results as people compare them: a table for each task, its languages as columns, in percent.

lm-eval's own table has a line for each language. It stays as it is but for rows that say nothing new
(`xglue_harness.harness.tables`); these stand below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from xglue_harness.benchmark import ALL_GROUP, SOURCE_LANGUAGE, TASKS, TaskSpec
from xglue_harness.columns import aligned
from xglue_harness.records.measures import gains, measures
from xglue_harness.scoring import means

SAME = 1e-9
"""Two scores that differ by less are one number: they were summed in another order."""


@dataclass
class TaskRun:
    """What a run of lm-eval has of one task: languages of one protocol and recipe.

    Attributes:
        spec: the task.
        key: of the recipe; ``None`` where the model was prompted.
        leaves: lm-eval's name of each language, English first, then in the table's order.
        records: what each language's run says of itself, by language.
        metrics: numbers of each language, as lm-eval names them.
    """

    spec: TaskSpec
    key: str | None
    leaves: dict[str, str] = field(default_factory=dict)
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def values(self, name: str) -> dict[str, float]:
        """A number of each language that has it."""
        found = {language: metrics.get(f"{name},none") for language, metrics in self.metrics.items()}
        return {language: float(value) for language, value in found.items() if isinstance(value, int | float)}

    @property
    def measures(self) -> list[str]:
        """Names of what diagnostics and interventions found in any language."""
        return list(dict.fromkeys(name for record in self.records.values() for name in measures(record)))

    @property
    def gains(self) -> set[str]:
        """Those that are differences of two scores."""
        return {name for record in self.records.values() for name in gains(record)}

    @property
    def shared_measures(self) -> list[str]:
        """Those that are one number for all languages, since they are of the encoder."""
        found = {name: self.values(name) for name in self.measures}
        return [name for name, by in found.items() if len(by) == len(self.leaves) > 1 and len(set(by.values())) == 1]

    @property
    def official_differs(self) -> bool:
        """Whether a language's official score is another number than ours."""
        ours, official = self.values("score"), self.values("official")
        return any(abs(official[language] - ours[language]) > SAME for language in official)

    @property
    def marks(self) -> str:
        """What must be known to read the numbers: other data than XGLUE's, and which languages collapsed."""
        records = self.records
        collapsed = [language for language, record in records.items() if record.get("flags", {}).get("collapsed")]
        which = "" if len(collapsed) == len(records) else f": {', '.join(collapsed)}"
        return (
            " [SAMPLE]" * any(record.get("SAMPLE") for record in records.values())
            + " [UNOFFICIAL]" * any(record.get("data", {}).get("unofficial") for record in records.values())
            + f" [COLLAPSED{which}]" * bool(collapsed)
        )


def task_runs(results: Mapping[str, Any]) -> list[TaskRun]:
    """The tasks of ours that have scores among lm-eval's results, in the benchmark's order.

    Args:
        results: what ``simple_evaluate`` returned.
    """
    runs: list[TaskRun] = []
    for name, metrics in results["results"].items():
        record = record_of(results, name)
        if record is None or "score,none" not in metrics:
            continue
        spec, language = TASKS[record["task"]], record["target_language"]
        key = record.get("recipe", {}).get("key")
        alike = (run for run in runs if (run.spec, run.key) == (spec, key) and language not in run.leaves)
        run = next(alike, None)
        if run is None:
            runs.append(run := TaskRun(spec, key))
        run.leaves[language], run.records[language], run.metrics[language] = name, record, metrics
    return sorted(map(_in_order, runs), key=lambda run: [*TASKS].index(run.spec.name))


def record_of(results: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """What a leaf of ours says of its run; ``None`` for all others."""
    record = (results["configs"].get(name, {}).get("metadata") or {}).get("xglue")
    return record if isinstance(record, dict) and record.get("task") in TASKS else None


def _in_order(run: TaskRun) -> TaskRun:
    """The same with English first, then the other languages in the table's order."""
    order = run.spec.languages
    languages = sorted(run.leaves, key=lambda language: (language != SOURCE_LANGUAGE, order.index(language)))
    return TaskRun(
        run.spec,
        run.key,
        leaves={language: run.leaves[language] for language in languages},
        records={language: run.records[language] for language in languages},
        metrics={language: run.metrics[language] for language in languages},
    )


# ---------------------------------------------------------------- tables


def render(results: Mapping[str, Any], width: int) -> str:
    """All tables, an empty line between two; empty where no task of ours has a score.

    Args:
        results: what ``simple_evaluate`` returned.
        width: characters of a line.
    """
    runs = task_runs(results)
    limit = (results.get("config") or {}).get("limit")
    several = {run.spec.name for run in runs if sum(other.spec == run.spec for other in runs) > 1}
    tables = ["\n".join(_table(run, limit, width, named=run.spec.name in several)) for run in runs]
    if ALL_GROUP in results["results"]:
        tables.append("\n".join(_overall(results["results"], runs, width)))
    return "\n\n".join(tables)


def _table(run: TaskRun, limit: object, width: int, *, named: bool) -> Iterator[str]:
    """The lines of a task's table.

    Args:
        run: the task.
        limit: lm-eval's ``--limit``.
        width: characters of a line.
        named: whether the recipe's key tells it from another table.
    """
    protocol = next(iter(run.records.values()))["protocol"]
    some, every = len(run.leaves), len(run.spec.languages)
    count = f"{every} languages" if some == every else f"{some} of {every} languages"
    title = f"{run.spec.title}: {run.spec.metric} in %, {count}, {protocol}"
    recipe = f", recipe {run.key}" if named and run.key else ""
    limited = "" if limit is None else f" [--limit {limit}]"
    yield from wrap(f"{title}{recipe}{run.marks}{limited}", width, subsequent_indent="  ")
    yield from aligned(_rows(run), width)


def _rows(run: TaskRun) -> list[list[str]]:
    """Heads, then scores, standard errors and whatever else differs from language to language."""
    languages = [*run.leaves]
    scores, errors = run.values("score"), run.values("score_stderr")
    error_cells = [_percent(errors.get(language)) for language in languages]
    rows = [["", *languages], ["score", *_cells(scores, languages)], ["± s.e.", *error_cells]]
    if run.official_differs:
        rows.append(["official", *_cells(run.values("official"), languages)])
    several = len(languages) > 1
    if several:
        rows[0] += ["mean", "gap"]
        rows[1] += _mean_and_gap(scores)
        rows[2] += [_percent(means(scores, errors).stderr), ""]
        if run.official_differs:
            rows[3] += _mean_and_gap(run.values("official"))
    for name in run.measures:
        if name not in run.shared_measures:
            values = run.values(name)
            shown = _points if name in run.gains else _number
            mean = [shown(sum(values.values()) / len(values)) if values else "-", ""] * several
            rows.append([name, *(shown(values[one]) if one in values else "-" for one in languages), *mean])
    return rows


def _cells(values: Mapping[str, float], languages: Sequence[str]) -> list[str]:
    return [_percent(values.get(language)) for language in languages]


def _mean_and_gap(values: Mapping[str, float]) -> list[str]:
    """The mean over languages, and how far English is above the mean of the others."""
    found = means(values)
    return [_percent(found.mean), "-" if found.gap is None else _points(found.gap)]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _points(value: float) -> str:
    """A difference of scores, in the unit of their table."""
    return f"{100 * value:+.1f}"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _overall(metrics: Mapping[str, Mapping[str, Any]], runs: Sequence[TaskRun], width: int) -> Iterator[str]:
    """The benchmark's number: the mean over tasks of their means."""
    groups = [*(spec.group for spec in TASKS.values()), ALL_GROUP]
    heads = ["", *(spec.title for spec in TASKS.values()), "mean"]
    marks = [mark for mark in ("[SAMPLE]", "[UNOFFICIAL]") if any(mark in run.marks for run in runs)]
    collapsed = [run.spec.title for run in runs if "COLLAPSED" in run.marks]
    marks += [f"[COLLAPSED: {', '.join(collapsed)}]"] if collapsed else []
    yield from wrap(" ".join([f"XGLUE: mean of {len(TASKS)} tasks in %", *marks]), width, subsequent_indent="  ")
    rows = [heads]
    for name, title in (("score", "score"), ("score_stderr", "± s.e."), ("official", "official")):
        found = [metrics.get(group, {}).get(f"{name},none") for group in groups]
        rows.append([title, *(_percent(value) if isinstance(value, float) else "-" for value in found)])
    if not any(run.official_differs for run in runs):
        rows.pop()
    yield from aligned(rows, width)
