"""A table as Markdown, as LaTeX (booktabs) and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from xglue_harness.atomic import replacing
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.ranking.tables import MARKS
from xglue_harness.published.reference import as_printed
from xglue_harness.sweeps.comparison import Cell
from xglue_harness.sweeps.tables import Content, Grid, Published

_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"$\sim$",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
}
"""What LaTeX would obey, or lacks in its default fonts."""


def markdown(grid: Grid) -> str:
    """For GitHub."""
    rows = [(*grid.stubs, *grid.heads), ("---", "---", *("---:" for _ in grid.heads))]
    for block in grid.blocks:
        for number, line in enumerate(block.lines):
            cells = (_text(content, head, grid) for content, head in zip(line.cells, grid.heads, strict=True))
            rows.append((block.head if number == 0 else "", line.head, *cells))
    lines = [f"| {' | '.join(map(_escaped_markdown, row))} |" for row in rows]
    notes = [text for note in grid.notes for text in (f"{_escaped_markdown(note)}.", "")]
    return "\n".join([f"**{_escaped_markdown(grid.caption)}**", "", *lines, "", *notes])


def latex(grid: Grid) -> str:
    r"""A ``table*`` that needs ``\usepackage{booktabs}`` and nothing else."""
    small = "tiny" if len(grid.heads) > 12 else "scriptsize" if grid.signed else "small"
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\{small}",
        rf"\setlength{{\tabcolsep}}{{{1 if len(grid.heads) > 12 else 4}pt}}",
        rf"\begin{{tabular}}{{@{{}}ll{'r' * len(grid.heads)}@{{}}}}",
        r"\toprule",
        _row([*grid.stubs, *grid.heads]),
    ]
    for block in grid.blocks:
        lines.append(r"\midrule")
        for number, line in enumerate(block.lines):
            cells = (_text(content, head, grid) for content, head in zip(line.cells, grid.heads, strict=True))
            lines.append(_row([block.head if number == 0 else "", line.head, *cells]))
    caption = escaped(f"{grid.caption} {'. '.join(grid.notes)}.")
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}"]
    lines += [rf"\label{{tab:xglue-{grid.name}}}", r"\end{table*}"]
    return "\n".join([*lines, ""])


def _row(cells: list[str]) -> str:
    return rf"{' & '.join(map(escaped, cells))} \\"


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_LATEX.get(char, char) for char in text)


def _escaped_markdown(text: str) -> str:
    """Text that GitHub shows as it is: a name's underscore is no emphasis, a bar no new column."""
    return "".join(f"\\{char}" if char in "\\|*_~[]<>`" else char for char in text)


def as_csv(grid: Grid) -> str:
    """In the same layout, for programs: of each number also the interval, the seeds and the marks.

    Numbers are in percent and not rounded to what a table shows; an empty place has no number.
    """
    columns = [f"{head}{part}" for head in grid.heads for part in ("", "_low", "_high", "_seeds", "_marks")]
    stubs = [grid.stubs[0].lower() or "group", grid.stubs[1].lower()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*stubs, *columns])
    for block in grid.blocks:
        for line in block.lines:
            writer.writerow([block.head, line.head, *(value for content in line.cells for value in _values(content))])
    return text.getvalue()


def as_rows(grid: Grid) -> list[dict[str, str | float | None]]:
    """The rows of `as_csv`, with numbers as numbers."""

    def parsed(text: str) -> str | float | None:
        try:
            return float(text) if text else None
        except ValueError:
            return text

    return [{head: parsed(text) for head, text in row.items()} for row in csv.DictReader(io.StringIO(as_csv(grid)))]


def _values(content: Content) -> Iterator[str]:
    if isinstance(content, Published):
        yield from (f"{content.percent:.6g}", "", "", "", "published")
    elif content is None:
        yield from ("", "", "", "", "")
    elif content.estimate is None:
        yield from ("", "", "", "0", "missing")
    else:
        estimate = content.estimate
        for number in (estimate.value, estimate.low, estimate.high):
            yield f"{100 * number:.4f}"
        yield from (str(content.seeds), _marks(content, estimate))


def _text(content: Content, head: str, grid: Grid) -> str:
    """A place of a table, for people."""
    if content is None:
        return "-"
    if isinstance(content, Published):
        return as_printed(content.percent, grid.digits)
    seeds = f"[{content.seeds}/{content.wanted}]"
    if content.estimate is None:
        return seeds
    number = _number(content.estimate, grid, interval=head in grid.intervals)
    few = "" if content.seeds >= content.wanted else f" {seeds}"
    return f"{number}{_marks(content, content.estimate)}{few}"


def _marks(cell: Cell, estimate: Estimate) -> str:
    return f"{MARKS[estimate.seeds]}{'!' * cell.collapsed}{'*' * cell.partial}"


def _number(estimate: Estimate, grid: Grid, *, interval: bool) -> str:
    """An estimate with half of its interval, which Student's makes symmetric."""
    value = f"{100 * estimate.value:{'+' if grid.signed else ''}.{grid.digits}f}".replace("-", "−")
    return f"{value} ±{50 * (estimate.high - estimate.low):.{grid.digits}f}" if interval else value


def write(grids: Iterable[Grid], folder: Path) -> Iterator[Path]:
    """Write tables in all formats.

    Args:
        grids: the tables.
        folder: where the files go; it is made.

    Yields:
        The path of each file, once it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for grid in grids:
        for ending, render in FORMATS.values():
            path = folder / f"{grid.name}.{ending}"
            with replacing(path) as temporary:
                temporary.write_text(render(grid), encoding="utf-8")
            yield path


FORMATS: Mapping[str, tuple[str, Callable[[Grid], str]]] = {
    "markdown": ("md", markdown),
    "latex": ("tex", latex),
    "csv": ("csv", as_csv),
}
"""Ending of the file, and what writes it."""
