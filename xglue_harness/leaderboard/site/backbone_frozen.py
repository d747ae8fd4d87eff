"""The frozen encoder on the page of a backbone: its score by task, and what fine-tuning adds to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.frozen import Gain, Gains
from xglue_harness.leaderboard.ranking.rows import ALL, OverallRow
from xglue_harness.leaderboard.ranking.tables import MARKS
from xglue_harness.leaderboard.site.cells import BEHIND, NONE, RANK, Cell, Head, Table, estimate_cell, rank_cell
from xglue_harness.leaderboard.site.paths import gains_path, summary_path
from xglue_harness.leaderboard.site.words import metric_of


def frozen_tables(backbone: Backbone, boards: Sequence[Board], gains: Sequence[Gains]) -> Iterator[Table]:
    """A table for each probe that the backbone has results of; none where it has none.

    Args:
        backbone: the backbone.
        boards: of frozen encoders, one for each track and probe.
        gains: what fine-tuning adds, for each track, fine-tuning and probe.
    """
    for board in boards:
        row = next((row for row in board.overall if row.backbone.name == backbone.name), None)
        if row is not None:
            found = [
                (one, _own(one, backbone)) for one in gains if (one.track, one.frozen) == (board.track, board.recipe)
            ]
            yield _table(board, row, [(one, own) for one, own in found if own])


def _own(gains: Gains, backbone: Backbone) -> dict[str, Gain]:
    """What fine-tuning adds to one backbone, by task and over all of them."""
    own = {task: row.mean for task, rows in gains.tasks.items() for row in rows if row.backbone.name == backbone.name}
    overall = next((gain for other, gain in gains.overall if other.name == backbone.name), None)
    return own if overall is None else own | {ALL: overall}


def _table(board: Board, row: OverallRow, gains: Sequence[tuple[Gains, Mapping[str, Gain]]]) -> Table:
    """A line for each task, with a column for each recipe of fine-tuning."""
    heads = (
        Head("task", kind=""),
        Head("frozen", "score of the probe on the frozen encoder, mean over languages, in %"),
        RANK,
        *(
            Head(f"gain by {one.recipe}", f"fine-tuned by {one.recipe} minus frozen, in points, paired over test rows")
            for one, _ in gains
        ),
    )
    rows = []
    for task, task_row in row.tasks.items():
        href = summary_path(board.place, row.backbone.name, task)
        rows.append(
            (
                Cell(TASKS[task].title, f"task-{task}.html", note=metric_of(TASKS[task]), kind="name", head=True),
                estimate_cell(task_row.score, href, more=True, kind="main"),
                rank_cell(task_row.rank, [other.rank for other in board.tasks[task].rows], href),
                *_gain_cells(gains, task),
            )
        )
    if row.score is not None:
        href = summary_path(board.place, row.backbone.name)
        rows.append(
            (
                Cell("all eight", "frozen.html", kind="name", head=True),
                estimate_cell(row.score, href, more=True, kind="main"),
                rank_cell(row.rank, [other.rank for other in board.overall], href),
                *_gain_cells(gains, ALL),
            )
        )
    caption = f"Frozen encoder by task, probe {board.recipe}: scores in %, gains in points"
    return Table(caption, heads, tuple(rows), False, True, _legend(row, gains))


def _legend(row: OverallRow, gains: Sequence[tuple[Gains, Mapping[str, Gain]]]) -> tuple[str, ...]:
    """What the signs of the table mean, of scores and of gains."""
    shown = [task_row.score for task_row in row.tasks.values()] + [
        gain.gain for _, own in gains for gain in own.values()
    ]
    return tuple(f"{MARKS[source]} {BEHIND[source]}" for source in {one.seeds: None for one in shown} if MARKS[source])


def _gain_cells(gains: Sequence[tuple[Gains, Mapping[str, Gain]]], task: str) -> Iterator[Cell]:
    for one, own in gains:
        href = gains_path(one.place, one.frozen)
        yield estimate_cell(own[task].gain, href, more=True, sign=True) if task in own else NONE
