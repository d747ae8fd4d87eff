"""The test scores of the weights that are exported, out of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.errors import DataError
from xglue_harness.records.schema import RunRecord
from xglue_harness.results.reading import read_runs
from xglue_harness.results.run import Run
from xglue_harness.training.selection import Selected

if TYPE_CHECKING:
    from xglue_harness.store.trainings import Entry


def scores_of(entry: Entry, weights: Selected, paths: Sequence[Path]) -> list[Run]:
    """Runs that scored some weights of a training on whole test sets, a language each.

    Args:
        entry: the training.
        weights: which of them.
        paths: as for `xglue_harness.results.reading.read_runs`.

    Raises:
        DataError: where there is none, or two differ on a language; and as `read_runs`.
    """
    runs = [run for run in read_runs(paths) if run.training is not None and run.training.store_key == entry.key]
    tested = [(run, run.record) for run in runs if isinstance(run.record, RunRecord)]
    if not tested:
        raise DataError(f"no result there is of the training {entry.key[:12]}: give those of its run")
    chosen: dict[str, Run] = {}
    for run, record in tested:
        kept = record.predictions
        if _scored(record) != weights or (kept is not None and kept.rows < kept.total):
            continue
        other = chosen.setdefault(run.language, run)
        if other.scores != run.scores:
            raise DataError(f"{run}: other scores than {other} for the same weights and language: give one of them")
    if not chosen:
        there = ", ".join(sorted({str(_scored(record)) for _, record in tested}))
        raise DataError(
            f"the results of {entry.key[:12]} are of {there}, or of some rows only (--limit); expected those of "
            f"{weights} on whole test sets: choose --epoch"
        )
    return [chosen[language] for language in tested[0][0].spec.languages if language in chosen]


def _scored(record: RunRecord) -> Selected:
    """The weights that a run scored."""
    return Selected(record.selection.epoch, record.selection.averaged)
