"""What ``xglue-harness score`` and ``xglue-harness export`` do and print; ``xglue_harness.cli`` has their options."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import typer
from rich.table import Table

from xglue_harness.benchmark import TASKS
from xglue_harness.cli.console import PlainConsole
from xglue_harness.submission.export import export
from xglue_harness.submission.files import relative_path
from xglue_harness.submission.score import LanguageScore, Mean, Scores, score_folder

_SAMPLE = "SAMPLE data: the scores mean nothing"


def score_command(
    predictions: Path,
    data: str | None,
    split: Literal["test", "dev"],
    tasks: Sequence[str] | None,
    allow_partial: bool,
    as_json: bool,
    as_official: bool,
) -> None:
    """Score a folder of predictions and print the scores; see `score_folder`.

    Raises:
        DataError: as `score_folder`.
    """
    scores = score_folder(predictions, data, split, tasks, allow_partial, as_official)
    for line in scores.warnings:
        typer.echo(f"warning: {line}", err=True)
    if as_json:
        typer.echo(json.dumps({**asdict(scores), "partial": scores.partial}, ensure_ascii=False, indent=1))
        return
    PlainConsole().print(table_of(scores))
    for line in _remarks(scores):
        typer.echo(line)


def export_command(results: Sequence[Path], folder: Path) -> None:
    """Write a submission and print what it holds and lacks; see `export`.

    Raises:
        DataError: as `export`.
    """
    summary = export(results, folder)
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
    parts = []
    for spec in TASKS.values():
        languages = [language for language in spec.languages if relative_path(spec, language) in paths]
        if languages:
            whole = len(languages) == len(spec.languages)
            parts.append(spec.title if whole else f"{spec.title} ({', '.join(languages)})")
    return ", ".join(parts)


def table_of(scores: Scores) -> Table:
    """Task × language with rows and scores, a mean for each task and, where all eight are there, over the tasks."""
    marks = [
        scores.split,
        *["partial"] * scores.partial,
        *["as official"] * scores.as_official,
        *["SAMPLE"] * scores.sample,
        *["UNOFFICIAL data"] * bool(scores.unofficial),
    ]
    title = f"{scores.predictions} on {scores.data} ({', '.join(marks)})"
    table = Table(title=title, title_justify="left", expand=False)
    for column in ("task", "language"):
        table.add_column(column, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    later = any(found.mean.official_seqeval1 is not None for found in scores.tasks)
    for column in ("ours", "±", "official", *["official_seqeval1"] * later):
        table.add_column(column, justify="right", no_wrap=True)
    for found in scores.tasks:
        spec = TASKS[found.task]
        for item in found.languages:
            first = item is found.languages[0]
            table.add_row(
                spec.title if first else "", item.language, str(item.rows), found.metric, *_cells(item, later)
            )
        part = "" if len(found.languages) == len(spec.languages) else f" of {len(spec.languages)}"
        table.add_row("", f"mean of {len(found.languages)}{part}", "", found.metric, *_cells(found.mean, later))
        table.add_section()
    if scores.mean is not None:
        table.add_row("XGLUE", f"mean of {len(scores.tasks)} tasks", "", "score", *_cells(scores.mean, later))
    return table


def _cells(item: LanguageScore | Mean, later: bool) -> list[str]:
    stderr = "N/A" if item.stderr is None else f"{item.stderr:.4f}"
    of_later = "" if item.official_seqeval1 is None else f"{item.official_seqeval1:.4f}"
    return [f"{item.score:.4f}", stderr, f"{item.official:.4f}", *[of_later] * later]


def _remarks(scores: Scores) -> list[str]:
    lines = [
        f"{TASKS[found.task].title} {item.language}: queries of one row count for no score: {item.single_row_queries}"
        for found in scores.tasks
        for item in found.languages
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
