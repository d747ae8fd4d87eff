"""Figures and tables of the measures beside the scores: what records say under ``diagnostics``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.site.cells import NONE, Cell, Head, Table
from xglue_harness.leaderboard.site.diagnostic_numbers import cka_by_layer, diagnostics_of, spectra_of
from xglue_harness.leaderboard.site.figures import OTHER_SYMBOLS, Figure, Point, drawn, label, scatter
from xglue_harness.leaderboard.site.paths import result_path, summary_path
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES

MEANINGS: Mapping[str, str] = {
    "cka_en": "how alike the fine-tuned encoder represents a language and its English translation (debiased CKA)",
    "cka_pretrained": "how alike the fine-tuned and the pretrained encoder represent a language (debiased CKA)",
    "cka_reference": "how alike the fine-tuned encoder and a reference encoder represent a language (debiased CKA)",
    "sigma_norm": "norm of the singular values of the weights, fine-tuned, over all layers",
    "sigma_distance": "distance of those singular values from the pretrained encoder's",
}

CKA = "debiased CKA"

ROLES = ("K", "Q", "V", "Out", "FC up", "FC down")
"""The weight matrices of a layer."""

INKS = ("lm", "mt", "cp", "pink", "gold", "muted")
"""Colours of the page, for metrics and for weight matrices."""


@dataclass(frozen=True)
class Diagnosis:
    """What is shown of a task's diagnostics.

    Attributes:
        title: of the task.
        figures: by language, by layer, of the weights.
        tables: the same numbers.
    """

    title: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]


def diagnosis(place: str, results: Sequence[TaskResult]) -> Diagnosis | None:
    """Figures and tables of one backbone on one task; ``None`` where no record has diagnostics.

    Args:
        place: of the board.
        results: one for each seed.
    """
    numbers = diagnostics_of(results)
    if not numbers:
        return None
    spec = results[0].spec
    name = f"{place}-{spec.name}"
    by_language = {metric: languages for metric, languages in numbers.items() if not _same_everywhere(languages)}
    overall = {metric: languages for metric, languages in numbers.items() if metric not in by_language}
    href = summary_path(place, results[0].backbone, spec.name)
    figures = []
    groups: dict[str, list[str]] = defaultdict(list)
    for metric in by_language:
        groups["cka" if metric.startswith("cka") else metric].append(metric)
    for number, metrics in enumerate(groups.values()):
        chosen = {metric: by_language[metric] for metric in metrics}
        figures.append(_by_language(f"languages-{number}-{name}", spec.languages, chosen, href))
    for metric in ("cka_en", "cka_pretrained"):
        figures += filter(None, [_by_layer(f"{metric}-layers-{name}", metric, results)])
    figures += filter(None, [_spectra(f"spectra-{name}", results, href)])
    tables = [_language_table(spec.languages, by_language, href)] if by_language else []
    tables += [_overall_table(results, overall)] if overall else []
    return Diagnosis(spec.title, tuple(figures), tuple(tables))


def _same_everywhere(languages: Mapping[str, Any]) -> bool:
    """Whether a number is of the task, not of its languages."""
    first, *others = [number["seeds"] for number in languages.values()]
    return bool(others) and all(other == first for other in others)


def _by_language(ident: str, languages: Sequence[str], metrics: Mapping[str, Mapping[str, Any]], href: str) -> Figure:
    traces = []
    for number, (metric, numbers) in enumerate(metrics.items()):
        shift = 0.3 * (number - (len(metrics) - 1) / 2)
        means, singles = [], []
        for place, language in enumerate(languages):
            if language not in numbers:
                continue
            entry = numbers[language]
            words = f"{metric}, {LANGUAGE_NAMES[language]}"
            means.append(Point(place + shift, entry["mean"], f"{words}: {entry['mean']:.3f}", href))
            for seed, value in entry["seeds"].items():
                error = "" if value["stderr"] is None else f" (standard error {value['stderr']:.3f})"
                text = f"{words}, seed {seed}: {value['value']:.3f}{error}"
                singles.append(Point(place + shift, value["value"], text, href))
        ink, shape = INKS[number % len(INKS)], OTHER_SYMBOLS[number % len(OTHER_SYMBOLS)]
        traces.append(scatter(metric, ink, means, marker={"symbol": shape, "size": 9}))
        traces.append(scatter(metric, ink, singles, marker={"symbol": f"{shape}-open", "size": 5}, showlegend=False))
    measure = CKA if all(metric.startswith("cka") for metric in metrics) else ", ".join(metrics)
    layout = {
        "xaxis": {
            "tickvals": [*range(len(languages))],
            "ticktext": [*languages],
            "range": [-0.6, len(languages) - 0.4],
            "zeroline": False,
            "showgrid": False,
            "fixedrange": True,
        },
        "yaxis": {"title": {"text": label(measure)}, "zeroline": True, "fixedrange": True},
    }
    chance = " Shuffled documents give 0." if all(metric.startswith("cka") for metric in metrics) else ""
    text = "; ".join(f"{metric}: {MEANINGS.get(metric, 'a diagnostic of its own')}" for metric in metrics)
    return Figure(
        ident,
        f"{measure} by language",
        f"{text}. Large: mean over seeds; small: each seed.{chance}",
        drawn(traces, layout),
        340,
    )


def _by_layer(ident: str, metric: str, results: Sequence[TaskResult]) -> Figure | None:
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    for result in results:
        for language, layer, value in cka_by_layer(result, metric):
            values[language, layer].append(value)
    there = {language for language, _ in values}
    languages = [language for language in results[0].spec.languages if language in there]
    layers = sorted({layer for _, layer in values})
    if not languages or len(layers) > 200:
        return None
    means = [
        [round(sum(cka) / len(cka), 4) if (cka := values.get((language, layer))) else None for language in languages]
        for layer in layers
    ]
    trace = {
        "type": "heatmap",
        "x": [*languages],
        "y": [f"{layer}" for layer in layers],
        "z": means,
        "zmin": 0,
        "zmax": 1,
        "colorscale": "Cividis",
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"thickness": 10, "outlinewidth": 0, "title": {"text": CKA, "side": "right"}},
        "hovertemplate": f"{label(metric)}, %{{x}}, layer %{{y}}: %{{z:.3f}}<extra></extra>",
        "hoverongaps": False,
    }
    layout = {
        "xaxis": {"type": "category", "fixedrange": True},
        "yaxis": {"type": "category", "title": {"text": "layer"}, "fixedrange": True},
    }
    text = f"{MEANINGS[metric]}: mean over seeds; layer 0 is the embeddings. Shuffled documents give 0."
    return Figure(ident, f"{metric} by layer", text, drawn([trace], layout), 150 + 22 * len(layers))


def _spectra(ident: str, results: Sequence[TaskResult], href: str) -> Figure | None:
    spectra = spectra_of(results, "finetuned")
    layers = sorted({layer for layer, _ in spectra})
    if not layers or len(layers) > 200:
        return None
    traces = []
    for number, role in enumerate(ROLES):
        points = [
            Point(layer, distance, f"{role}, layer {layer}: {distance:.2f}", href)
            for layer in layers
            if (distance := spectra.get((layer, role), (0.0, None))[1]) is not None
        ]
        if points:
            marker = {"symbol": OTHER_SYMBOLS[number], "size": 8}
            traces.append(scatter(role, INKS[number % len(INKS)], points, mode="lines+markers", marker=marker))
    if not traces:
        return None
    layout = {
        "xaxis": {"title": {"text": "layer"}, "tickvals": layers, "zeroline": False, "fixedrange": True},
        "yaxis": {"title": {"text": "distance of singular values"}, "rangemode": "tozero", "fixedrange": True},
    }
    text = "How far fine-tuning moved the singular values of each weight matrix, by layer; mean over seeds."
    return Figure(ident, "Distance from the pretrained weights", text, drawn(traces, layout), 340)


def _language_table(languages: Sequence[str], metrics: Mapping[str, Mapping[str, Any]], href: str) -> Table:
    heads = (Head("language", kind=""), *(Head(metric, MEANINGS.get(metric, "")) for metric in metrics))
    rows = []
    for language in languages:
        cells = []
        for numbers in metrics.values():
            if (entry := numbers.get(language)) is None:
                cells.append(NONE)
                continue
            seeds = ", ".join(f"seed {seed}: {run['value']:.3f}" for seed, run in entry["seeds"].items())
            cells.append(Cell(_shown(entry["mean"]), href, note=seeds, order=entry["mean"], value=entry["mean"]))
        rows.append((Cell(LANGUAGE_NAMES[language], kind="name", head=True), *cells))
    return Table("Diagnostics by language, mean over seeds", heads, tuple(rows))


def _shown(value: float) -> str:
    """A number with a real minus where it has one."""
    return f"{value:.3f}".replace("-", "−")


def _overall_table(results: Sequence[TaskResult], metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    heads = (Head("measure", kind=""), *(Head(f"seed {result.seed}") for result in results))
    rows = []
    for metric, languages in metrics.items():
        seeds = next(iter(languages.values()))["seeds"]
        cells = []
        for result in results:
            entry = seeds.get(str(result.seed))
            if entry is None:
                cells.append(NONE)
                continue
            value = entry["value"]
            cells.append(Cell(_shown(value), result_path(result), order=value, value=value))
        rows.append((Cell(metric, kind="name", head=True, note=MEANINGS.get(metric, "")), *cells))
    return Table("Measures of the encoder as a whole", heads, tuple(rows))
