"""Predict with a fine-tuned encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.transfer.batching import Example, collate, examples
from xglue_harness.transfer.scoring import document_score, rows_of, score

if TYPE_CHECKING:
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.encoders.loading import Backbone
    from xglue_harness.transfer.recipe import Recipe
    from xglue_harness.transfer.scoring import Prediction

TOKENS_A_BATCH = 8192
"""Padded subwords of an evaluation batch (scores do not depend on it beyond the rounding of floats)."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of one language, document by document, with what had to be cut."""

    values: list[Prediction]
    truncated: int
    """Inputs that lost text because they were longer than the recipe's ``max_length``."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The arithmetic of a recipe's precision; weights stay in fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


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
    spec: TaskSpec,
    recipe: Recipe,
    documents: Sequence[Mapping[str, Any]],
    language: str,
    *,
    progress: bool = True,
) -> Predictions:
    """Predict documents of one language.

    Args:
        model: the fine-tuned encoder.
        backbone: tokenizer and device.
        spec: the task.
        recipe: its ``max_length`` and ``precision`` count here.
        documents: documents as `xglue_harness.transfer.scoring.documents` gives them.
        language: their language.
        progress: show a bar.

    Returns:
        For each document a class id; a list of them for words or for the rows of a query. Every word gets one.
    """
    from tqdm import tqdm

    rows = [(index, row) for index, document in enumerate(documents) for row in rows_of(spec, document)]
    inputs = examples(spec, (row for _, row in rows), backbone.tokenizer, language, recipe.max_length)
    found: list[Any] = [[-1] * len(row["words"]) if spec.kind is Kind.TAGGING else -1 for _, row in rows]
    pad = backbone.tokenizer.pad_token_id
    model.eval()
    bar = tqdm(total=len(inputs), desc=f"{spec.title} {language}", unit="ex", disable=not progress)
    with torch.inference_mode(), autocast(backbone.device, recipe.precision), bar:
        for batch in batches(inputs):
            tensors = collate(batch, pad, model.tagging)
            del tensors["labels"]
            logits = model(**{name: tensor.to(backbone.device) for name, tensor in tensors.items()})["logits"]
            _store(found, batch, logits.argmax(dim=-1).tolist(), model.tagging)
            bar.update(len(batch))
    values = found if spec.kind is not Kind.RANKING else _by_document(rows, found, len(documents))
    return Predictions(values, sum(example.encoded.truncated for example in inputs))


def _store(found: list[Any], batch: Sequence[Example], classes: list[Any], tagging: bool) -> None:
    for example, predicted in zip(batch, classes, strict=True):
        if not tagging:
            found[example.row] = predicted
            continue
        for position, word in zip(example.positions, example.words, strict=True):
            found[example.row][word] = predicted[position]


def _by_document(rows: Sequence[tuple[int, Any]], found: Sequence[int], count: int) -> list[Prediction]:
    grouped: list[list[int]] = [[] for _ in range(count)]
    for (document, _), grade in zip(rows, found, strict=True):
        grouped[document].append(grade)
    return list(grouped)


def evaluate(
    model: TransferModel,
    backbone: Backbone,
    spec: TaskSpec,
    recipe: Recipe,
    documents: Sequence[Mapping[str, Any]],
    language: str,
) -> float:
    """Score of one language in the task's own metric."""
    predicted = predict(model, backbone, spec, recipe, documents, language, progress=False).values
    pairs = zip(documents, predicted, strict=True)
    return score(spec, [document_score(spec, document[spec.label_column], value) for document, value in pairs])
