"""What stands on the page of the paper: our scores beside Tables 1, 2, 4 and 5 of Ji et al. 2024."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.leaderboard.contributions.recipes import PAPER
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import TaskRow
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.leaderboard.site.cells import (
    LANGUAGE_NAMES,
    NONE,
    Cell,
    Head,
    Table,
    collapsed_in_words,
    estimate_cell,
    point_cell,
    signed_points,
)
from xglue_harness.leaderboard.site.data import PAPER_JSON, page_of, reference_path, summary_path
from xglue_harness.leaderboard.site.diagnostics import ROLES, spectra_of
from xglue_harness.leaderboard.site.pages import metric_of
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.paper import LAST_LAYER, NAMES, spectrum, tables
from xglue_harness.published.reference import Published, Reference

ROUNDING = 0.05
"""The most that a printed average of one decimal may differ from the mean of the numbers behind it."""

MODELS = ("mbart-large-50", "mbart-m2m", "mbart-m2o", "mbart-o2m")
"""The models of Tables 2 and 5."""


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


def paper_page(reference: Reference, boards: Sequence[Board], checked: ValidatedTree) -> PaperPage:
    """Ours beside the paper's.

    Args:
        reference: the paper.
        boards: one for each recipe; the one named `PAPER` counts.
        checked: the tree, whose backbones have pages.
    """
    rows = _own_rows(boards)
    page = _Page(reference, rows, checked)
    return PaperPage(
        page.table1(),
        page.recomputed(),
        page.wpr(),
        tuple(page.table4(spec) for spec in TASKS.values()),
        page.spectra(f"Table 2: singular values of the last encoder layer ({LAST_LAYER})", (LAST_LAYER,)),
        page.spectra(f"Table 5: singular values of layers 0 to {LAST_LAYER - 1}", range(LAST_LAYER)),
        any(system.name in rows for system in reference.systems),
        tuple(dict.fromkeys(TASKS[task].title for task, _ in _off(reference))),
    )


def _off(reference: Reference) -> Iterator[tuple[str, str]]:
    """Task and system of the printed averages that are not the mean of the printed languages."""
    for system in reference.systems:
        for task in TASKS:
            mean = system.mean(task)
            if mean is not None and abs(mean - system.printed[task]) > ROUNDING + 1e-9:
                yield task, system.name


def paper_json(reference: Reference, boards: Sequence[Board], checked: ValidatedTree) -> dict[str, Any]:
    """The paper's numbers, ours and the differences, in percent; and our norms of singular values.

    Args:
        reference: the paper.
        boards: one for each recipe; the one named `PAPER` counts.
        checked: the tree.
    """
    rows = _own_rows(boards)
    backbones = {
        system.name: {task: _task_json(system, task, rows.get(system.name, {}).get(task)) for task in TASKS}
        for system in reference.systems
    }
    norms = {
        name: {f"layer {layer}, {role}": _round(norm) for (layer, role), norm in _norms(checked, name).items()}
        for name in MODELS
    }
    return {"unit": "percent; norms are of pretrained weights", "backbones": backbones, "our_norms": norms}


def _task_json(system: Published, task: str, row: TaskRow | None) -> dict[str, Any]:
    mean, printed, scores = system.mean(task), system.printed[task], system.scores[task]
    return {
        "table1": printed,
        "mean_of_table4": _round(mean),
        "mean_without_zh": _round(_without_chinese(scores)),
        "mean_of_table4_minus_table1": None if mean is None else _round(mean - printed),
        **_numbers(mean, row.score if row else None),
        "languages": {lang: _numbers(value, row.languages[lang] if row else None) for lang, value in scores.items()},
    }


def _without_chinese(scores: Mapping[str, float]) -> float:
    own = [value for language, value in scores.items() if language != "zh"]
    return sum(own) / len(own)


def _norms(checked: ValidatedTree, name: str) -> dict[tuple[int, str], float]:
    """Norms of a backbone's pretrained weights, from the first results with spectra: they are the same in all."""
    groups: dict[tuple[str, str], list[TaskResult]] = {}
    for item in checked.results:
        if item.result.backbone == name:
            groups.setdefault((item.result.recipe, item.result.task), []).append(item.result)
    found = (spectra_of(results, "pretrained") for results in groups.values())
    return {key: norm for key, (norm, _) in next(filter(None, found), {}).items()}


def _numbers(printed: float | None, own: Estimate | None) -> dict[str, float | None]:
    ours = None if own is None else 100 * own.value
    difference = None if ours is None or printed is None else ours - printed
    return {"paper": _round(printed), "ours": _round(ours), "difference": _round(difference)}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 8)


def _own_rows(boards: Sequence[Board]) -> dict[str, dict[str, TaskRow]]:
    """Our rows under the paper's recipe, by backbone and task."""
    board = next((board for board in boards if board.recipe == PAPER), None)
    return {row.backbone.name: dict(row.tasks) for row in board.overall} if board else {}


@dataclass(frozen=True)
class _Page:
    reference: Reference
    rows: Mapping[str, Mapping[str, TaskRow]]
    checked: ValidatedTree

    @property
    def href(self) -> str:
        return reference_path(self.reference.name)

    def _name(self, system: Published, what: str, first: bool) -> Cell:
        """Heads a row; the rows of one backbone follow each other."""
        href = page_of(system.name) if system.name in self.checked.backbones and first else None
        return Cell(
            f"{system.title}, {what}" if first else what,
            href,
            note=f"{system.name}, {what}",
            kind="name" if first else "name sub",
            head=True,
        )

    def _beside(
        self, system: Published, cells: Sequence[tuple[float | None, Estimate | None, str, str]]
    ) -> Iterator[tuple[Cell, ...]]:
        """Rows of a backbone: the paper's, ours, and the difference where there is one.

        Args:
            system: the backbone.
            cells: for each column the paper's number in percent, our estimate, its JSON, and why not to trust it.
        """
        yield (self._name(system, "paper", True), *(point_cell(printed, PAPER_JSON) for printed, *_ in cells))
        yield (
            self._name(system, "ours", False),
            *(estimate_cell(own, href, more=True, warning=warning) for _, own, href, warning in cells),
        )
        if any(own for _, own, *_ in cells):
            yield (self._name(system, "difference", False), *(_difference(*cell[:2]) for cell in cells))

    def table1(self) -> Table:
        heads = (
            Head("backbone", kind=""),
            *(Head(spec.title, metric_of(spec), f"task-{spec.name}.html") for spec in TASKS.values()),
        )
        rows: list[tuple[Cell, ...]] = []
        for system in self.reference.systems:
            own = self.rows.get(system.name, {})
            cells = [
                (system.mean(task), row.score if (row := own.get(task)) else None, *self._origin(system, task))
                for task in TASKS
            ]
            rows += self._beside(system, cells)
        return Table("Table 1: means over languages in % (the paper's from its Table 4)", heads, tuple(rows))

    def _origin(self, system: Published, task: str) -> tuple[str, str]:
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
                cells.append(Cell(signed_points(mean - printed, 2), PAPER_JSON, note=note, kind=kind))
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
                point_cell(_without_chinese(system.scores["wpr"]), PAPER_JSON, digits=2),
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
                found = [spectrum(checkpoints[name], layer, role) for role in ROLES]
                cells = [point_cell(value, self.href, digits=2) for pair in found for value in (pair or (None, None))]
                rows.append((Cell(f"{layer}, {titles[name]}, paper", kind="name", head=True, note=name), *cells))
                norms = _norms(self.checked, name)
                own = [point_cell(norms.get((layer, role)), PAPER_JSON, digits=2) for role in ROLES]
                if any(cell is not NONE for cell in own):
                    head = Cell("ours", kind="name sub", head=True, note=f"{layer}, {name}, ours")
                    rows.append((head, *(cell for norm in own for cell in (norm, NONE))))
        return Table(caption, heads, tuple(rows))


def _difference(printed: float | None, own: Estimate | None) -> Cell:
    if printed is None or own is None:
        return NONE
    value = 100 * own.value - printed
    low, high = 100 * own.low - printed, 100 * own.high - printed
    note = f"95% interval of ours minus the paper's number: {signed_points(low)} to {signed_points(high)}"
    return Cell(signed_points(value), PAPER_JSON, note=note, order=value)
