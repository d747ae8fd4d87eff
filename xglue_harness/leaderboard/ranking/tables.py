"""The leaderboard as rows of text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.tree import Tree
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.bootstrap import bootstrap
from xglue_harness.leaderboard.ranking.rows import ALL, OverallRow, Pair
from xglue_harness.leaderboard.ranking.statistics import Estimate
from xglue_harness.published.reference import as_printed, references

MARKS = {"own": "", "borrowed": "~", "unknown": "?"}
"""Mark behind an interval, by where its variance between trainings comes from."""

LEGEND = (
    "Scores in percent ± half the 95% interval over trainings and test rows. ~ one training: the largest variance of "
    "the others; ? one training each: test rows only. Rank: one more than those significantly better (Holm), = tied. "
    "! a run collapsed."
)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it shows.
        columns: their heads; the first one's cells are names.
        rows: cells.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """For a page of GitHub. Cells hold names and numbers of ours, no text of contributors."""
        head = [f"**{self.title}**", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*head, *(_line(row) for row in self.rows), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def percent(estimate: Estimate) -> str:
    """A score with half of its interval."""
    return f"{100 * estimate.value:.1f} ±{50 * (estimate.high - estimate.low):.1f}{MARKS[estimate.seeds]}"


def signed(estimate: Estimate) -> str:
    """A difference with its interval."""
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:+.1f} ({low:+.1f} to {high:+.1f}){MARKS[estimate.seeds]}"


def place(rank: tuple[int, int] | None) -> str:
    """A rank; ``=`` where another backbone may share it."""
    return "" if rank is None else f"{rank[0]}{'=' * (rank[0] != rank[1])}"


def overall(board: Board) -> Table:
    """A line for each backbone, over all tasks."""
    columns = ("backbone", "family", "seeds", "rank", "mean", "gap", *(TASKS[task].title for task in board.tasks))
    rows = []
    for row in board.overall:
        tasks = (row.tasks.get(task) for task in board.tasks)
        scores = ("" if task is None else percent(task.score) + "!" * bool(task.collapsed) for task in tasks)
        means = ("" if mean is None else percent(mean) for mean in (row.score, row.gap))
        rows.append((row.backbone.name, row.backbone.family, _seeds(row), place(row.rank), *means, *scores))
    return Table(f"{_named(board)}, mean of {len(TASKS)} tasks", columns, tuple(rows))


def _named(board: Board) -> str:
    return f"recipe {board.recipe}" if board.track == "main" else f"track {board.track}, recipe {board.recipe}"


def _seeds(row: OverallRow) -> str:
    counts = row.seed_counts
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def by_language(board: Board, task: str) -> Table:
    """A line for each backbone, with every language of a task."""
    table = board.tasks[task]
    spec = table.spec
    columns = ("backbone", "family", "seeds", "rank", "mean", "gap", "official", *spec.languages)
    rows = []
    for row in table.rows:
        languages = (f"{100 * row.languages[language].value:.1f}" for language in spec.languages)
        score = percent(row.score) + "!" * bool(row.collapsed)
        means = (score, percent(row.gap), f"{100 * row.official:.1f}")
        rows.append(
            (row.backbone.name, row.backbone.family, str(len(row.results)), place(row.rank), *means, *languages)
        )
    return Table(f"{_named(board)}, {spec.title} ({spec.metric})", columns, tuple(rows))


def published() -> list[Table]:
    """Published numbers, never ranked with ours."""
    tables = []
    for reference in references():
        columns = ("system", "family", "mean", *(spec.title for spec in TASKS.values()), "WPR as printed")
        rows = []
        for system in reference.systems:
            shown = [system.shown(task) for task in TASKS]
            cells = ("" if value is None else as_printed(value) for value in (system.overall, *shown))
            printed = system.printed.get("wpr")
            rows.append((system.name, system.family, *cells, "" if printed is None else as_printed(printed)))
        tables.append(Table(f"published: {reference.short}", columns, tuple(rows)))
    return tables


@dataclass(frozen=True)
class Compared:
    """Two backbones on a task, or over all.

    Attributes:
        task: short name, or `ALL`.
        scores: of the two.
        difference: the first minus the second.
        pair: both, with what the test of all pairs says.
        drawn: ends of the paired bootstrap's interval, shares.
    """

    task: str
    scores: tuple[Estimate, Estimate]
    difference: Estimate
    pair: Pair
    drawn: tuple[float, float]


def compared(board: Board, first: str, second: str, tasks: Sequence[str], replicates: int) -> list[Compared]:
    """Two backbones on those of the tasks that both have results on.

    Args:
        board: of the recipe.
        first: name of the one.
        second: name of the other, which is taken from it.
        tasks: short names, or `ALL`.
        replicates: of the bootstrap.
    """
    lines = []
    for task in tasks:
        pairs = board.pairs if task == ALL else board.tasks[task].pairs
        pair = next((pair for pair in pairs if {pair.first, pair.second} == {first, second}), None)
        if pair is not None:
            scores = (_score(board, task, first), _score(board, task, second))
            drawn = _bootstrapped(board, task, first, second, replicates)
            lines.append(Compared(task, scores, pair.minus(second), pair, drawn))
    return lines


def comparison(board: Board, first: str, second: str, lines: Sequence[Compared]) -> Table:
    """The table of two backbones, task by task and over all tasks."""
    columns = ("task", first, second, "difference (95%)", "p", "p (Holm)", "better", "bootstrap (95%)")
    rows = []
    for line in lines:
        numbers = (signed(line.difference), f"{line.difference.p:.3g}", f"{line.pair.comparison.p_holm:.3g}")
        title = "mean of all" if line.task == ALL else TASKS[line.task].title
        drawn = " to ".join(f"{100 * end:+.1f}" for end in line.drawn)
        rows.append((title, *map(percent, line.scores), *numbers, line.pair.winner or "tied", drawn))
    return Table(f"{_named(board)}: {first} minus {second}", columns, tuple(rows))


def _score(board: Board, task: str, name: str) -> Estimate:
    if task != ALL:
        row = board.tasks[task].row(name)
        assert row is not None
        return row.score
    return next(row.score for row in board.overall if row.backbone.name == name and row.score is not None)


def _bootstrapped(board: Board, task: str, first: str, second: str, replicates: int) -> tuple[float, float]:
    chosen = [*board.tasks.values()] if task == ALL else [board.tasks[task]]
    signs = {first: 1 / len(chosen), second: -1 / len(chosen)}
    parts = [(task_board.runs, task_board.weights(signs, task_board.spec.languages)) for task_board in chosen]
    low, high = np.quantile(bootstrap(parts, replicates=replicates), (0.025, 0.975))
    return float(low), float(high)


def changed_results(tree: Tree, base: Tree) -> list[str]:
    """Names of results that are new or have other scores than before, one line each."""
    before = {result.path: result for _, result in base.results}
    lines = []
    for _, result in tree.results:
        old = before.get(result.path)
        what = f"`{result.path.with_suffix('').as_posix()}`: {100 * result.mean:.1f}"
        if old is None:
            lines.append(f"new {what}")
        elif old.scores != result.scores:
            lines.append(f"changed {what} (was {100 * old.mean:.1f})")
    return lines
