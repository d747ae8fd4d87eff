"""What can't be concluded from some runs: sentences made from the facts in their records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from xglue_harness.analyze.report_measures import Intervened, fine_tuned
from xglue_harness.analyze.report_models import LEAST_BACKBONES, Association
from xglue_harness.analyze.report_scores import Number, ScoreLine
from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.schema import RunRecord
from xglue_harness.results.run import Run

FEW_SEEDS = 3
"""Below, the spread between trainings is hardly known."""
UNKNOWN = 0.05
"""Share of unknown subwords from which the encoder does not see the text."""


def limits(
    lines: Sequence[ScoreLine],
    associations: Sequence[Association],
    interventions: Sequence[Intervened],
    numbers: Sequence[Number],
    left_out: Sequence[str],
) -> list[str]:
    """Sentences, the gravest first.

    Args:
        lines: of the scores.
        associations: of measures with scores.
        interventions: that there are.
        numbers: all that have intervals.
        left_out: what the report does not hold, in words.
    """
    runs = [run for line in lines for run in line.series.runs]
    return [
        *_of_data(runs),
        *_of_trainings(lines),
        *_of_backbones(lines),
        *_of_rows(lines),
        *_of_measures(runs, associations),
        *_of_interventions(interventions),
        *_of_intervals(numbers),
        *left_out,
    ]


def _of_data(runs: Sequence[Run]) -> Iterator[str]:
    if any(run.sample for run in runs):
        yield "Anything: the data are the packaged SAMPLE, a toy; no number here means anything."
    if splits := list(dict.fromkeys(split for run in runs for split in run.unofficial)):
        yield (
            "How these scores compare with those that others report on XGLUE: the data are UNOFFICIAL "
            f"({'; '.join(splits[:4])}{f'; and {len(splits) - 4} more' if len(splits) > 4 else ''})."
        )


def _of_trainings(lines: Sequence[ScoreLine]) -> Iterator[str]:
    seeds = [(line, len({run.seed for run in line.series.runs})) for line in lines if _is_trained(line)]
    if one := [line for line, count in seeds if count == 1]:
        yield (
            f"Whether another seed would give the same: {_by_title(one)} with one seed only, and intervals hold the "
            "chance of test rows alone."
        )
    if few := [line for line, count in seeds if 1 < count < FEW_SEEDS]:
        yield f"How much trainings differ, at all surely: {_by_title(few)} with fewer than {FEW_SEEDS} seeds."
    if collapsed := [line for line in lines if any(run.collapsed for run in line.series.runs)]:
        yield (
            f"Anything of trainings that learnt nothing: runs of {_by_title(collapsed)} collapsed, and are in the "
            "means above; leave them out, or say so."
        )
    if without := [line for line in lines if any(cell.over == "nothing" for cell in line.cells.values())]:
        yield f"How sure the scores of {_by_title(without)} are: no predictions lie beside the results."
    looked = {
        run.record.selection.rule
        for line in lines
        for run in line.series.runs
        if isinstance(run.record, RunRecord) and run.record.selection.rule in ("all_dev", "oracle")
    }
    if looked:
        yield (
            f"Zero-shot transfer in the strict sense: the epoch was chosen by {_listed(sorted(looked))}, which looks "
            "at labels of the languages that are scored."
        )


def _of_backbones(lines: Sequence[ScoreLine]) -> Iterator[str]:
    titles: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    backbones: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        task, first = line.series.spec.title, line.series.runs[0]
        titles[task, first.backbone, first.protocol].append(line.series.title)
        backbones[task].add(first.backbone)
    if alone := [task for task, names in backbones.items() if len(names) == 1]:
        yield f"Whether what is seen here holds of other backbones: there is one of {_listed(alone)}."
    if several := [f"{task} ({len(names)})" for task, names in backbones.items() if len(names) > 1]:
        yield (
            f"What pretraining does: the backbones of {_listed(several)} differ in size, data, tokenizer and objective "
            "at once."
        )
    if recipes := [f"{task} {names[0]}" for (task, *_), names in titles.items() if len(names) > 1]:
        yield (
            "As much as the number of backbones suggests: some are one checkpoint by several recipes, and count as "
            f"several ({_listed(recipes)})."
        )
    if len(backbones) == 1:
        yield f"Whether it holds of other tasks: there is only {next(iter(backbones))}."


def _of_rows(lines: Sequence[ScoreLine]) -> Iterator[str]:
    limited, unknown = [], []
    for line in lines:
        for run in line.series.runs:
            kept = None if run.record is None else run.record.predictions
            if kept is not None and kept.rows < kept.total:
                limited.append(line.series.spec.title)
            share = getattr(getattr(run.record, "evaluation", None), "unknown", None)
            if share is not None and share >= UNKNOWN:
                unknown.append(f"{_name(line)} {run.language} ({share:.0%})")
    if limited:
        yield f"The score of whole test sets: of {_listed(limited)} the first rows were scored only (--limit)."
    if unknown:
        yield (
            "Transfer to languages whose letters the tokenizer lacks: subwords are unknown in "
            f"{_listed(list(dict.fromkeys(unknown)))}."
        )


def _of_measures(runs: Sequence[Run], associations: Sequence[Association]) -> Iterator[str]:
    records = [(run, record) for run in runs if (record := fine_tuned(run)) is not None]
    studied = [(run, record.diagnostics) for run, record in records if record.diagnostics is not None]
    if not studied:
        yield "What stands behind the scores: no run has diagnostics."
        return
    if apart := [run.spec.title for run, diagnostics in studied if not diagnostics.parallel]:
        yield (
            f"How alike languages are represented in {_listed(apart)}: the test sets are no translations, so measures "
            "of a language hold what its texts are about, too, and none compares it with English."
        )
    fewest = min(diagnostics.documents for _, diagnostics in studied)
    yield f"Fine differences between measures: they rest on {fewest} documents of a language at the least."
    if few := {item.task for item in associations if item.slope is None and item.note.startswith("too few")}:
        yield f"Whether a measure goes with the score in {_listed(sorted(few))}: too few languages."
    if any(item.slope is not None for item in associations):
        yield (
            "That a measure causes a score: languages that were rare in pretraining, or are written otherwise than "
            "English, may have both a low score and a low measure."
        )
    if small := {item.task for item in associations if item.slope is not None and item.backbones < LEAST_BACKBONES}:
        yield (
            f"That what holds across languages in {_listed(sorted(small))} holds of backbones in general: there are "
            f"fewer than {LEAST_BACKBONES}, and a mixed model takes that many."
        )
    if (tested := sum(item.p is not None for item in associations)) > 1:
        yield f"Much from one small p: {tested} were computed; look at p (Holm)."


def _of_interventions(interventions: Sequence[Intervened]) -> Iterator[str]:
    if not interventions:
        yield "Whether changing the states would change a score: no run has interventions."
        return
    yield (
        "What an encoder that was trained without these differences would do: states were changed at evaluation only, "
        "and the head was fitted on unchanged ones."
    )
    layers = sorted({item.layer for item in interventions})
    if len(layers) == 1:
        yield f"What other layers do: states were changed in layer {layers[0]} only."
    if any(item.name == "erase" for item in interventions):
        yield "That no language is left after erase: what a linear probe finds is removed, and other traces may stay."
    if any(item.name == "center" for item in interventions):
        yield "What center does to English: the others are moved onto it, and it stays where it is."
    for item in interventions:
        own = [
            one for one in interventions if (one.series, one.name, one.layer) == (item.series, item.name, item.layer)
        ]
        others = [one for one in own if one.language not in (None, SOURCE_LANGUAGE)]
        total = sum(one.beyond.value for one in others)
        most = max(others, key=lambda one: abs(one.beyond.value), default=item)
        if item.language is None and abs(most.beyond.value) > abs(total) / 2 and len(others) > 2:
            yield (
                f"That the mean gain of {item.name} ({item.series.spec.title} {item.series.title}) is of languages in "
                f"general: {most.language} alone is more than half of it."
            )
    seeds = min(item.gain.seeds for item in interventions)
    yield (
        f"How a control at large would do: each training has one random draw of it, so there {_are(seeds)} of it for "
        "a language at the least."
    )
    unsure = [item for item in interventions if item.beyond.low is None]
    if unsure:
        yield "How sure some gains are: their records hold no paired standard error."


def _of_intervals(numbers: Sequence[Number]) -> Iterator[str]:
    if any(number.low is not None and number.low == number.high for number in numbers):
        yield (
            "That numbers with an interval of no width, such as 0 to 0, are certain: all rows, or all trainings, agree "
            "there, and a standard error knows no more."
        )


def _is_trained(line: ScoreLine) -> bool:
    return not isinstance(line.series.runs[0].record, PromptRecord)


def _name(line: ScoreLine) -> str:
    return f"{line.series.spec.title} {line.series.title}"


def _by_title(lines: Sequence[ScoreLine]) -> str:
    """Runs and their tasks in words."""
    tasks: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        tasks[line.series.title].append(line.series.spec.title)
    return _listed([f"{title} ({', '.join(of)})" for title, of in tasks.items()])


def _listed(names: Sequence[str], most: int = 8) -> str:
    distinct = list(dict.fromkeys(names))
    rest = f" and {len(distinct) - most} more" if len(distinct) > most else ""
    return ", ".join(distinct[:most]) + rest


def _are(count: int) -> str:
    return "is 1 draw" if count == 1 else f"are {count} draws"
