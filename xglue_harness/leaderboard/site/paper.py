"""The page of the paper: our scores beside Tables 1, 2, 4 and 5 of Ji et al. 2024."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.leaderboard.contributions.recipes import PAPER
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import TaskRow
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.site.cells import NONE, Cell, Head, Table, estimate_cell, point_cell
from xglue_harness.leaderboard.site.diagnostics import ROLES
from xglue_harness.leaderboard.site.paper_numbers import (
    MODELS,
    ROUNDING,
    misprinted,
    our_rows,
    pretrained_norms,
    without_chinese,
)
from xglue_harness.leaderboard.site.paths import PAPER_JSON, page_of, reference_path, summary_path
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES, collapsed_in_words, metric_of, signed_points
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.paper import LAST_LAYER, NAMES, spectrum, tables
from xglue_harness.published.reference import PublishedSystem, Reference


@dataclass(frozen=True)
class PaperPage:
    """The tables of the page.

    Attributes:
        table1: means by task.
        recomputed: those means computed from Table 4, minus what is printed.
        wpr: WPR's average both ways.
        table4: by language, a table for each task.
        table2: norms and distances in the last layer.
        table5: the same in the others.
        any_own: whether any of our scores stands there.
        off: names of the tasks whose printed average is not that of Table 4.
    """

    table1: Table
    recomputed: Table
    wpr: Table
    table4: tuple[Table, ...]
    table2: Table
    table5: Table
    any_own: bool
    off: tuple[str, ...]


def paper_page(reference: Reference, boards: Sequence[Board], validated: ValidatedTree) -> PaperPage:
    """Ours beside the paper's.

    Args:
        reference: the paper.
        boards: one for each recipe; the one named `PAPER` counts.
        validated: the tree, whose backbones have pages.
    """
    rows = our_rows(boards)
    page = _Page(reference, rows, validated)
    return PaperPage(
        page.table1(),
        page.recomputed(),
        page.wpr(),
        tuple(page.table4(spec) for spec in TASKS.values()),
        page.spectra(f"Table 2: singular values of the last encoder layer ({LAST_LAYER})", (LAST_LAYER,)),
        page.spectra(f"Table 5: singular values of layers 0 to {LAST_LAYER - 1}", range(LAST_LAYER)),
        any(system.name in rows for system in reference.systems),
        tuple(dict.fromkeys(TASKS[task].title for task, _ in misprinted(reference))),
    )


@dataclass(frozen=True)
class _Page:
    reference: Reference
    rows: Mapping[str, Mapping[str, TaskRow]]
    validated: ValidatedTree

    @property
    def href(self) -> str:
        return reference_path(self.reference.name)

    def _name(self, system: PublishedSystem, what: str, first: bool) -> Cell:
        """Heads a row; the rows of one backbone follow each other."""
        href = page_of(system.name) if system.name in self.validated.backbones and first else None
        return Cell(
            f"{system.title}, {what}" if first else what,
            href,
            note=f"{system.name}, {what}",
            kind="name" if first else "name sub",
            head=True,
        )

    def _beside(
        self, system: PublishedSystem, cells: Sequence[tuple[float | None, Estimate | None, str, str]]
    ) -> Iterator[tuple[Cell, ...]]:
        """Rows of a backbone: the paper's and, where there are any, ours and the difference.

        Args:
            system: the backbone.
            cells: for each column the paper's number in percent, our estimate, its JSON, and why not to trust it.
        """
        yield (self._name(system, "paper", True), *(point_cell(printed, PAPER_JSON) for printed, *_ in cells))
        if any(ours for _, ours, *_ in cells):
            yield (
                self._name(system, "ours", False),
                *(estimate_cell(ours, href, more=True, warning=warning) for _, ours, href, warning in cells),
            )
            yield (self._name(system, "difference", False), *(_difference(*cell[:2]) for cell in cells))

    def table1(self) -> Table:
        heads = (
            Head("backbone", kind=""),
            *(Head(spec.title, metric_of(spec), f"task-{spec.name}.html") for spec in TASKS.values()),
        )
        rows: list[tuple[Cell, ...]] = []
        for system in self.reference.systems:
            task_rows = self.rows.get(system.name, {})
            cells = [
                (system.mean(task), row.score if (row := task_rows.get(task)) else None, *self._origin(system, task))
                for task in TASKS
            ]
            rows += self._beside(system, cells)
        return Table("Table 1: means over languages in % (the paper's from its Table 4)", heads, tuple(rows))

    def _origin(self, system: PublishedSystem, task: str) -> tuple[str, str]:
        row = self.rows.get(system.name, {}).get(task)
        return summary_path(PAPER, system.name, task), collapsed_in_words(row.collapsed) if row else ""

    def recomputed(self) -> Table:
        heads = (Head("backbone", kind=""), *(Head(spec.title) for spec in TASKS.values()))
        rows = []
        for system in self.reference.systems:
            cells = []
            for task in TASKS:
                mean, printed = system.mean(task), system.printed[task]
                if mean is None:
                    cells.append(NONE)
                    continue
                kind = "num off" if abs(mean - printed) > ROUNDING + 1e-9 else "num"
                note = f"Table 1 prints {printed:.1f}; the languages of Table 4 have the mean {mean:.2f}"
                cells.append(
                    Cell(signed_points(mean - printed, 2), PAPER_JSON, note=note, value=mean - printed, kind=kind)
                )
            rows.append((Cell(system.title, kind="name", head=True, note=system.name), *cells))
        return Table(
            "Means over the languages of Table 4, minus the averages of Table 1, in points", heads, tuple(rows)
        )

    def wpr(self) -> Table:
        heads = (
            Head("backbone", kind=""),
            Head("printed", "the average of Table 4"),
            Head("six languages", "mean without Chinese"),
            Head("all seven", "mean over all languages"),
        )
        rows = []
        for system in self.reference.systems:
            cells = (
                point_cell(tables()["table4"]["WPR"][system.name]["AVG"], self.href, digits=2),
                point_cell(without_chinese(system.scores["wpr"]), PAPER_JSON, digits=2),
                point_cell(system.mean("wpr"), PAPER_JSON, digits=2),
            )
            rows.append((Cell(system.title, kind="name", head=True, note=system.name), *cells))
        return Table("WPR in %: the printed average leaves Chinese out", heads, tuple(rows))

    def table4(self, spec: TaskSpec) -> Table:
        heads = (Head("backbone", kind=""), *(Head(lang, LANGUAGE_NAMES[lang]) for lang in spec.languages))
        rows: list[tuple[Cell, ...]] = []
        for system in self.reference.systems:
            row = self.rows.get(system.name, {}).get(spec.name)
            href = summary_path(PAPER, system.name, spec.name)
            cells = [
                (system.scores[spec.name][lang], row.languages[lang] if row else None, href, "")
                for lang in spec.languages
            ]
            rows += self._beside(system, cells)
        return Table(
            f"Table 4, {spec.title}: {metric_of(spec).removeprefix('mean ').split(' over')[0]} in %", heads, tuple(rows)
        )

    def spectra(self, caption: str, layers: Sequence[int]) -> Table:
        """Norms and distances; ours are those of the pretrained weights, which no fine-tuning has touched."""
        titles = {system.name: system.title for system in self.reference.systems}
        checkpoints = {name: checkpoint for checkpoint, name in NAMES.items()}
        roles = [(role, what) for role in ROLES for what in ("‖σ‖", "d")]
        heads = (
            Head("layer, model", kind=""),
            *(Head(f"{role} {what}", "norm" if what == "‖σ‖" else "distance from mBART") for role, what in roles),
        )
        rows = []
        for layer in layers:
            for name in MODELS:
                pairs = [spectrum(checkpoints[name], layer, role) for role in ROLES]
                cells = [point_cell(value, self.href, digits=2) for pair in pairs for value in (pair or (None, None))]
                rows.append((Cell(f"{layer}, {titles[name]}, paper", kind="name", head=True, note=name), *cells))
                norms = pretrained_norms(self.validated, name)
                our_norms = [point_cell(norms.get((layer, role)), PAPER_JSON, digits=2) for role in ROLES]
                if any(cell is not NONE for cell in our_norms):
                    head = Cell("ours", kind="name sub", head=True, note=f"{layer}, {name}, ours")
                    rows.append((head, *(cell for norm in our_norms for cell in (norm, NONE))))
        return Table(caption, heads, tuple(rows))


def _difference(printed: float | None, ours: Estimate | None) -> Cell:
    if printed is None or ours is None:
        return NONE
    value = 100 * ours.value - printed
    low, high = 100 * ours.low - printed, 100 * ours.high - printed
    note = f"95% interval of ours minus the paper's number: {signed_points(low)} to {signed_points(high)}"
    return Cell(signed_points(value), PAPER_JSON, note=note, order=value, value=value, span=(low, high))
