"""The test scores of the weights that are exported, out of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.errors import DataError
from xglue_harness.records.schema import RunRecord
from xglue_harness.results.reading import Run, read_runs

if TYPE_CHECKING:
    from xglue_harness.store.trainings import Entry


def scores_of(entry: Entry, epoch: float, paths: Sequence[Path]) -> list[Run]:
    """Runs that scored the weights of a training's epoch on whole test sets, a language each.

    Args:
        entry: the training.
        epoch: one of its kept ones.
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
        if record.selection.epoch != epoch or (kept is not None and kept.rows < kept.total):
            continue
        other = chosen.setdefault(run.language, run)
        if other.scores != run.scores:
            raise DataError(f"{run}: other scores than {other} for the same weights and language: give one of them")
    if not chosen:
        epochs = ", ".join(sorted({f"{record.selection.epoch:g}" for _, record in tested}))
        raise DataError(
            f"the results of {entry.key[:12]} are of epoch {epochs}, or of some rows only (--limit); expected those of "
            f"epoch {epoch:g} on whole test sets: choose --epoch"
        )
    return [chosen[language] for language in tested[0][0].spec.languages if language in chosen]
