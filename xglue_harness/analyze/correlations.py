"""Does a diagnostic go with the transfer score? All diagnostics of lm_eval's results, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xglue_harness.analyze.correlate import FACTS, Over, correlate, labels, points, read_results
from xglue_harness.analyze.output import DataMark, Output
from xglue_harness.analyze.summary import Summary, number


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
        named = [{**row, "model": name} for row, name in zip(means, labels(means), strict=True)]
        out.figure(f"correlate_{diagnostic}", "correlation", named, correlations, x=diagnostic)
    out.table("correlate", table)
    facts = {"over": over, "results": [str(path) for path in results], "seed": seed, "points": shown}
    out.record("correlate", torch.device("cpu"), facts)
    return _summary(table, sorted({f"{row['model']} ({row['recipe']})" for row in rows if row["recipe"]}))


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
