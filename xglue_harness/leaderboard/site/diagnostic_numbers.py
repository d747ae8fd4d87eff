"""The numbers of diagnostics, out of records.

A record's ``details`` are whatever a diagnostic wrote; what does not have the form of ours is left out, not trusted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.site.json_numbers import rounded
from xglue_harness.records.schema import Diagnostics, RunRecord


def diagnosed(result: TaskResult) -> dict[str, Diagnostics]:
    """The diagnostics of each language that has some."""
    return {
        language: item.record.diagnostics
        for language, item in result.languages.items()
        if isinstance(item.record, RunRecord) and item.record.diagnostics is not None
    }


def diagnostics_of(results: Sequence[TaskResult]) -> dict[str, dict[str, Any]]:
    """Each diagnostic number by metric and language: mean over seeds, and value and standard error of each seed."""
    numbers: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for result in results:
        for language, diagnostics in diagnosed(result).items():
            for metric, number in diagnostics.metrics.items():
                numbers[metric][language][str(result.seed)] = {"value": number.value, "stderr": number.stderr}
    return {
        metric: {
            language: {"mean": rounded(sum(run["value"] / len(seeds) for run in seeds.values())), "seeds": seeds}
            for language, seeds in languages.items()
        }
        for metric, languages in numbers.items()
    }


def cka_by_layer(result: TaskResult, metric: str) -> Iterator[tuple[str, int, float]]:
    """Language, layer and CKA of each row in the details of a record that has our form."""
    for language, diagnostics in diagnosed(result).items():
        try:
            table = diagnostics.details["cka"][language][metric]
            places = [table["columns"].index(column) for column in ("layer", "cka")]
            rows = [[row[place] for place in places] for row in table["rows"]]
            numbers = [(language, int(_number(layer)), _number(value)) for layer, value in rows if value is not None]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            continue
        yield from numbers


def _number(value: Any) -> float:
    """A number of a size that a figure can hold."""
    if not isinstance(value, int | float) or abs(value) > 1e9:
        raise TypeError(f"{value!r} is no number for a figure")
    return float(value)


def spectra_of(results: Sequence[TaskResult], model: str) -> dict[tuple[int, str], tuple[float, float | None]]:
    """Norm of the singular values and their distance from the pretrained ones, by layer and role.

    Args:
        results: one for each seed; means over them.
        model: ``pretrained`` or ``finetuned``.
    """
    norms: dict[tuple[int, str], list[float]] = defaultdict(list)
    distances: dict[tuple[int, str], list[float]] = defaultdict(list)
    for result in results:
        for diagnostics in diagnosed(result).values():
            try:
                table = diagnostics.details["spectra"]["task"]
                places = [table["columns"].index(name) for name in ("model", "layer", "role", "norm", "distance")]
                rows = [[row[place] for place in places] for row in table["rows"]]
                chosen = [
                    (int(_number(layer)), str(role), _number(norm), None if distance is None else _number(distance))
                    for name, layer, role, norm, distance in rows
                    if name == model
                ]
            except (KeyError, TypeError, ValueError, IndexError, AttributeError):
                continue
            for layer, role, norm, distance in chosen:
                norms[layer, role].append(norm)
                if distance is not None:
                    distances[layer, role].append(distance)
            break  # every language has those of the same encoder
    return {
        key: (sum(values) / len(values), sum(distances[key]) / len(distances[key]) if key in distances else None)
        for key, values in norms.items()
    }
