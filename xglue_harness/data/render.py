"""A check's report for a terminal: a table, and a line for each problem."""

from __future__ import annotations

from rich.table import Table

from xglue_harness.benchmark import task
from xglue_harness.data.check import FileReport, Report

_SHOWN_LABELS = 3


def render(report: Report) -> Table:
    """Task × language × split with the rows found and published, the labels and a remark."""
    table = Table(title=report.path, title_justify="left", expand=False)
    for column in ("task", "language", "split"):
        table.add_column(column, no_wrap=True)
    for column in ("rows", "official"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("labels", "remark"):
        table.add_column(column, overflow="fold")
    previous = ""
    tasks = list(dict.fromkeys(file.task for file in report.files))
    # Files come in the order of the splits; a reader looks for a language.
    for file in sorted(report.files, key=lambda file: (tasks.index(file.task), file.language)):
        first = file.task != previous
        if first and previous:
            table.add_section()
        previous = file.task
        found = f"{file.rows}" if file.present else "-"
        official = "-" if file.expected is None else f"{file.expected}"
        table.add_row(
            task(file.task).title if first else "",
            file.language,
            file.split,
            found,
            official,
            _labels(file),
            _remark(file),
        )
    return table


def remarks(report: Report, allow_partial: bool = False) -> list[str]:
    """All problems, then the notes and the strange files, a line each.

    Args:
        report: of ``check``.
        allow_partial: as in ``Report.problems``.
    """
    lines = report.problems(allow_partial)
    lines += [f"note: {note}" for note in report.notes]
    if report.extra:
        lines.append(f"note: files that belong to no task: {', '.join(report.extra)}")
    return lines


def _labels(file: FileReport) -> str:
    counts = sorted(((count, name) for name, count in (file.labels or {}).items() if count), reverse=True)
    shown = ", ".join(f"{name} {count}" for count, name in counts[:_SHOWN_LABELS])
    rest = len(counts) - _SHOWN_LABELS
    return f"{shown} and {rest} more" if rest > 0 else shown


def _remark(file: FileReport) -> str:
    if not file.present:
        return "absent"
    if file.problems:
        return f"{len(file.problems) + file.more_problems} bad"
    if file.note:
        return file.note
    if not file.rows_agree:
        return "other rows than the official"
    return "" if file.expected is not None else "not in the manifest"
