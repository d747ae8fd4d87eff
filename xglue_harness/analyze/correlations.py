"""Does a diagnostic go with the transfer score? All diagnostics of lm_eval's results, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xglue_harness.analyze.correlate import FACTS, Over, correlate, labels, points, read_results
from xglue_harness.analyze.output import DataMark, Output
from xglue_harness.analyze.summary import Summary, number, short_name
from xglue_harness.benchmark import TASKS


def analyze_correlations(results: Sequence[Path], over: Over, seed: int, out: Output) -> Summary:
    """Correlate every diagnostic with the score; table, figures and record are written.

    Args:
        results: lm_eval's results files, or folders of them.
        over: what a point is.
        seed: of the permutations.
        out: where to.

    Raises:
        DataError: as `read_results`.
    """
    rows = read_results(results)
    unofficial = any(row["unofficial"] for row in rows)
    out.data = DataMark("SAMPLE" if rows[0]["sample"] else "UNOFFICIAL" if unofficial else "XGLUE")
    table: list[dict[str, Any]] = []
    shown: dict[str, list[dict[str, Any]]] = {}
    for diagnostic in sorted({name for row in rows for name in row if name not in FACTS}):
        means = points(rows, diagnostic, over)
        if over == "languages" and _same_in_all_languages(means, diagnostic):
            continue
        correlations = correlate(means, diagnostic, seed=seed)
        table += correlations
        shown[diagnostic] = means
        if not _is_scatter(means):
            continue
        named = [{**row, "model": name} for row, name in zip(means, labels(means), strict=True)]
        measured = [{**row, "metric": TASKS[row["task"]].metric} for row in correlations]
        out.figure(f"correlate_{diagnostic}", "correlation", named, measured, x=diagnostic, title=_title(means))
    out.table("correlate", table)
    facts = {"over": over, "results": [str(path) for path in results], "seed": seed, "points": shown}
    out.record("correlate", torch.device("cpu"), facts)
    summary = _summary(table, sorted({f"{row['model']} ({row['recipe']})" for row in rows if row["recipe"]}))
    if alone := [name for name, means in shown.items() if not _is_scatter(means)]:
        way = "give results of more models" + (", or --over languages" if over == "models" else "")
        line = f"no figure of {', '.join(alone)}: a scatter needs two points, and no task has more than one; {way}"
        summary.remark = "\n".join(filter(None, (summary.remark, line)))
    return summary


def _is_scatter(means: Sequence[dict[str, Any]]) -> bool:
    """Whether any task has two points."""
    tasks = [row["task"] for row in means]
    return len(tasks) > len({*tasks})


def _title(means: Sequence[dict[str, Any]]) -> str:
    """What the points of a figure are, where their names don't say it."""
    models = {row["model"] for row in means}
    if any(row["language"] is None for row in means):
        return "Models: means over the languages but that of the training"
    return f"Languages of {short_name(models.pop())}" if len(models) == 1 else "Languages of each model"


def _same_in_all_languages(means: Sequence[dict[str, Any]], diagnostic: str) -> bool:
    models = [(row["task"], row["model"], row["recipe"]) for row in means]
    values = [row[diagnostic] for row in means]
    return len({*zip(models, values, strict=True)}) <= len({*models})


def _summary(table: Sequence[dict[str, Any]], recipes: Sequence[str]) -> Summary:
    """All correlations.

    Args:
        table: of `correlate`.
        recipes: models with their recipes, where those of a model differ.
    """
    summary = Summary(
        ("task", "diagnostic", "rho", "p", "models", "points", "permutations"),
        "Spearman's rho with the score, two-sided permutation p; - where 4 points are not there or do not differ",
        remark=f"recipes that differ are points of their own: {'; '.join(recipes)}" if recipes else "",
    )
    for row in table:
        counts = (str(row[name]) for name in ("models", "points", "permutations"))
        summary.add(row["task"], row["diagnostic"], number(row["rho"], 3), number(row["p"], 4), *counts)
    return summary
