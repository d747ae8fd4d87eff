"""Predict with a fine-tuned encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from xglue_harness.bars import progress_bar
from xglue_harness.benchmark import TaskSpec
from xglue_harness.encoders.batching import budget_batches
from xglue_harness.encoders.cpu_kernels import evaluation_kernels
from xglue_harness.encoders.device import autocast
from xglue_harness.encoders.inputs import Inputs, concatenated
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.answers import Answers
from xglue_harness.prediction.equal_inputs import first_of_equals
from xglue_harness.prediction.forward import ForwardPass
from xglue_harness.prediction.token_budget import device_memory, known_budget
from xglue_harness.store.token_cache import encoder_inputs

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.kinds.base import Prediction
    from xglue_harness.prediction.hidden_states import HiddenStateRecorder
    from xglue_harness.recipe import Recipe


@dataclass(frozen=True)
class Prepared:
    """Documents of one language, tokenised: to be predicted with the weights of as many epochs as one likes.

    Attributes:
        spec: the task.
        language: the documents' language.
        places: for each row, its document and its number of labels: of words (tagging), or 1.
        documents: number of documents.
        inputs: what the encoder reads.
    """

    spec: TaskSpec
    language: str
    places: list[tuple[int, int]]
    documents: int
    inputs: Inputs

    @property
    def truncated(self) -> int:
        """Inputs that lost text because they were longer than the recipe's ``max_length``."""
        return int(self.inputs.truncated.sum())


@dataclass(frozen=True)
class Predictions:
    """Predictions of one language, document by document, and its share of the work.

    Attributes:
        values: for each document a class id; a list of them for words or for the rows of a query.
        scores: for each document natural logarithms of probabilities, in that order: those of all classes of its row,
            or of each row of the query; for words that of the predicted class alone.
        missing_words: words without a prediction: 0, unless there is a bug.
        duplicates: inputs that were not computed, for an equal one of this or another language was.
        real_tokens: subwords of the inputs that were computed.
        padded_tokens: the same with the padding of their batches.
    """

    values: list[Prediction]
    scores: list[Any]
    missing_words: int
    duplicates: int
    real_tokens: int
    padded_tokens: int


def prepare(
    backbone: Backbone,
    spec: TaskSpec,
    recipe: Recipe,
    documents: Sequence[Mapping[str, Any]],
    language: str,
    *,
    progress: bool = False,
) -> Prepared:
    """Tokenise documents of one language, or take their tokens from the cache.

    Args:
        backbone: its tokenizer counts here.
        spec: the task.
        recipe: its ``max_length`` counts here.
        documents: documents as `xglue_harness.kinds.base.TaskKind.documents` gives them.
        language: their language.
        progress: show a bar where it takes long.

    Raises:
        DataError: if the cache can't be written.
        EncoderError: for ids that the encoder has no row for, or a language that it would have to be told and does not
            know.
    """
    kind = kind_of(spec)
    rows = [(index, row) for index, document in enumerate(documents) for row in kind.rows_of(document)]
    texts = [row for _, row in rows]
    inputs = encoder_inputs(backbone, spec, texts, language, recipe.max_length, progress=progress)
    places = [(index, kind.label_count(row[spec.label_column])) for index, row in rows]
    return Prepared(spec, language, places, len(documents), inputs)


def predict(
    model: TransferModel,
    backbone: Backbone,
    recipe: Recipe,
    prepared: Sequence[Prepared],
    *,
    progress: bool = True,
    note: str = "",
    recorder: HiddenStateRecorder | None = None,
) -> list[Predictions]:
    """Predict documents of any number of languages in one pass, inputs of similar length together.

    Args:
        model: the fine-tuned encoder; put into evaluation mode.
        backbone: padding and device, and which inputs may share a batch.
        recipe: its ``precision`` counts here.
        prepared: the documents of each language, all of one task.
        progress: show a bar.
        note: what the bar says beside the task.
        recorder: takes the hidden states that it wants; its inputs are those of ``prepared``, in that order.

    Returns:
        The predictions of each language. Equal inputs are computed once.

    Raises:
        TrainingError: for scores that are not finite.
    """
    if not prepared:
        return []
    inputs = concatenated([part.inputs for part in prepared])
    sizes = [len(part.inputs) for part in prepared]
    firsts = first_of_equals(inputs)
    equals = np.bincount(firsts, minlength=len(firsts))  # of each input that is computed, how many it answers for
    computed, lengths = np.flatnonzero(equals), np.diff(inputs.starts.numpy())
    if recorder is not None:
        recorder.begin(sizes, firsts)
    model.eval()
    kernels = evaluation_kernels(backbone.device, recipe.precision)
    with torch.inference_mode(), autocast(backbone.device, recipe.precision), kernels:
        forward = ForwardPass(model, inputs, backbone.tokenizer.pad_token_id, backbone.device, recorder)
        memory = device_memory(backbone.device) if len(inputs) else None
        budget = known_budget(backbone.device) if memory is None else forward.probe(memory)
        batches = [computed[batch] for batch in budget_batches(lengths[computed], budget, backbone.batch_rule)]
        title = f"{prepared[0].spec.title}{note}"
        with progress_bar(len(inputs), title, "ex", wanted=progress) as bar:
            for batch in batches:
                forward.compute(batch)
                bar.update(int(equals[batch].sum()))
    if recorder is not None:
        recorder.finish()
    padded = np.zeros_like(lengths)
    for batch in batches:
        padded[batch] = lengths[batch[0]]
    return _by_part(prepared, forward.answers, firsts, np.where(equals > 0, lengths, 0), padded)


def _by_part(
    prepared: Sequence[Prepared], answers: Answers, firsts: np.ndarray, real: np.ndarray, padded: np.ndarray
) -> list[Predictions]:
    """What was computed, language by language and document by document.

    Args:
        prepared: the documents of each language.
        answers: of all inputs.
        firsts: ``[inputs]``, for each the one that was computed for it.
        real: ``[inputs]``, subwords that were computed of each.
        padded: ``[inputs]``, the same with padding.
    """
    inputs = np.cumsum([0, *(len(part.inputs) for part in prepared)])
    places = [np.array(part.places, dtype=np.int64).reshape(-1, 2) for part in prepared]
    rows = np.cumsum([0, *map(len, places)])
    owned = [part.inputs.rows.numpy() + start for part, start in zip(prepared, rows[:-1], strict=True)]
    found = answers.by_row(firsts, np.concatenate(owned), np.concatenate(places)[:, 1])
    predictions = []
    for number, part in enumerate(prepared):
        own, own_rows = (slice(bounds[number], bounds[number + 1]) for bounds in (inputs, rows))
        kind, documents = kind_of(part.spec), places[number][:, 0].tolist()
        predictions.append(
            Predictions(
                values=kind.grouped(documents, found.classes[own_rows]),
                scores=kind.grouped(documents, found.scores[own_rows]),
                missing_words=int(found.missing[own_rows].sum()),
                duplicates=int((real[own] == 0).sum()),
                real_tokens=int(real[own].sum()),
                padded_tokens=int(padded[own].sum()),
            )
        )
    return predictions
