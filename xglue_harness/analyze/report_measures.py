"""The measures of a report, by language and by layer, and what interventions came to: all out of the records."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xglue_harness.analyze.report_scores import Number, combined
from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.records.schema import Intervention, RunRecord
from xglue_harness.results.run import Run
from xglue_harness.results.series import Series, english_first

_BESIDE = ("layer", "other_layer", "low", "high")
"""Columns of a diagnostic's details that are no measure."""
_OF_A_MEASURE = ("_p", "_calibrated", "_biased", "_stderr", "_null")
"""Ends of the names of columns that say something of another one."""


@dataclass(frozen=True)
class Measured:
    """A diagnostic of a language.

    Attributes:
        series: of the runs.
        language: that it is of.
        name: of the measure.
        number: mean over trainings; its interval is over documents, too, where the diagnostic knows its error.
    """

    series: Series
    language: str
    name: str
    number: Number


@dataclass(frozen=True)
class LayerValue:
    """A measure in one layer.

    Attributes:
        series: of the runs.
        language: that it is of.
        name: of the measure.
        layer: 0: the embeddings.
        number: mean over trainings; of one training its own interval, where it has one.
    """

    series: Series
    language: str
    name: str
    layer: int
    number: Number


@dataclass(frozen=True)
class Intervened:
    """An intervention on a language.

    Attributes:
        series: of the runs.
        language: that was scored; ``None``: the mean over all but English.
        name: ``center`` or ``erase``.
        layer: whose states were changed.
        before: score of the unchanged states, from 0 to 1, mean over the trainings that have the intervention.
        gain: by how much the score changes.
        control: by how much it changes with the control.
        beyond: the first less the second.
        length: root mean square of how far states are moved, mean over trainings.
        rank: dimensions that were removed, of each training; ``None``: none.
    """

    series: Series
    language: str | None
    name: str
    layer: int
    before: float
    gain: Number
    control: Number
    beyond: Number
    length: float
    rank: tuple[int | None, ...]


def fine_tuned(run: Run) -> RunRecord | None:
    """The record of a fine-tuned encoder; ``None`` for another kind of run."""
    return run.record if isinstance(run.record, RunRecord) else None


def measures(series: Series) -> list[Measured]:
    """The diagnostics of a series by language.

    Args:
        series: runs of all seeds.
    """
    found = []
    for language, records in _by_language(series):
        kept = [record.diagnostics.metrics for record in records if record.diagnostics is not None]
        for name in dict.fromkeys(name for metrics in kept for name in metrics):
            metrics = [each[name] for each in kept if name in each]
            number = combined([metric.value for metric in metrics], [metric.stderr for metric in metrics])
            found.append(Measured(series, language, name, number))
    return found


def layer_values(series: Series) -> list[LayerValue]:
    """The diagnostics of a series by language and layer, as far as their details have them.

    Args:
        series: runs of all seeds.
    """
    found = []
    for language, records in _by_language(series):
        values: dict[tuple[str, int], list[tuple[float, float | None, float | None]]] = defaultdict(list)
        for record in records:
            details = record.diagnostics.details if record.diagnostics is not None else {}
            for diagnostic, parts in details.items():
                own = parts.get(language) if isinstance(parts, Mapping) else None
                for name, layer, value, low, high in _in_layers(diagnostic, own):
                    values[name, layer].append((value, low, high))
        for (measure, layer), several in values.items():
            found.append(LayerValue(series, language, measure, layer, _of_layer(several)))
    return found


def _of_layer(several: Sequence[tuple[float, float | None, float | None]]) -> Number:
    if len(several) > 1:
        return combined([value for value, *_ in several], [None] * len(several))
    value, low, high = several[0]
    return Number(value, low, high, 1, "nothing" if low is None else "rows")


Layered = tuple[str, int, float, float | None, float | None]


def _in_layers(name: str, detail: Any) -> Iterator[Layered]:
    """Measure, layer, value and interval of each number in a diagnostic's details that is of a layer.

    Args:
        name: of the diagnostic, or of the entry in it.
        detail: its details: a table of ``columns`` and ``rows``, a list with a number for each layer, or a mapping of
            such things; all else is passed over.
    """
    if isinstance(detail, Mapping) and isinstance(detail.get("columns"), list) and isinstance(detail.get("rows"), list):
        yield from _of_table(name, detail["columns"], detail["rows"])
        rest = {key: value for key, value in detail.items() if key not in ("columns", "rows")}
        yield from _in_layers(name, rest)
    elif isinstance(detail, Mapping):
        for key, value in detail.items():
            yield from _in_layers(str(key), value)
    elif isinstance(detail, list):
        for layer, value in enumerate(detail):
            if _is_number(value):
                yield name, layer, float(value), None, None


def _of_table(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[Layered]:
    measured = [c for c in columns if c not in _BESIDE and not c.endswith(_OF_A_MEASURE)]
    for row in rows:
        cells = dict(zip(columns, row, strict=False))
        for column in measured:
            if _is_number(cells.get("layer")) and _is_number(cells.get(column)):
                low, high = (_end(cells.get(end)) if len(measured) == 1 else None for end in ("low", "high"))
                shown = name if len(measured) == 1 else column
                yield shown, int(cells["layer"]), float(cells[column]), low, high


def _end(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def interventions(series: Series) -> list[Intervened]:
    """What interventions did to the scores of a series, those on different layers apart; last, means over languages.

    Args:
        series: runs of all seeds.
    """
    groups: dict[tuple[str, int], dict[str, dict[Any, Intervention]]] = defaultdict(lambda: defaultdict(dict))
    for language, records in _by_language(series):
        for record in records:
            for name, own in record.interventions.of.items() if record.interventions is not None else ():
                groups[name, own.layer][language][record.recipe.get("seed")] = own
    found = []
    for (kind, layer), languages in groups.items():
        for language, seeds in languages.items():
            found.append(_intervened(series, language, kind, layer, [[one] for one in seeds.values()]))
        others = [seeds for language, seeds in languages.items() if language != SOURCE_LANGUAGE]
        if len(others) > 1 and all(seeds.keys() == others[0].keys() for seeds in others):
            trainings = [[seeds[seed] for seeds in others] for seed in others[0]]
            found.append(_intervened(series, None, kind, layer, trainings))
    return found


def _intervened(
    series: Series, language: str | None, name: str, layer: int, trainings: Sequence[Sequence[Intervention]]
) -> Intervened:
    """Means over the languages of each training, then over trainings."""

    def mean(pick: Callable[[Intervention], float]) -> float:
        return float(np.mean([[pick(one) for one in several] for several in trainings]))

    def number(pick: Callable[[Intervention], tuple[float, float | None]]) -> Number:
        pairs = [[pick(one) for one in several] for several in trainings]
        values = [float(np.mean([value for value, _ in own])) for own in pairs]
        return combined(values, [_of_mean([stderr for _, stderr in own], series.spec.parallel) for own in pairs])

    return Intervened(
        series,
        language,
        name,
        layer,
        before=mean(lambda one: one.change.score - one.change.gain),
        gain=number(lambda one: (one.change.gain, one.change.gain_stderr)),
        control=number(lambda one: (one.control.gain, one.control.gain_stderr)),
        beyond=number(lambda one: (one.beyond_control, one.beyond_control_stderr)),
        length=mean(lambda one: one.change.length),
        rank=tuple(one.rank for several in trainings for one in several),
    )


def _of_mean(stderrs: Sequence[float | None], parallel: bool) -> float | None:
    """Standard error of a mean over languages.

    Rows of different languages are independent; of translations they are not, in a way that records don't tell, and
    the largest that it can be is taken.
    """
    known = [stderr for stderr in stderrs if stderr is not None]
    if len(known) < len(stderrs):
        return None
    return float(np.mean(known)) if parallel else math.sqrt(sum(stderr**2 for stderr in known)) / len(known)


def _by_language(series: Series) -> Iterator[tuple[str, list[RunRecord]]]:
    for language in english_first(series.languages):
        records = [record for run in series.runs if run.language == language and (record := fine_tuned(run))]
        if records:
            yield language, records
