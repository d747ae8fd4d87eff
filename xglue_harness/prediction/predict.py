"""Predict with a fine-tuned encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from xglue_harness.benchmark import TaskSpec
from xglue_harness.encoders.batching import budget_batches
from xglue_harness.encoders.device import autocast, free_memory, is_out_of_memory
from xglue_harness.encoders.inputs import Inputs, collate, concatenated
from xglue_harness.errors import TrainingError
from xglue_harness.kinds import kind_of
from xglue_harness.store.token_cache import encoder_inputs

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.kinds.base import Prediction
    from xglue_harness.prediction.hidden_states import HiddenStateRecorder
    from xglue_harness.recipe import Recipe

TOKENS_A_BATCH = {"cpu": 1024}
"""Padded subwords of an evaluation batch, by type of device: on a CPU what its caches hold is fastest."""
_TOKENS_A_BATCH = 8192
"""The same on any other device; scores do not depend on it beyond the rounding of floats."""


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
    spec = prepared[0].spec
    inputs = concatenated([part.inputs for part in prepared])
    owners = [owner for owner, part in enumerate(prepared) for _ in range(len(part.inputs))]
    equals = _equals(inputs)
    answers = _Answers(inputs, owners, [part.places for part in prepared])
    real, padded = [0] * len(prepared), [0] * len(prepared)
    computed = list(equals)
    if recorder is not None:
        recorder.begin([len(part.inputs) for part in prepared])
    pad = backbone.tokenizer.pad_token_id
    budget = TOKENS_A_BATCH.get(backbone.device.type, _TOKENS_A_BATCH)
    model.eval()
    with (
        torch.inference_mode(),
        autocast(backbone.device, recipe.precision),
        tqdm(total=len(inputs), desc=f"{spec.title}{note}", unit="ex", disable=not progress, leave=False) as bar,
    ):
        for batch in budget_batches([inputs.lengths[index] for index in computed], budget, backbone.batch_rule):
            places = [computed[place] for place in batch]
            longest = inputs.lengths[places[0]]
            computed_batch = _classes(model, inputs, places, pad, backbone.device, recorder, equals)
            for index, classes, scores in zip(places, *computed_batch, strict=True):
                real[owners[index]] += inputs.lengths[index]
                padded[owners[index]] += longest
                for equal in equals[index]:
                    answers.add(equal, classes, scores)
                bar.update(len(equals[index]))
    computed_of = Counter(owners[index] for index in computed)
    return [
        Predictions(
            *answers.by_document(owner, part),
            answers.missing(owner),
            len(part.inputs) - computed_of[owner],
            real[owner],
            padded[owner],
        )
        for owner, part in enumerate(prepared)
    ]


def _equals(inputs: Inputs) -> dict[int, list[int]]:
    """All inputs by the first of those equal to them: same subwords, same segments, told the same language."""
    ids, segments = inputs.ids.numpy(), None if inputs.segments is None else inputs.segments.numpy()
    starts = inputs.starts.tolist()
    languages = [0] * len(inputs) if inputs.languages is None else inputs.languages.tolist()
    firsts: dict[tuple[bytes, bytes, int], int] = {}
    equals: dict[int, list[int]] = {}
    for index in range(len(inputs)):
        span = slice(starts[index], starts[index + 1])
        content = (ids[span].tobytes(), b"" if segments is None else segments[span].tobytes(), languages[index])
        equals.setdefault(firsts.setdefault(content, index), []).append(index)
    return equals


class _Answers:
    """Classes of rows, or of their words, and their scores as they come in; class -1 where none has come yet."""

    def __init__(self, inputs: Inputs, owners: Sequence[int], places: Sequence[Sequence[tuple[int, int]]]) -> None:
        self._inputs, self._owners = inputs, owners
        self._rows = inputs.rows.tolist()
        self._first_words = [] if inputs.first_words is None else inputs.first_words.tolist()
        self._classes: list[list[Any]] = [
            [[-1] * words if inputs.tagging else -1 for _, words in rows] for rows in places
        ]
        self._scores: list[list[Any]] = [[[0.0] * words for _, words in rows] for rows in places]

    def add(self, index: int, classes: torch.Tensor, scores: torch.Tensor) -> None:
        """Take class and score of all subwords of an input (tagging), or its class and the scores of all classes."""
        owner, row = self._owners[index], self._rows[index]
        all_classes, all_scores = self._classes[owner], self._scores[owner]
        if self._inputs.positions is None:
            all_classes[row], all_scores[row] = int(classes), scores.tolist()
            return
        words, first = self._inputs.words_of(index), self._first_words[index]
        in_sentence, positions = slice(first, first + words.stop - words.start), self._inputs.positions[words]
        all_classes[row][in_sentence] = classes[positions].tolist()
        all_scores[row][in_sentence] = scores[positions].tolist()

    def missing(self, owner: int) -> int:
        """Rows or words without a class."""
        classes = self._classes[owner]
        return sum(row.count(-1) for row in classes) if self._inputs.tagging else classes.count(-1)

    def by_document(self, owner: int, part: Prepared) -> tuple[list[Prediction], list[Any]]:
        """Classes and scores of each document."""
        classes, scores = self._classes[owner], self._scores[owner]
        kind, documents = kind_of(part.spec), [document for document, _ in part.places]
        return kind.grouped(documents, classes), kind.grouped(documents, scores)


def _classes(
    model: TransferModel,
    inputs: Inputs,
    batch: Sequence[int],
    pad: int,
    device: torch.device,
    recorder: HiddenStateRecorder | None,
    equals: Mapping[int, Sequence[int]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Class of each input and log-probabilities of all, or class and log-probability of each of its positions.

    A batch that does not fit into memory is halved.
    """
    try:
        tensors = {name: tensor.to(device) for name, tensor in collate(inputs, batch, pad).items() if name != "labels"}
        numbers = [equals[index] for index in batch]
        recording = recorder is not None and any(map(recorder.wants, numbers))
        output = model(**tensors, **({"output_hidden_states": True} if recording else {}))
        if recorder is not None and recording:
            recorder.add(numbers, output["hidden_states"], tensors["attention_mask"])
        _check_finite(output["logits"], tensors["attention_mask"], tagging=model.tagging)
        classes: torch.Tensor = output["logits"].argmax(dim=-1)
        scores = output["logits"].float().log_softmax(dim=-1)
        if model.tagging:
            scores = scores.gather(-1, classes[..., None])[..., 0]
        return classes.cpu(), scores.cpu()
    except (RuntimeError, MemoryError) as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    free_memory(device)
    half = len(batch) // 2
    parts = [_classes(model, inputs, part, pad, device, recorder, equals) for part in (batch[:half], batch[half:])]
    longest = max(classes.shape[-1] for classes, _ in parts) if model.tagging else 0
    columns = zip(*parts, strict=True)
    return tuple(torch.cat([_widened(part, longest) for part in column]) for column in columns)  # type: ignore[return-value]


def _check_finite(logits: torch.Tensor, mask: torch.Tensor, *, tagging: bool) -> None:
    real = logits[mask.bool()] if tagging else logits  # at padded places anything may stand
    if not torch.isfinite(real).all():
        raise TrainingError(
            "the encoder gives scores that are NaN or infinite: no class could be told from them. Try precision fp32 "
            "or bf16, and see that the checkpoint is sound"
        )


def _widened(part: torch.Tensor, longest: int) -> torch.Tensor:
    """Positions (tagging) filled up to the longest; other tensors as they are."""
    return torch.nn.functional.pad(part, (0, longest - part.shape[-1])) if longest else part
