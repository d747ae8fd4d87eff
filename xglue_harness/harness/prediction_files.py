"""Predictions that are kept with each result: in the cache by content, and beside lm-eval's results file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.kinds import kind_of
from xglue_harness.records.prediction_cache import copy_saved, save_predictions
from xglue_harness.records.predictions import Header, RowPredictions
from xglue_harness.seal import DamagedFileError

if TYPE_CHECKING:
    from xglue_harness.harness.leaf_task import LeafTask
    from xglue_harness.harness.protocol import Scored

logger = logging.getLogger(__name__)


def keep_predictions(task: LeafTask, scored: Sequence[Scored]) -> dict[str, object]:
    """Write the predictions of a leaf into the cache.

    Args:
        task: the leaf.
        scored: its documents, in order.

    Returns:
        What the record says of them.

    Raises:
        DataError: where the cache can't be written.
    """
    leaf, score_kind, by_row = task.leaf, task.protocol.score_kind, kind_of(task.spec).by_row
    header = Header(
        task=leaf.spec.name, language=leaf.language, protocol=task.protocol.name, scores=score_kind, rows=leaf.rows
    )
    documents: list[int] = []
    rows: list[int] = []
    golds: list[Any] = []
    predicted: list[Any] = []
    scores: list[Any] = []
    for number, gold, prediction, row_scores in scored:
        places = leaf.document_rows[number]
        documents += [number] * len(places)
        rows += places
        golds += by_row(gold)
        predicted += by_row(prediction)
        scores += by_row(row_scores)
    sha256 = save_predictions(
        RowPredictions(header, documents, rows, golds, predicted, None if score_kind is None else scores)
    )
    return {"sha256": sha256, "rows": len(rows), "total": leaf.rows}


def copy_predictions(results: Mapping[str, Any], folder: Path, date: str) -> None:
    """Copy the predictions of all leaves of a run to ``predictions_<leaf>_<date>.parquet``, as lm-eval names samples.

    What can't be copied is named in the log; it stays in the cache.
    """
    for leaf, config in results["configs"].items():
        record = ((config.get("metadata") or {}).get("xglue") or {}).get("predictions")
        if record is None:
            continue
        path = folder / f"predictions_{leaf}_{date}.parquet"
        try:
            copy_saved(record["sha256"], path)
        except OSError as error:
            logger.warning("%s can't be written (%s): its predictions stay in the cache", path, error)
        except DamagedFileError as error:
            logger.warning("%s is not written: %s; run again, it is written anew", path, error)
