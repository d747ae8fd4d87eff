"""Scores of the dev sets, for the rules that select an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.collapse import classes_of
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import Prepared, predict, prepare
from xglue_harness.training.distributed import World

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe


@dataclass(frozen=True)
class DevScore:
    """A language's dev score, and whether only one class was predicted for it."""

    value: float
    constant: bool


class DevSets:
    """The dev sets of a training, tokenised when they are first needed; each process predicts its share."""

    def __init__(
        self,
        backbone: Backbone,
        spec: TaskSpec,
        recipe: Recipe,
        documents: Mapping[str, Sequence[Mapping[str, Any]]],
        world: World,
    ) -> None:
        """Take the dev documents of each language."""
        self._backbone, self._spec, self._recipe = backbone, spec, recipe
        self._documents, self._world = documents, world
        self._shares: list[tuple[Prepared, list[Any]]] | None = None

    def score(self, model: TransferModel, *, progress: bool, note: str) -> tuple[dict[str, DevScore], int]:
        """Predict and score all dev sets in one pass.

        Returns:
            What each language comes to, and the subwords that all processes computed.
        """
        if self._shares is None:
            self._shares = self._prepare(progress)
        parts = [part for part, _ in self._shares]
        predicted = predict(model, self._backbone, self._recipe, parts, progress=progress, note=note)
        kind, mine = kind_of(self._spec), []
        for (_, golds), predictions in zip(self._shares, predicted, strict=True):
            pairs = zip(golds, predictions.values, strict=True)
            scored = [kind.document_score(gold, value) for gold, value in pairs]
            mine.append((scored, classes_of(predictions.values)))
        gathered = self._world.gather((mine, sum(predictions.real_tokens for predictions in predicted)))
        scores: dict[str, DevScore] = {}
        for place, (language, documents) in enumerate(self._documents.items()):
            items: list[Any] = [None] * len(documents)
            classes: set[int] = set()
            for rank, (shares, _) in enumerate(gathered):
                items[rank :: self._world.size], seen = shares[place]
                classes |= seen
            scores[language] = DevScore(kind.score(items), constant=len(classes) == 1)
        return scores, sum(tokens for _, tokens in gathered)

    def _prepare(self, progress: bool) -> list[tuple[Prepared, list[Any]]]:
        """This process's documents of each language, and their labels."""
        shares = []
        for language, documents in self._documents.items():
            share = [documents[index] for index in range(self._world.rank, len(documents), self._world.size)]
            prepared = prepare(self._backbone, self._spec, self._recipe, share, language, progress=progress)
            shares.append((prepared, [document[self._spec.label_column] for document in share]))
        return shares
