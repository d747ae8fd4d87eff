"""Which runs may be passed on: those that scored whole test sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xglue_harness.errors import DataError

if TYPE_CHECKING:
    from xglue_harness.results.run import Record, Run


def whole_tests(runs: Sequence[Run]) -> Iterator[tuple[Run, Record]]:
    """Runs with their records.

    Raises:
        DataError: for one that is an entry of the store, was limited to some rows, or has predictions only.
    """
    for run in runs:
        record = run.record
        if record is None:
            raise DataError(f"{run}: an entry of the store has no test scores: give lm_eval's results of its run")
        kept = record.predictions
        if kept is not None and kept.rows < kept.total:
            raise DataError(f"{run}: scores of {kept.rows} of {kept.total} rows: run it again without --limit")
        if run.score is None:
            raise DataError(f"{run}: predictions without scores: run it again without --predict_only")
        yield run, record
