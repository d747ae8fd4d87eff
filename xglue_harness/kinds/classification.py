"""One or two texts, one class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xglue_harness.kinds.base import TaskKind
from xglue_harness.official_metrics import Official, accuracy


class Classification(TaskKind):
    """NC, XNLI, PAWS-X, QADSM and QAM, scored by accuracy."""

    plain_mean = True
    asks = "choice"
    official_rule = "accuracy"

    def document_score(self, gold: Any, predicted: Any) -> float:
        """1.0 for the right class, else 0.0."""
        return float(gold == predicted)

    def official(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Official:
        """The same accuracy."""
        return Official(accuracy(gold, predicted), None, "accuracy")
