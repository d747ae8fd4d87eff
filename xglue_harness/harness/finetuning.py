"""The protocol ``finetune``, as lm-eval meets it: a request a document (`xglue_harness.harness.requests` answers)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from xglue_harness.errors import RecipeError
from xglue_harness.harness.leaf_task import OUTPUT_TYPE, LeafTask, TransferRequest, new_request
from xglue_harness.harness.protocol import DOCUMENT, Answer, EvaluationProtocol, Metadata, Scored
from xglue_harness.transfer.leaf import Document


class FineTuning(EvaluationProtocol):
    """An encoder is fine-tuned on English and predicts every language."""

    name: Literal["finetune", "prompt", "probe"] = "finetune"
    output_type = OUTPUT_TYPE
    score_kind = "log_probability"
    metrics = ()

    def __init__(self, task: LeafTask) -> None:
        """Forget what an earlier model predicted."""
        self._task = task
        task.row_scores = {}

    def check(self, documents: int, processes: int) -> None:
        """Refuse fewer documents than processes: all train together, so each must have a part.

        Raises:
            RecipeError: saying so.
        """
        if documents < processes:
            raise RecipeError(
                f"{self._task.config.task}: {documents} documents for {processes} processes: raise --limit, or start "
                "fewer"
            )

    def contexts(self, doc: Document, **_: object) -> list[str]:
        """The document itself: there is no prompt around it."""
        return [self._task.doc_to_text(doc)]

    def requests(
        self, doc: Document, contexts: Sequence[str], metadata: Metadata, **_: object
    ) -> list[TransferRequest]:
        """One request a document."""
        request = new_request(TransferRequest, OUTPUT_TYPE, doc, tuple(contexts), metadata)
        request.task = self._task
        return [request]

    def answer(self, doc: Document, results: Sequence[Any]) -> Answer:
        """The prediction; whoever answered the requests has left its scores with the task."""
        return Answer(results[0], self._task.row_scores[doc[DOCUMENT]])

    def finalize(self, scored: Sequence[Scored]) -> None:
        """The record is written already, where the encoder was trained."""
