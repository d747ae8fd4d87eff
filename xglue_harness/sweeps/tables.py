"""The tables of a report: Tables 1 and 4 of Ji et al. 2024 in their layout, and the contrasts between families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xglue_harness.benchmark import LANGUAGES, TASKS, TaskSpec
from xglue_harness.published.families import FAMILIES, Family
from xglue_harness.published.reference import PublishedSystem
from xglue_harness.published.tracks import STUDIES
from xglue_harness.sweeps.comparison import MEAN, Cell, Compared, Comparison, TaskComparison, contrast_pairs

_TABLE_1: tuple[Family | None, ...] = ("LM", "MT", "CP", None)
"""Order of the families in the paper's Table 1."""
_TABLE_4: tuple[Family | None, ...] = ("LM", "CP", "MT", None)
"""And in its Table 4."""

PUBLISHED = "Ji et al. 2024"

CONTRASTS = "contrasts"
"""Name of the table of differences."""

LEGEND = (
    "± half the 95% interval over trainings and test rows (Student's t)",
    "~ one training: its variance is the largest of the others",
    "? one training each: the interval is of test rows only",
    "! a run collapsed",
    "[n/N] n of N seeds have a result",
)
"""What the marks of a cell mean."""


@dataclass(frozen=True)
class Published:
    """A number of a paper, in percent."""

    percent: float


Content = Cell | Published | None
"""What a place of a table holds; ``None``: the benchmark, or the sweep, has no such number."""


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        head: what it is of.
        cells: as many as the table has columns of numbers.
    """

    head: str
    cells: tuple[Content, ...]


@dataclass(frozen=True)
class Block:
    """Lines that belong together.

    Attributes:
        head: of the block, such as a family; may be empty.
        lines: the lines.
    """

    head: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Grid:
    """A table, whatever it will be written as.

    Attributes:
        name: of its file, without ending.
        caption: what it shows.
        stubs: heads of the two columns of names.
        heads: of the columns of numbers.
        blocks: the lines.
        digits: decimals of a percentage.
        intervals: heads of the columns whose cells show their interval.
        signed: the numbers are differences.
        notes: what a reader must know.
    """

    name: str
    caption: str
    stubs: tuple[str, str]
    heads: tuple[str, ...]
    blocks: tuple[Block, ...]
    digits: int
    intervals: frozenset[str]
    signed: bool
    notes: tuple[str, ...]


def paper_tables(
    comparison: Comparison,
    published: Mapping[str, PublishedSystem],
    caption: str,
    *,
    language_intervals: bool = False,
) -> tuple[Grid, ...]:
    """Table 1, Table 4, and the contrasts between families where there are any; arguments as those have."""
    grids = (
        table_1(comparison, published, caption),
        table_4(comparison, published, caption, intervals=language_intervals),
    )
    between = contrasts(comparison, caption)
    return grids if between is None else (*grids, between)


def table_1(comparison: Comparison, published: Mapping[str, PublishedSystem], caption: str) -> Grid:
    """The means over languages: a line for each backbone, a column for each task.

    Args:
        comparison: the numbers.
        published: the paper's numbers of the backbones that it has, by key; shown below ours.
        caption: what is said of the results.
    """
    tasks = [*comparison.tasks.values()]
    heads = tuple(_title(task.spec) for task in tasks)
    blocks = []
    for group, members in _groups(comparison, _TABLE_1):
        lines: list[Line] = []
        for key, backbone in members.items():
            lines.append(Line(backbone.title, tuple(task.cells[key][MEAN] for task in tasks)))
            if key in published:
                lines.append(Line(PUBLISHED, tuple(_shown(published[key], task.spec) for task in tasks)))
        blocks.append(Block(group, tuple(lines)))
    what = f"Mean over the languages of each task, in percent. {caption}"
    notes = (*_notes(comparison), *_on_published(published))
    return Grid("table1", what, ("", "Model"), heads, tuple(blocks), 1, frozenset(heads), False, notes)


def table_4(
    comparison: Comparison, published: Mapping[str, PublishedSystem], caption: str, *, intervals: bool = False
) -> Grid:
    """Every language: a block of lines for each task.

    Args:
        comparison: the numbers.
        published: as for `table_1`.
        caption: what is said of the results.
        intervals: show those of each language, and not of the means only.
    """
    heads = (*(language.upper() for language in LANGUAGES), MEAN)
    blocks = []
    for task in comparison.tasks.values():
        lines = []
        every = [pair for _, members in _groups(comparison, _TABLE_4) for pair in members.items()]
        for key, backbone in every:
            cells = task.cells[key]
            lines.append(Line(backbone.title, tuple(cells.get(column) for column in (*LANGUAGES, MEAN))))
            if key in published:
                lines.append(Line(PUBLISHED, _languages(published[key], task.spec)))
        blocks.append(Block(_title(task.spec), tuple(lines)))
    what = f"Score of each language, in percent. {caption}"
    notes = (
        *_notes(comparison),
        *_on_published(published),
        "A cell with -: no such language in the benchmark, or among these results",
    )
    shown = frozenset(heads if intervals else (MEAN,))
    return Grid("table4", what, ("Task", "Model"), heads, tuple(blocks), 2, shown, False, notes)


def contrasts(comparison: Comparison, caption: str) -> Grid | None:
    """Families against each other, and each CP against what it continues; ``None`` where there is none."""
    pairs = contrast_pairs(comparison.backbones)
    if not pairs:
        return None
    heads = tuple(f"{_side(first, comparison)} − {_side(second, comparison)}" for first, second in pairs)
    lines = [
        Line(_title(task.spec), tuple(task.contrasts[pair] for pair in pairs)) for task in comparison.tasks.values()
    ]
    blocks = [Block("", tuple(lines))]
    if comparison.over_all:
        every = tuple(comparison.over_all[pair] for pair in pairs)
        blocks.append(Block("", (Line(f"mean of {len(lines)} tasks", every),)))
    members = [
        f"{group}: {', '.join(backbone.title for backbone in members.values())}"
        for group, members in _groups(comparison, _TABLE_1)
        if group in FAMILIES
    ]
    what = f"Differences in percentage points. {caption}"
    notes = ["* a family lacks a backbone of the sweep here", "; ".join(LEGEND)]
    if members:
        notes.insert(0, "; ".join(members))
    if others := [f"{item.title} ({item.track})" for item in comparison.backbones.values() if item.track != "main"]:
        notes.append(f"In no family, for tracks are never compared: {', '.join(others)}")
    return Grid(CONTRASTS, what, ("", "Task"), heads, tuple(blocks), 1, frozenset(heads), True, tuple(notes))


def _side(side: str, comparison: Comparison) -> str:
    return comparison.backbones[side].title if side in comparison.backbones else side


def _groups(comparison: Comparison, families: Sequence[Family | None]) -> Iterator[tuple[str, dict[str, Compared]]]:
    """Backbones by track and family, with what a table calls these: ``LM``, or ``LM, controlled track``."""
    for track in STUDIES:
        for family in families:
            members = {
                key: item for key, item in comparison.backbones.items() if (item.track, item.family) == (track, family)
            }
            if members:
                yield (family or "") if track == "main" else f"{family}, {track} track", members


def _shown(system: PublishedSystem, spec: TaskSpec) -> Published | None:
    """The paper's mean of the same languages, from its Table 4: its printed averages of WPR leave Chinese out."""
    scores = system.scores.get(spec.name, {})
    if any(language not in scores for language in spec.languages):
        return None
    return Published(sum(scores[language] for language in spec.languages) / len(spec.languages))


def _languages(system: PublishedSystem, spec: TaskSpec) -> tuple[Content, ...]:
    scores = system.scores.get(spec.name, {})
    asked = {language: Published(score) for language, score in scores.items() if language in spec.languages}
    return (*(asked.get(language) for language in LANGUAGES), _shown(system, spec))


def _notes(comparison: Comparison) -> tuple[str, ...]:
    """The legend, and tasks whose mean is not over all of their languages."""
    return ("; ".join(LEGEND), *filter(None, map(_fewer_languages, comparison.tasks.values())))


def _title(spec: TaskSpec) -> str:
    """A task's title, which says where its mean is over some of its languages only."""
    whole = len(TASKS[spec.name].languages)
    return spec.title if len(spec.languages) == whole else f"{spec.title} ({len(spec.languages)}/{whole})"


def _fewer_languages(task: TaskComparison) -> str | None:
    if len(task.spec.languages) == len(TASKS[task.spec.name].languages):
        return None
    return (
        f"{task.spec.title}: {', '.join(task.spec.languages)} only, of {len(TASKS[task.spec.name].languages)} languages"
    )


def _on_published(published: Mapping[str, PublishedSystem]) -> tuple[str, ...]:
    if not published:
        return ()
    return (f"{PUBLISHED}: means over the languages of its Table 4; its printed averages of WPR leave Chinese out",)
