"""What the diagnostic ``trajectory`` has left in records, as rows by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from xglue_harness.errors import DataError
from xglue_harness.results.run import Run
from xglue_harness.untrusted.problems import problems_of

NAME = "trajectory"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class _Point(_Part):
    measure: str
    epoch: float
    cka: float | None
    low: float | None
    high: float | None
    null_p95: float | None


class _Epoch(_Part):
    epoch: float
    dev: float | None
    test: float | None


class _Trajectory(_Part):
    epochs: list[_Epoch]
    points: list[_Point]


def epoch_rows(run: Run) -> Iterator[dict[str, Any]]:
    """CKA and scores of a run by epoch, if it has any.

    Args:
        run: one language of a training.

    Yields:
        ``language``, ``measure``, ``epoch``, ``value`` (scores from 0 to 100), ``low``, ``high`` and ``null_p95``.

    Raises:
        DataError: where the record holds something else under that name.
    """
    diagnostics = getattr(run.record, "diagnostics", None)
    detail = None if diagnostics is None else diagnostics.details.get(NAME, {}).get(run.language)
    if detail is None:
        return
    try:
        kept = _Trajectory.model_validate(detail)
    except ValidationError as error:
        raise DataError(f"{run}: diagnostics.details.{NAME}: {problems_of(error)}") from None
    for point in kept.points:
        ends = {"low": point.low, "high": point.high, "null_p95": point.null_p95}
        yield _row(run, point.measure, point.epoch, point.cka, **ends)
    for measure in ("dev", "test"):
        for epoch in kept.epochs:
            score = getattr(epoch, measure)
            if score is not None:
                yield _row(run, measure, epoch.epoch, 100 * score, low=None, high=None, null_p95=None)


def _row(run: Run, measure: str, epoch: float, value: float | None, **ends: float | None) -> dict[str, Any]:
    return {"language": run.language, "measure": measure, "epoch": epoch, "value": value, **ends}
