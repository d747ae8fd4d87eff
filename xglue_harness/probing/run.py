"""Score a frozen encoder on a task: states, a probe that is fitted on English, predictions in every language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.kinds import kind_of
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.recipe import ProbeRecipe, probe_recipe
from xglue_harness.probing.scores import Rows, Scored, fitted, judged
from xglue_harness.probing.states import Part, keep_states
from xglue_harness.probing.training_rows import drawn_rows

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.kinds.base import Prediction


@dataclass(frozen=True)
class ProbeScore:
    """One language in one layer.

    Attributes:
        language: of the test set.
        layer: 0 is what the embeddings give, the last one the encoder's own output.
        score: by the task's own metric (`xglue_harness.scoring`).
        values: predicted class of each document, as `xglue_harness.prediction.predict.Predictions` has them.
        scores: natural logarithms of probabilities of each document, the same.
        scored: the same row by row, with what the probe read; a probe gives it always.
        iterations: that the probe's solver took.
    """

    language: str
    layer: int
    score: float
    values: Sequence[Prediction]
    scores: Sequence[Any]
    scored: Scored | None = None
    iterations: int = 0

    @property
    def ranking(self) -> float | None:
        """WPR: mean nDCG of the rows ranked by the cosine with their query, ties averaged; needs no training."""
        return None if self.scored is None else self.scored.ranking


@dataclass(frozen=True)
class TaskStates:
    """Rows of a task in one language, and the states of their texts or words.

    Attributes:
        rows: with their labels.
        part: states of the first texts, then of the second ones where a row has two; or of all words.
    """

    rows: Rows
    part: Part


@dataclass(frozen=True)
class TaskProbe:
    """A task that is about to be probed: everything is tokenised, nothing computed.

    Attributes:
        recipe: of the probe.
        encoder: the frozen encoder.
        train: English training rows.
        tests: rows by language.
    """

    recipe: ProbeRecipe
    encoder: FrozenEncoder
    train: TaskStates
    tests: Mapping[str, TaskStates] = field(default_factory=dict)

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return self.train.rows.spec

    @property
    def parts(self) -> list[Part]:
        """All states that are needed."""
        return [self.train.part, *(test.part for test in self.tests.values())]

    def score(self, layer: int) -> list[ProbeScore]:
        """Fit on English and score every language, in a layer whose states are on disk.

        Raises:
            DataError: for training rows of a single class.
        """
        what = f"{self.spec.title}, layer {layer}"
        classifier = fitted(self.recipe, self.train.rows, self.train.part.states(layer), what)
        scores = []
        for language, test in self.tests.items():
            found = judged(self.recipe, classifier, test.rows, test.part.states(layer))
            scores.append(
                ProbeScore(language, layer, found.score, found.values, found.scores, found, classifier.iterations)
            )
        return scores


def probe_task(
    backbone: Backbone,
    spec: TaskSpec,
    train: Dataset,
    documents: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    layers: Sequence[int] | None,
    pooling: str,
    max_length: int,
    seed: int,
    progress: bool,
) -> list[ProbeScore]:
    """Probe a frozen encoder on a task: fitted on English, scored in every language.

    Args:
        backbone: encoder and tokenizer; nothing of it is trained.
        spec: the task.
        train: English training rows.
        documents: documents of each language (`xglue_harness.kinds.base.TaskKind.documents`).
        layers: numbers, 0 being what the embeddings give; ``None``: the last one.
        pooling: of a text's subwords: ``mean``, ``first``, ``max`` or ``eos``; a word is its first subword.
        max_length: most subwords of a text, special ones included; each text of a pair is read by itself.
        seed: draws the training rows, where there are more than the recipe takes.
        progress: show bars.

    Returns:
        A score for each layer and language, the layers ascending, the languages as ``documents`` has them.

    Raises:
        DataError: where states can't be kept, or the training rows have a single class.
        EncoderError: where the encoder can't be used, or has no such layer.
        RecipeError: for a pooling or a length that can't be.
    """
    recipe = probe_recipe(spec, pooling=pooling, max_length=max_length, seed=seed)
    encoder = FrozenEncoder(backbone, pooling=pooling, max_length=max_length, progress=progress)
    chosen = encoder.layers(layers)
    probe = prepare_probe(encoder, spec, recipe, train, documents)
    keep_states([(encoder, probe.parts, chosen)])
    bar = tqdm(chosen, desc=f"{spec.title}: probes", unit="layer", disable=not progress, leave=False)
    return [found for layer in bar for found in probe.score(layer)]


def prepare_probe(
    encoder: FrozenEncoder,
    spec: TaskSpec,
    recipe: ProbeRecipe,
    train: Dataset,
    documents: Mapping[str, Sequence[Mapping[str, Any]]],
) -> TaskProbe:
    """Choose the training rows, and tokenise all.

    Args:
        encoder: the frozen encoder.
        spec: the task.
        recipe: of the probe.
        train: English training rows.
        documents: documents of each language.
    """
    english = drawn_rows(spec, train, recipe)
    tests = {language: Rows.of(spec, found) for language, found in documents.items()}
    return TaskProbe(
        recipe,
        encoder,
        _states(encoder, english, SOURCE_LANGUAGE, f"{spec.title} en train"),
        {language: _states(encoder, rows, language, f"{spec.title} {language}") for language, rows in tests.items()},
    )


def _states(encoder: FrozenEncoder, rows: Rows, language: str, title: str) -> TaskStates:
    if kind_of(rows.spec).per_word:
        return TaskStates(rows, encoder.words(rows.spec, rows.rows, language, title))
    return TaskStates(rows, encoder.texts(rows.texts, language, title))
