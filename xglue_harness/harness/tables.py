"""What lm-eval prints of a run of ours: its own table without the rows that say nothing new, then ours.

The results JSON keeps every number. ``XGLUE_TABLE=off`` leaves lm-eval's tables as they are, and has none of ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from xglue_harness.benchmark import ALL_GROUP, TASKS
from xglue_harness.columns import line_width
from xglue_harness.errors import RecipeError
from xglue_harness.harness.groups import diagnosed, means
from xglue_harness.harness.task_tables import SAME, TaskRun, record_of, render, task_runs

VARIABLE = "XGLUE_TABLE"
_GROUPS = {ALL_GROUP, *(spec.group for spec in TASKS.values())}


def is_wanted() -> bool:
    """Whether tables are printed our way.

    Raises:
        RecipeError: for another value of the variable than ``off``.
    """
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "off"):
        raise RecipeError(f"{VARIABLE}={value}: set it to off, which leaves lm-eval's tables as they are, or unset it")
    return not value


def printed(
    make_table: Callable[[Mapping[str, Any], str, bool], str], results: Mapping[str, Any], column: str, order: bool
) -> str:
    """A table of lm-eval's, and after the last one ours.

    Args:
        make_table: lm-eval's.
        results: what ``simple_evaluate`` returned; it stays as it is.
        column: ``results``, or ``groups``, which is asked for second, where there is one.
        order: whether rows are sorted.
    """
    if not is_wanted() or not any(record_of(results, name) for name in results["configs"]):
        return make_table(results, column, order)
    parts = []
    if column == "results":
        parts.append(make_table(shortened(results), column, order))
    elif others := {name: group for name, group in results[column].items() if name not in _GROUPS}:
        parts.append(make_table({**results, column: others}, column, order))
    if column == "groups" or "groups" not in results:
        parts.append(render(results, line_width()))
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def shortened(results: Mapping[str, Any]) -> dict[str, Any]:
    """Results for lm-eval's table: each number once, and a mean over leaves of a task that were chosen by hand.

    Args:
        results: what ``simple_evaluate`` returned; it stays as it is.
    """
    rows = {name: dict(metrics) for name, metrics in results["results"].items()}
    short: dict[str, Any] = {key: results.get(key, {}) for key in ("group_subtasks", "versions", "n-shot")}
    short["higher_is_better"] = results.get("higher_is_better", {})
    for number, run in enumerate(task_runs(results)):
        above: str | None = run.spec.group if run.spec.group in rows else None
        if above is None and _is_chosen_by_hand(run, short["group_subtasks"]):
            above = f"{run.spec.group} {number}"
            rows[above] = _mean_row(run)
            _place(short, above, run)
        for name in run.shared_measures if above is not None else ():
            for leaf in run.leaves.values():
                _drop(rows[leaf], name)
        for shown in [*run.leaves.values(), *([above] if above else [])]:
            _drop_repeated(rows[shown], run.spec.metric)
    if ALL_GROUP in rows:
        _drop_repeated(rows[ALL_GROUP], "score")
    return {**results, **short, "results": rows}


def _is_chosen_by_hand(run: TaskRun, subtasks: Mapping[str, list[str]]) -> bool:
    """Whether a task's leaves are several, and no group has any of them."""
    in_groups = {child for children in subtasks.values() for child in children}
    return len(run.leaves) > 1 and not in_groups & {*run.leaves.values()}


def _mean_row(run: TaskRun) -> dict[str, Any]:
    """What lm-eval's table shows for the leaves together, as for a group of ours."""
    children = [*run.metrics.values()]
    common = set.intersection(*({key for key in child if key.endswith(",none")} for child in children))
    names = {key.removesuffix(",none") for key in common} - {*run.measures}
    own = sorted(
        name for name in names if not name.endswith("_stderr") and isinstance(children[0][f"{name},none"], float)
    )
    marks = f"{run.marks} [{next(iter(run.records.values()))['protocol']}]"
    alias = f"{run.spec.group}: mean of {len(run.leaves)} of {len(run.spec.languages)}{marks}"
    return {"alias": alias, **means(children, own), **diagnosed([dict(record) for record in run.records.values()])}


def _place(short: dict[str, Any], name: str, run: TaskRun) -> None:
    """Put a row of means above its leaves."""
    first, leaves = next(iter(run.leaves.values())), [*run.leaves.values()]
    short["group_subtasks"] = {**short["group_subtasks"], name: leaves}
    for key in ("versions", "n-shot", "higher_is_better"):
        short[key] = {**short[key], **({name: short[key][first]} if first in short[key] else {})}


def _drop_repeated(row: dict[str, Any], metric: str) -> None:
    """Let ``score`` and ``official`` go where they are the metric's number again."""
    value = row.get(f"{metric},none")
    for name in ("score", "official"):
        other = row.get(f"{name},none")
        if name != metric and isinstance(value, float) and isinstance(other, float) and abs(other - value) < SAME:
            _drop(row, name)


def _drop(row: dict[str, Any], name: str) -> None:
    row.pop(f"{name},none", None)
    row.pop(f"{name}_stderr,none", None)
