"""The JSON files behind the site: every number that a page shows stands in one of them.

Scores and differences are shares from 0 to 1. Paths of other files are relative to the file they stand in.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.families import Families
from xglue_harness.leaderboard.ranking.rows import ALL, OverallRow, Pair, TaskRow
from xglue_harness.leaderboard.ranking.statistics import LEVEL, Estimate
from xglue_harness.published.reference import CONTINUED, Published, Reference
from xglue_harness.records.schema import Diagnostics

DIGITS = 10
"""Decimal places of a number: more would differ from machine to machine."""

SEEDS_FROM: Mapping[str, str] = {
    "own": "its own",
    "borrowed": "one seed somewhere in it: the largest variance between seeds of the other backbones",
    "unknown": "none, since no backbone has two seeds: the interval is of test rows only, and too narrow",
}
"""Where the variance between seeds comes from."""

UNIT = "shares from 0 to 1; intervals of 95% over trainings (seeds) and test rows"


def summary_path(recipe: str, backbone: str, task: str = ALL) -> str:
    """Where the means of a backbone over its seeds lie, from the site's root."""
    return f"data/summary/{recipe}/{backbone}/{task}.json"


def result_path(result: TaskResult) -> str:
    """Where the JSON of one seed lies, from the site's root."""
    return f"data/results/{result.path.as_posix()}"


def compare_path(recipe: str) -> str:
    """Where the differences of all pairs lie, from the site's root."""
    return f"data/compare/{recipe}.json"


def families_path(recipe: str) -> str:
    """Where the families' means and differences lie, from the site's root."""
    return f"data/families/{recipe}.json"


def reference_path(name: str) -> str:
    """Where published numbers lie, from the site's root."""
    return f"data/reference/{name}.json"


PUBLISHED = "data/published.json"
"""Where means of published numbers lie, from the site's root."""

PAPER_JSON = "data/paper.json"
"""Where ours, the paper's and the differences lie, from the site's root."""


def page_of(backbone: str) -> str:
    """The page of a backbone."""
    return f"backbone-{backbone}.html"


def encode(value: Any) -> str:
    """A JSON file's text."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def files(boards: Sequence[Board], example: bool) -> Iterator[tuple[str, Any]]:
    """Path, from the site's root, and value of every JSON file that is computed.

    Args:
        boards: one for each recipe.
        example: the data are the packaged toy; every file says so.
    """
    for board in boards:
        head = {"example": example, "recipe": board.recipe, "unit": UNIT}
        for row in board.overall:
            name = row.backbone.name
            yield summary_path(board.recipe, name), {**head, **_overall(board.recipe, row)}
            for task, own in row.tasks.items():
                yield summary_path(board.recipe, name, task), {**head, **_summary(board.recipe, task, own)}
        yield compare_path(board.recipe), {**head, **comparisons(board)}
        yield families_path(board.recipe), {**head, "tasks": _families(board.families)}


def estimate_of(estimate: Estimate | None, test: bool = False) -> dict[str, Any] | None:
    """An estimate as JSON.

    Args:
        estimate: or ``None``, which stays that.
        test: whether the hypothesis that it is 0 means anything, so that its p-value is given.
    """
    if estimate is None:
        return None
    found = {
        "value": _number(estimate.value),
        "low": _number(estimate.low),
        "high": _number(estimate.high),
        "level": LEVEL,
        "stderr": _number(estimate.stderr),
        "df": _number(estimate.df),
        "variance_between_seeds": estimate.seeds,
    }
    return {**found, "p": _number(estimate.p)} if test else found


def _number(value: float) -> float | None:
    return round(value, DIGITS) if math.isfinite(value) else None


def _rank(rank: tuple[int, int] | None) -> dict[str, int] | None:
    return None if rank is None else {"best": rank[0], "worst": rank[1]}


def _summary(recipe: str, task: str, row: TaskRow) -> dict[str, Any]:
    seen = row.backbone.pretraining.languages
    here = PurePosixPath(summary_path(recipe, row.backbone.name, task)).parent
    return {
        "backbone": row.backbone.name,
        "task": task,
        "metric": TASKS[task].metric,
        "seeds": [result.seed for result in row.results],
        "rank": _rank(row.rank),
        "score": estimate_of(row.score),
        "over_seeds": None if row.over_seeds is None else [*map(_number, row.over_seeds)],
        "official": _number(row.official),
        "languages": {
            language: {**(estimate_of(own) or {}), "seen": language in seen} for language, own in row.languages.items()
        },
        "gap": estimate_of(row.gap),
        "seen": estimate_of(row.seen),
        "unseen": estimate_of(row.unseen),
        "means": {str(result.seed): _number(result.mean) for result in row.results},
        "variance_between_seeds": SEEDS_FROM[row.score.seeds],
        "collapsed": [*row.collapsed],
        "diagnostics": diagnostics_of(row.results) or None,
        "results": [_relative(here, result_path(result)) for result in row.results],
    }


def _overall(recipe: str, row: OverallRow) -> dict[str, Any]:
    here = PurePosixPath(summary_path(recipe, row.backbone.name)).parent
    return {
        "backbone": row.backbone.name,
        "tasks": {
            task: {"score": estimate_of(own.score), "rank": _rank(own.rank), "seeds": len(own.results)}
            for task, own in row.tasks.items()
        },
        "missing_tasks": [task for task in TASKS if task not in row.tasks],
        "seeds": row.seeds,
        "rank": _rank(row.rank),
        "score": estimate_of(row.score),
        "gap": estimate_of(row.gap),
        "variance_between_seeds": None if row.score is None else SEEDS_FROM[row.score.seeds],
        "summaries": [f"{task}.json" for task in row.tasks],
        "results": [_relative(here, result_path(result)) for own in row.tasks.values() for result in own.results],
    }


def _relative(folder: PurePosixPath, path: str) -> str:
    return "/".join([".."] * len(folder.parts) + [path])


def comparisons(board: Board) -> dict[str, Any]:
    """All pairs of backbones, for the file and for the page that compares two.

    Args:
        board: of the recipe.
    """
    pairs: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for task, own in [*((task, table.pairs) for task, table in board.tasks.items()), (ALL, board.pairs)]:
        for pair in own:
            pairs[pair.first, pair.second][task] = _pair(pair)
    return {
        "tasks": {
            task: {"title": table.spec.title, "languages": table.spec.languages} for task, table in board.tasks.items()
        },
        "backbones": {
            row.backbone.name: {
                "title": row.backbone.title,
                "family": row.backbone.family,
                "scores": {
                    **{task: _number(own.score.value) for task, own in row.tasks.items()},
                    **({ALL: _number(row.score.value)} if row.score else {}),
                },
            }
            for row in board.overall
        },
        "pairs": [{"first": first, "second": second, "tasks": own} for (first, second), own in sorted(pairs.items())],
        "read": "a difference is the first minus the second; p_holm is adjusted for all pairs of that task; p of a "
        "language is not adjusted",
    }


def for_page(comparisons: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what the page does not show: it holds all pairs, whose number grows with the square.

    Args:
        comparisons: of a recipe.
    """
    pairs = [
        {
            **pair,
            "tasks": {
                task: {
                    **own,
                    "difference": {**_short(own["difference"]), "seeds": own["difference"]["variance_between_seeds"]},
                    "languages": {language: _short(value) for language, value in own["languages"].items()},
                }
                for task, own in pair["tasks"].items()
            },
        }
        for pair in comparisons["pairs"]
    ]
    return {"backbones": comparisons["backbones"], "pairs": pairs}


def _short(estimate: Mapping[str, Any]) -> dict[str, float]:
    return {key: round(estimate[key], 5) for key in ("value", "low", "high", "p")}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "difference": estimate_of(pair.comparison.difference, test=True),
        "p_holm": _number(pair.comparison.p_holm),
        "better": pair.winner,
        "languages": {language: estimate_of(own, test=True) for language, own in pair.languages.items()},
    }


def _families(families: Mapping[str, Families]) -> dict[str, Any]:
    return {
        task: {
            "families": [
                {"family": own.family, "backbones": own.members, "score": estimate_of(own.score)}
                for own in found.scores
            ],
            "differences": [
                {"first": own.first, "second": own.second, "difference": estimate_of(own.difference, test=True)}
                for own in found.versus
            ],
            "continued": [
                {"first": own.first, "second": own.second, "difference": estimate_of(own.difference, test=True)}
                for own in found.continued
            ],
        }
        for task, found in families.items()
    }


def published(references: Sequence[Reference]) -> dict[str, Any]:
    """Means of published numbers, in percent: of systems, of families, and what continuing on translation changes.

    Args:
        references: the publications.
    """
    found = {}
    for reference in references:
        means = {system.name: _published(system) for system in reference.systems}
        families: dict[str, dict[str, float]] = {}
        for family in dict.fromkeys(system.family for system in reference.systems):
            own = [means[system.name] for system in reference.systems if system.family == family]
            families[family] = {
                task: round(sum(scores[task] for scores in own) / len(own), DIGITS)
                for task in own[0]
                if all(task in scores for scores in own)
            }
        found[reference.name] = {
            "numbers": f"reference/{reference.name}.json",
            "systems": means,
            "families": families,
            "continued": {
                f"{first} minus {second}": {
                    task: round(value - means[second][task], DIGITS) for task, value in means[first].items()
                }
                for first, second in CONTINUED.items()
                if first in means
            },
        }
    return {"unit": "percent", "references": found}


def _published(system: Published) -> dict[str, float]:
    values = {**{task: system.shown(task) for task in TASKS}, ALL: system.overall}
    return {task: round(value, DIGITS) for task, value in values.items() if value is not None}


def diagnosed(result: TaskResult) -> dict[str, Diagnostics]:
    """The diagnostics of each language that has some."""
    return {
        language: item.record.diagnostics
        for language, item in result.languages.items()
        if item.record.diagnostics is not None
    }


def diagnostics_of(results: Sequence[TaskResult]) -> dict[str, dict[str, Any]]:
    """Each diagnostic number by metric and language: mean over seeds, and value and standard error of each seed."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for result in results:
        for language, own in diagnosed(result).items():
            for metric, number in own.metrics.items():
                found[metric][language][str(result.seed)] = {"value": number.value, "stderr": number.stderr}
    return {
        metric: {
            language: {"mean": _number(sum(own["value"] / len(seeds) for own in seeds.values())), "seeds": seeds}
            for language, seeds in languages.items()
        }
        for metric, languages in found.items()
    }
