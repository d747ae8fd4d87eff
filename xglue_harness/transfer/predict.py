"""Predict with a fine-tuned encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.transfer.batching import Example, collate, examples
from xglue_harness.transfer.learner import autocast, free_memory, is_out_of_memory
from xglue_harness.transfer.scoring import rows_of

if TYPE_CHECKING:
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.encoders.loading import Backbone
    from xglue_harness.transfer.recipe import Recipe
    from xglue_harness.transfer.scoring import Prediction

TOKENS_A_BATCH = 8192
"""Padded subwords of an evaluation batch (scores do not depend on it beyond the rounding of floats)."""


@dataclass(frozen=True)
class Prepared:
    """Documents of one language, tokenised: to be predicted with the weights of as many epochs as one likes.

    Attributes:
        spec: the task.
        language: the documents' language.
        places: for each row, its document and its number of words (tagging) or 0.
        documents: number of documents.
        inputs: what the encoder reads.
    """

    spec: TaskSpec
    language: str
    places: list[tuple[int, int]]
    documents: int
    inputs: list[Example]

    @property
    def real_tokens(self) -> int:
        """Subwords of all inputs, without padding."""
        return sum(len(item.encoded.ids) for item in self.inputs)

    @property
    def padded_tokens(self) -> int:
        """Subwords of all inputs with the padding of their batches."""
        return sum(len(batch) * len(batch[0].encoded.ids) for batch in batches(self.inputs))

    @property
    def truncated(self) -> int:
        """Inputs that lost text because they were longer than the recipe's ``max_length``."""
        return sum(item.encoded.truncated for item in self.inputs)


@dataclass(frozen=True)
class Predictions:
    """Predictions of one language, document by document."""

    values: list[Prediction]
    missing_words: int
    """Words without a prediction: 0, unless there is a bug."""


def prepare(
    backbone: Backbone, spec: TaskSpec, recipe: Recipe, documents: Sequence[Mapping[str, Any]], language: str
) -> Prepared:
    """Tokenise documents of one language.

    Args:
        backbone: its tokenizer counts here.
        spec: the task.
        recipe: its ``max_length`` counts here.
        documents: documents as `xglue_harness.transfer.scoring.documents` gives them.
        language: their language.
    """
    rows = [(index, row) for index, document in enumerate(documents) for row in rows_of(spec, document)]
    inputs = examples(spec, (row for _, row in rows), backbone.tokenizer, language, recipe.max_length)
    tagging = spec.kind is Kind.TAGGING
    places = [(index, len(row["words"]) if tagging else 0) for index, row in rows]
    return Prepared(spec, language, places, len(documents), inputs)


def batches(items: Sequence[Example]) -> Iterator[list[Example]]:
    """Inputs in order of length, as many a batch as `TOKENS_A_BATCH` allows."""
    batch: list[Example] = []
    for example in sorted(items, key=lambda item: -len(item.encoded.ids)):
        longest = len(batch[0].encoded.ids) if batch else 0
        if batch and longest * (len(batch) + 1) > TOKENS_A_BATCH:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def predict(
    model: TransferModel,
    backbone: Backbone,
    recipe: Recipe,
    prepared: Prepared,
    *,
    progress: bool = True,
    note: str = "",
) -> Predictions:
    """Predict documents of one language.

    Args:
        model: the fine-tuned encoder; put into evaluation mode.
        backbone: padding and device.
        recipe: its ``precision`` counts here.
        prepared: the documents.
        progress: show a bar.
        note: what the bar says beside task and language.

    Returns:
        For each document a class id; a list of them for words or for the rows of a query. Every word gets one.
    """
    tagging = prepared.spec.kind is Kind.TAGGING
    found: list[Any] = [[-1] * words if tagging else -1 for _, words in prepared.places]
    pad = backbone.tokenizer.pad_token_id
    model.eval()
    title = f"{prepared.spec.title} {prepared.language}{note}"
    bar = tqdm(total=len(prepared.inputs), desc=title, unit="ex", disable=not progress, leave=False)
    with torch.inference_mode(), autocast(backbone.device, recipe.precision), bar:
        for batch in batches(prepared.inputs):
            _store(found, batch, _classes(model, batch, pad, backbone.device), tagging)
            bar.update(len(batch))
    missing = sum(row.count(-1) for row in found) if tagging else found.count(-1)
    values = found
    if prepared.spec.kind is Kind.RANKING:
        values = [[] for _ in range(prepared.documents)]
        for (document, _), grade in zip(prepared.places, found, strict=True):
            values[document].append(grade)
    return Predictions(values, missing)


def _classes(model: TransferModel, batch: Sequence[Example], pad: int, device: torch.device) -> list[Any]:
    """Class of each input, or of each of its positions; a batch that does not fit into memory is halved."""
    try:
        tensors = collate(batch, pad, model.tagging)
        del tensors["labels"]
        logits = model(**{name: tensor.to(device) for name, tensor in tensors.items()})["logits"]
        classes: list[Any] = logits.argmax(dim=-1).tolist()
        return classes
    except (RuntimeError, MemoryError) as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    free_memory(device)
    half = len(batch) // 2
    return [*_classes(model, batch[:half], pad, device), *_classes(model, batch[half:], pad, device)]


def _store(found: list[Any], batch: Sequence[Example], classes: Sequence[Any], tagging: bool) -> None:
    for example, predicted in zip(batch, classes, strict=True):
        if not tagging:
            found[example.row] = predicted
            continue
        for position, word in zip(example.positions, example.words, strict=True):
            found[example.row][word] = predicted[position]
