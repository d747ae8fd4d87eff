"""Does a diagnostic go with the transfer score? Rank correlation over models, or over languages within models."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata

from xglue_harness.errors import DataError
from xglue_harness.results.files import read_runs

Over = Literal["models", "languages"]
Group = tuple[Sequence[float], Sequence[float]]

PERMUTATIONS = 10_000
LEAST = 4
"""Points below which no p-value says anything: 4 points have 24 orders."""


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """One row for each model, seed, task and language of lm_eval's results files that have diagnostics.

    Args:
        paths: JSON files, or folders that are searched for ``results*.json``.

    Returns:
        ``model``, ``seed``, ``task``, ``language``, ``source``, ``sample``, ``score`` and the diagnostics by name.

    Raises:
        DataError: for a file that is none of lm_eval's, no diagnostics at all, sample data beside real ones, or one
            model, seed, task and language twice.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in read_runs(paths):
        if (row := _row_of(run.record)) is None:
            continue
        key = tuple(row[name] for name in ("model", "seed", "task", "language"))
        if key in rows:
            raise DataError(f"{run.file}: {' '.join(map(str, key))} stands in two results files: give one of them")
        rows[key] = row
    if not rows:
        raise DataError(
            f"no diagnostics in {', '.join(map(str, paths)) or 'nothing'}: run lm_eval with --output_path and "
            """--metadata '{"diagnostics": ["cka", "spectra"]}'"""
        )
    if len({row["sample"] for row in rows.values()}) > 1:
        raise DataError("results on the SAMPLE and on real data can't be compared: leave one kind out")
    return list(rows.values())


def _row_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's row; ``None`` where it has no diagnostics or no score."""
    if not record.get("diagnostics"):
        return None
    score = record["selection"]["scores"][record["selection"]["rule"]]["score"]
    if score is None:
        return None
    facts = {
        "model": record["backbone"]["name"],
        "seed": record["recipe"]["seed"],
        "task": record["task"],
        "language": record["target_language"],
        "source": record["source_language"],
        "sample": record["SAMPLE"],
    }
    metrics = {name: metric["value"] for name, metric in record["diagnostics"]["metrics"].items()}
    return {**facts, "score": score, **metrics}


def points(rows: Sequence[dict[str, Any]], diagnostic: str, over: Over) -> list[dict[str, Any]]:
    """Means over seeds and, for ``models``, over the target languages that all models of a task have.

    Args:
        rows: of `read_results`.
        diagnostic: name of a column.
        over: what a point is.

    Returns:
        ``task``, ``model``, ``language`` (``None`` for means over them), ``languages`` (how many), ``seeds``, ``score``
        and the diagnostic. The language of the training is left out: nothing is transferred to it.
    """
    cells: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["language"] != row["source"] and diagnostic in row:
            cells[row["task"]][row["model"]].setdefault(row["language"], []).append(row)
    found = []
    for task, models in cells.items():
        common = set.intersection(*(set(languages) for languages in models.values()))
        for model, languages in models.items():
            chosen = sorted(common) if over == "models" else sorted(languages)
            groups = [chosen] if over == "models" else [[language] for language in chosen]
            for group in filter(None, groups):
                own = [row for language in group for row in languages[language]]
                means = {name: sum(row[name] for row in own) / len(own) for name in ("score", diagnostic)}
                language = None if over == "models" else group[0]
                seeds = len({row["seed"] for row in own})
                facts = {"task": task, "model": model, "language": language, "languages": len(group), "seeds": seeds}
                found.append({**facts, **means})
    return found


def correlate(found: Sequence[dict[str, Any]], diagnostic: str, *, seed: int = 0) -> list[dict[str, Any]]:
    """Spearman's rho between a diagnostic and the score, one row a task.

    Points are shuffled within a model where a model has several (languages), else over the models.

    Args:
        found: of `points`.
        diagnostic: name of a column.
        seed: of the permutations.

    Returns:
        ``task``, ``diagnostic``, ``rho``, ``p`` (two-sided), ``models``, ``points``, ``permutations`` (how many, all of
        them where there are few); ``rho`` and ``p`` are ``None`` for fewer than 4 points, or none that differ.
    """
    rows = []
    for task in dict.fromkeys(row["task"] for row in found):
        own = [row for row in found if row["task"] == task]
        models = list(dict.fromkeys(row["model"] for row in own))
        within = any(row["language"] is not None for row in own)
        parts = [[row for row in own if row["model"] == model] for model in models] if within else [own]
        groups = [([row[diagnostic] for row in part], [row["score"] for row in part]) for part in parts]
        rho, p, drawn = rank_correlation([group for group in groups if len(group[0]) >= LEAST], seed=seed)
        counts = {"models": len(models), "points": len(own), "permutations": drawn}
        rows.append({"task": task, "diagnostic": diagnostic, "rho": rho, "p": p, **counts})
    return rows


def rank_correlation(
    groups: Sequence[Group], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> tuple[float | None, float | None, int]:
    """Mean of Spearman's rho over groups, with a two-sided p-value from permutations within each group.

    Args:
        groups: values x and y of each group.
        permutations: to draw; one group with no more orders than that goes through all of them.
        seed: of the draws.

    Returns:
        rho, p and the number of permutations; ``None`` twice where no group has values that differ.
    """
    ranked = [(_scaled(x), _scaled(y)) for x, y in groups]
    usable = [(x, y) for x, y in ranked if x is not None and y is not None]
    if not usable:
        return None, None, 0
    observed = float(np.mean([x @ y for x, y in usable]))
    slack = 1e-12
    if len(usable) == 1 and math.factorial(len(usable[0][0])) <= permutations:
        x, y = usable[0]
        orders = np.array(list(itertools.permutations(range(len(y)))))
        reached = np.abs(y[orders] @ x) >= abs(observed) - slack
        return observed, float(reached.mean()), len(orders)
    generator = np.random.default_rng(seed)
    drawn = np.zeros(permutations)
    for x, y in usable:
        drawn += generator.permuted(np.tile(y, (permutations, 1)), axis=1) @ x / len(usable)
    reached = int((np.abs(drawn) >= abs(observed) - slack).sum())
    return observed, (reached + 1) / (permutations + 1), permutations


def _scaled(values: Sequence[float]) -> Any:
    """Centred ranks of norm 1; ``None`` where all are equal."""
    ranks = rankdata(values) - (len(values) + 1) / 2
    norm = np.linalg.norm(ranks)
    return ranks / norm if norm > 0 else None
