"""``xglue-harness score`` and ``export``: predictions in XGLUE's submission format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli import options
from xglue_harness.cli.options import Json, Results, Tasks
from xglue_harness.errors import PREFIX

if TYPE_CHECKING:
    from rich.table import Table

    from xglue_harness.submission.score import LanguageScore, Mean, Scores

_SAMPLE = "SAMPLE data: the scores mean nothing"


def score(
    predictions: Annotated[
        Path, typer.Option("--predictions", metavar="DIR", help="Folder of files TASK/language.prediction.")
    ],
    data: Annotated[str | None, options.data()] = None,
    split: Annotated[Literal["test", "dev"], typer.Option(help="Which sets were predicted.")] = "test",
    tasks: Tasks = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score what is there and say what predictions or data lack.")
    ] = False,
    as_official: Annotated[
        bool, typer.Option("--as-official", help="Read the files as leniently as XGLUE's evaluator does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score a folder of predictions in XGLUE's submission format.

    With our metrics and their standard errors, and as XGLUE's own evaluator does (official, by seqeval 0.0.12 as in
    XGLUE's shipped results; official_seqeval1 by seqeval 1.x).

    \b
    Examples:
      xglue-harness score --predictions submission --data hub
      xglue-harness score --predictions submission --data xglue --tasks ner,pos
      xglue-harness score --predictions Unicoder_on_XGLUE_test --as-official
    """
    from dataclasses import asdict

    from xglue_harness.cli.console import PlainConsole, print_json
    from xglue_harness.submission.score import score_folder

    scores = score_folder(predictions, data, split, options.names(tasks), allow_partial, as_official)
    for line in scores.warnings:
        typer.echo(f"{PREFIX}warning: {line}", err=True)
    if as_json:
        print_json({**asdict(scores), "partial": scores.partial})
        return
    PlainConsole().print(_table(scores))
    for line in _remarks(scores):
        typer.echo(line)


def export(
    results: Results,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the submission goes: a new or an empty folder.")],
) -> None:
    """Write a folder in XGLUE's submission format from results.

    Of lm_eval's results files, or folders of them, and the predictions that lie beside them or in the cache.

    \b
    Examples:
      xglue-harness export results submission
      xglue-harness export results/model/results_2025-01-31.json submission
    """
    from xglue_harness.submission.export import export as export_submission

    summary = export_submission(results, folder)
    total = len(summary.files) + len(summary.missing)
    typer.echo(f"{summary.folder}: {len(summary.files)} of {total} files of {summary.model} ({summary.protocol})")
    if summary.missing:
        typer.echo(f"missing for a full submission: {_by_task(summary.missing)}")
    if summary.sample:
        typer.echo("SAMPLE data: these predictions are of the packaged toy, not of XGLUE")
    if summary.unofficial:
        typer.echo(f"UNOFFICIAL data: these predictions are not of XGLUE's rows: {'; '.join(summary.unofficial)}")


def _by_task(paths: Collection[str]) -> str:
    """Prediction files in words: tasks, with their languages where some are not among them."""
    from xglue_harness.benchmark import TASKS
    from xglue_harness.submission.files import relative_path

    parts = []
    for spec in TASKS.values():
        languages = [language for language in spec.languages if relative_path(spec, language) in paths]
        if languages:
            whole = len(languages) == len(spec.languages)
            parts.append(spec.title if whole else f"{spec.title} ({', '.join(languages)})")
    return ", ".join(parts)


def _table(scores: Scores) -> Table:
    """Task × language with rows and scores, a mean for each task and, where all eight are there, over the tasks."""
    from xglue_harness.benchmark import TASKS
    from xglue_harness.cli.console import table

    marks = [
        scores.split,
        *["partial"] * scores.partial,
        *["as official"] * scores.as_official,
        *["SAMPLE"] * scores.sample,
        *["UNOFFICIAL data"] * bool(scores.unofficial),
    ]
    title = f"{scores.predictions} on {scores.data} ({', '.join(marks)})"
    later = any(task.mean.official_seqeval1 is not None for task in scores.tasks)
    numbers = ("ours", "±", "official", *["official_seqeval1"] * later)
    shown = table(("task", "language", "rows", "metric", *numbers), "llrl" + "r" * len(numbers), title=title)
    for task in scores.tasks:
        spec = TASKS[task.task]
        for item in task.languages:
            name = spec.title if item is task.languages[0] else ""
            shown.add_row(name, item.language, str(item.rows), task.metric, *_cells(item, later))
        part = "" if len(task.languages) == len(spec.languages) else f" of {len(spec.languages)}"
        shown.add_row("", f"mean of {len(task.languages)}{part}", "", task.metric, *_cells(task.mean, later))
        shown.add_section()
    if scores.mean is not None:
        shown.add_row("XGLUE", f"mean of {len(scores.tasks)} tasks", "", "score", *_cells(scores.mean, later))
    return shown


def _cells(item: LanguageScore | Mean, later: bool) -> list[str]:
    stderr = "N/A" if item.stderr is None else f"{item.stderr:.4f}"
    of_later = "" if item.official_seqeval1 is None else f"{item.official_seqeval1:.4f}"
    return [f"{item.score:.4f}", stderr, f"{item.official:.4f}", *[of_later] * later]


def _remarks(scores: Scores) -> list[str]:
    from xglue_harness.benchmark import TASKS

    lines = [
        f"{TASKS[task.task].title} {item.language}: queries of one row count for no score: {item.single_row_queries}"
        for task in scores.tasks
        for item in task.languages
        if item.single_row_queries
    ]
    if scores.missing:
        lines.append(f"partial: no predictions for {', '.join(scores.missing)}")
    if scores.left_out:
        lines.append(f"partial: the data lack the gold labels for {', '.join(scores.left_out)}")
    if scores.unofficial:
        lines.append(f"UNOFFICIAL data: scores do not compare with those on XGLUE: {'; '.join(scores.unofficial)}")
    if scores.sample:
        lines.append(_SAMPLE)
    return lines
