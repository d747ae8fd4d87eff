"""Averages of groups, as XGLUE defines them.

A task's number is the mean over its languages and the benchmark's number the mean over the tasks' numbers (Liang et
al. 2020, section 4). lm-eval's nested groups average all leaves instead, so POS with its 18 languages would weigh six
times as much as QAM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xglue_harness.benchmark import ALL_GROUP
from xglue_harness.metrics import group_stderr
from xglue_harness.records.measures import measures

SAMPLE_MARK = " [SAMPLE]"
UNOFFICIAL_MARK = " [UNOFFICIAL]"
COLLAPSED_MARK = " [COLLAPSED]"
SCORE = "score,none"


def means(children: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """Plain means of metrics and their standard errors, ``sqrt(sum se²) / n`` for independent test sets.

    Args:
        children: the aggregated metrics of each task or group below.
        names: of the metrics, which all of them have.

    Returns:
        As lm-eval names them; a standard error is ``"N/A"`` where a child has none.
    """
    averages: dict[str, Any] = {}
    for name in names:
        value, stderr = f"{name},none", f"{name}_stderr,none"
        errors = [child.get(stderr, "N/A") for child in children]
        known = all(isinstance(error, float) for error in errors)
        averages[value] = sum(child[value] for child in children) / len(children)
        averages[stderr] = group_stderr(errors) if known else "N/A"
    return averages


def diagnosed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over languages of what diagnostics and interventions found.

    Standard errors are not known, for languages share sentences.

    Args:
        runs: the record of each language's run.
    """
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, (value, _) in measures(run).items():
            values.setdefault(name, []).append(value)
    averages = {f"{name},none": sum(numbers) / len(numbers) for name, numbers in values.items()}
    return {**averages, **{f"{name}_stderr,none": "N/A" for name in values}}


def adjust(group: Any, metrics: dict[str, Any], task_metrics: dict[str, Any]) -> dict[str, Any]:
    """Correct what lm-eval aggregated for a group of ours; other groups pass unchanged.

    Args:
        group: the lm-eval ``Group``.
        metrics: what lm-eval computed for it.
        task_metrics: metrics of all tasks and of the groups below, by name.
    """
    if group.name == ALL_GROUP and SCORE in metrics:
        children = [task_metrics[child.name] for child in group.get_all_groups(recursive=False)]
        metrics = {**metrics, **means(children, ("score", "official"))}
    elif SCORE in metrics:
        ours = [task for task in group.get_all_tasks() if hasattr(task, "protocol")]
        names = dict.fromkeys(name for task in ours for name in task.protocol.metrics)
        metrics = {**metrics, **means([task_metrics[_name(task)] for task in ours], names)}
        metrics |= diagnosed([task.run for task in ours])
    if marks := marks_of(group.get_all_tasks()):
        metrics = {**metrics, "alias": f"{metrics['alias']}{marks}"}
    return metrics


def _name(task: Any) -> str:
    """A task's name among those of a run; lm-eval 0.5 puts that of a user's own group before it."""
    return str(getattr(task, "_qualified_name", None) or task.task_name)


def marks_of(tasks: Iterable[Any]) -> str:
    """What the tables say beside a name: the toy or other data than XGLUE's, a collapsed model, the protocol."""
    tasks = list(tasks)
    sample = any(getattr(task, "is_sample", False) for task in tasks)
    unofficial = any(getattr(task, "is_unofficial", False) for task in tasks)
    collapsed = any(getattr(task, "is_collapsed", False) for task in tasks)
    protocols = dict.fromkeys(task.protocol.name for task in tasks if hasattr(task, "protocol"))
    data = SAMPLE_MARK * sample + UNOFFICIAL_MARK * unofficial
    return data + COLLAPSED_MARK * collapsed + "".join(f" [{name}]" for name in protocols)
