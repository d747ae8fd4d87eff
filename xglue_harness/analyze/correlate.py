"""Does a diagnostic go with the transfer score? Rank correlation over models, or over languages within models."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata

from xglue_harness.analyze.summary import short_name
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError
from xglue_harness.records.results_files import read_runs

Over = Literal["models", "languages"]
Group = tuple[Sequence[float], Sequence[float]]

PERMUTATIONS = 10_000
FACTS = ("model", "recipe", "seed", "task", "language", "source", "sample", "unofficial", "score")
"""What a row of `read_results` holds beside its diagnostics."""

_OF_THE_RUN = ("task", "seed", "key", "dev", "compile")
"""Entries of a recipe that do not bear on the weights, or have columns of their own."""

LEAST = 4
"""Points below which no p-value says anything: 4 points have 24 orders."""


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """One row for each model, seed, task and language of lm_eval's results files that have diagnostics.

    Args:
        paths: JSON files, or folders that are searched for ``results*.json``.

    Returns:
        `FACTS` and the diagnostics by name. ``recipe`` says in what the runs of one model differ, weights and training
        data included, and is empty where there is but one kind of them: so ``model`` and ``recipe`` are one thing.

    Raises:
        DataError: for a file that is none of lm_eval's, no diagnostics at all, sample data beside real ones, two test
            sets of one task and language, or one model, recipe, seed, task and language twice.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    tests: dict[tuple[str, str], tuple[str | None, Path]] = {}
    for run in read_runs(paths):
        if (row := _row_of(run.record)) is None:
            continue
        names = ("model", "seed", "task", "language")
        key = (*(row[name] for name in names), json.dumps(row["recipe"], sort_keys=True))
        if key in rows:
            said = " ".join(str(row[name]) for name in names)
            raise DataError(f"{run.file}: {said} stands in two results files: give one of them")
        rows[key] = row
        place = (row["task"], row["language"])
        test, file = tests.setdefault(place, (row["test"], run.file))
        if test != row["test"]:
            raise DataError(f"{run.file}: another test set of {' '.join(place)} than in {file}: leave one kind out")
    if not rows:
        raise DataError(
            f"no diagnostics in {', '.join(map(str, paths)) or 'nothing'}: run lm_eval with --output_path and "
            """--metadata '{"diagnostics": ["cka", "spectra"]}'"""
        )
    if len({row["sample"] for row in rows.values()}) > 1:
        raise DataError("results on the SAMPLE and on real data can't be compared: leave one kind out")
    return _told_apart(list(rows.values()))


def _told_apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their recipe in words: the options in which the runs of a model on a task differ."""
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["task"], row["model"]].append(row["recipe"])
    told_apart = []
    for row in rows:
        first, *others = kinds[row["task"], row["model"]]
        differ = [name for name in first if any(other.get(name) != first[name] for other in others)]
        differ += sorted({name for other in others for name in other} - set(first))
        words = ", ".join(f"{name} {row['recipe'].get(name)}" for name in differ)
        told_apart.append({name: value for name, value in row.items() if name != "test"} | {"recipe": words})
    return told_apart


def _row_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's row; ``None`` where it has no diagnostics or no score."""
    if not record.get("diagnostics"):
        return None
    score = record["selection"]["scores"][record["selection"]["rule"]]["score"]
    if score is None:
        return None
    backbone, data = record["backbone"], record.get("data", {})
    files, spec = data.get("files", {}), TASKS[record["task"]]
    recipe = {name: value for name, value in record["recipe"].items() if name not in _OF_THE_RUN}
    recipe |= {"select": record["selection"]["rule"], "weights": backbone.get("encoder_sha256")}
    recipe |= {"training data": files.get(spec.path("train", record["source_language"]))}
    other = record["diagnostics"].get("encoders", {}).get("reference")
    recipe |= {"reference": other and f"{other.get('name')} {str(other.get('encoder_sha256'))[:8]}"}
    kept = record.get("predictions") or {}
    recipe |= {"limited": kept.get("rows") != kept.get("total")}
    facts = {
        "model": backbone["name"],
        "recipe": {name: _short_hash(value) for name, value in recipe.items()},
        "seed": record["recipe"]["seed"],
        "task": record["task"],
        "language": record["target_language"],
        "source": record["source_language"],
        "sample": record["SAMPLE"],
        "unofficial": bool(data.get("unofficial")),
        "test": files.get(spec.path("test", record["target_language"])),
    }
    metrics = {name: metric["value"] for name, metric in record["diagnostics"]["metrics"].items()}
    return {**facts, "score": score, **metrics}


def _short_hash(value: Any) -> Any:
    return value[:8] if isinstance(value, str) and len(value) == 64 else value


def points(rows: Sequence[dict[str, Any]], diagnostic: str, over: Over) -> list[dict[str, Any]]:
    """Means over seeds and, for ``models``, over the target languages that all models of a task have.

    Args:
        rows: of `read_results`.
        diagnostic: name of a column.
        over: what a point is.

    Returns:
        ``task``, ``model``, ``recipe``, ``language`` (``None`` for means over them), ``languages`` (how many),
        ``seeds``, ``score`` and the diagnostic. The language of the training is left out: nothing is transferred to it.
    """
    cells: dict[str, dict[tuple[str, str], dict[str, list[dict[str, Any]]]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["language"] != row["source"] and diagnostic in row:
            cells[row["task"]][row["model"], row["recipe"]].setdefault(row["language"], []).append(row)
    means = []
    for task, models in cells.items():
        common = set.intersection(*(set(languages) for languages in models.values()))
        for (model, recipe), languages in models.items():
            chosen = sorted(common) if over == "models" else sorted(languages)
            groups = [chosen] if over == "models" else [[language] for language in chosen]
            for group in filter(None, groups):
                averaged = [row for language in group for row in languages[language]]
                values = {name: sum(row[name] for row in averaged) / len(averaged) for name in ("score", diagnostic)}
                language = None if over == "models" else group[0]
                seeds = len({row["seed"] for row in averaged})
                facts = {"task": task, "model": model, "recipe": recipe, "language": language}
                means.append({**facts, "languages": len(group), "seeds": seeds, **values})
    return means


def correlate(means: Sequence[dict[str, Any]], diagnostic: str, *, seed: int = 0) -> list[dict[str, Any]]:
    """Spearman's rho between a diagnostic and the score, one row a task.

    Points are shuffled within a model (and recipe) where one has several (languages), else over the models.

    Args:
        means: of `points`.
        diagnostic: name of a column.
        seed: of the permutations.

    Returns:
        ``task``, ``diagnostic``, ``rho``, ``p`` (two-sided), ``models`` and ``points`` that it rests on,
        ``permutations`` (how many, all of them where there are few); ``rho`` and ``p`` are ``None`` for fewer than 4
        points, or none that differ, and the counts are then those that there are. A recipe of a model counts as one.
    """
    rows = []
    for task in dict.fromkeys(row["task"] for row in means):
        of_task = [row for row in means if row["task"] == task]
        models: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for row in of_task:
            models[row["model"], row["recipe"]].append(row)
        within = any(row["language"] is not None for row in of_task)
        parts = list(models.values()) if within else [of_task]
        used = [part for part in parts if len(part) >= LEAST and _differs(part, diagnostic)]
        groups = [([row[diagnostic] for row in part], [row["score"] for row in part]) for part in used]
        rho, p, drawn = rank_correlation(groups, seed=seed)
        told = [row for part in used or parts for row in part]
        counts = {"models": len({(row["model"], row["recipe"]) for row in told}), "points": len(told)}
        counts["permutations"] = drawn
        rows.append({"task": task, "diagnostic": diagnostic, "rho": rho, "p": p, **counts})
    return rows


def _differs(part: Sequence[dict[str, Any]], diagnostic: str) -> bool:
    return all(len({row[name] for row in part}) > 1 for name in (diagnostic, "score"))


def labels(means: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each point in a figure: the last part of the model's name if that is unique, recipe and language.

    Where languages are the points of one model, its name is left out.
    """
    short = {row["model"]: short_name(row["model"]) for row in means}
    unique = len(set(short.values())) == len(short)
    named = len({(row["model"], row["recipe"]) for row in means}) > 1 or any(row["language"] is None for row in means)
    models = [(short[row["model"]] if unique else row["model"], row["recipe"]) if named else () for row in means]
    return [
        " ".join(part for part in (*model, row["language"]) if part) for model, row in zip(models, means, strict=True)
    ]


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
