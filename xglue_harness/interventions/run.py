"""Score test sets with states that no longer tell their language, and with controls, beside the scores that count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from xglue_analysis.erasure import Affine, Moments, centering, erasure, random_erasure, random_shifts
from xglue_harness import metrics
from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.errors import RecipeError
from xglue_harness.interventions.editing import StateMoments, edited, last_layer
from xglue_harness.kinds import kind_of
from xglue_harness.kinds.base import counted, defined
from xglue_harness.prediction.predict import Prepared, predict, prepare
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.schema import Change, Intervention, Interventions

if TYPE_CHECKING:
    from xglue_harness.data import Source
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Options, Recipe
    from xglue_harness.training.distributed import World

Name = Literal["center", "erase"]
Edits = Mapping[str, Affine]
"""Change of each language's states; a language without one stays as it is."""


@dataclass(frozen=True)
class DevTexts:
    """Dev texts whose labels nobody looks at.

    Attributes:
        documents: of each language.
        files: sha256 of the rows that they come from, by path.
    """

    documents: Mapping[str, Sequence[Mapping[str, Any]]]
    files: Mapping[str, str]

    def first(self, most: int) -> DevTexts:
        """The first documents of each language.

        Args:
            most: how many.
        """
        few = {language: [rows[i] for i in range(min(most, len(rows)))] for language, rows in self.documents.items()}
        return DevTexts(few, self.files)


@dataclass(frozen=True)
class Scored:
    """This process's test documents of a language.

    Attributes:
        prepared: the documents, tokenised.
        golds: their labels.
        values: their predictions with unchanged states.
    """

    prepared: Prepared
    golds: Sequence[Any]
    values: Sequence[Any]


def dev_texts(source: Source, spec: TaskSpec, languages: Sequence[str], most: int) -> DevTexts:
    """The dev sets that interventions are fitted on: of English and of every language that is scored.

    Args:
        source: where they come from.
        spec: the task.
        languages: that are scored.
        most: documents of each.

    Raises:
        RecipeError: for a language without dev set.
        DataError: where one is malformed.
    """
    wanted = list(dict.fromkeys([SOURCE_LANGUAGE, *languages]))
    there = source.available(spec, "dev")
    if missing := [language for language in wanted if language not in there]:
        raise RecipeError(
            f"intervene is fitted on dev texts, and the data have none of {spec.title} in {', '.join(missing)}: choose "
            "other languages, or leave intervene out"
        )
    documents: dict[str, Sequence[Mapping[str, Any]]] = {}
    files: dict[str, str] = {}
    for language in wanted:
        loaded = source.load(spec, "dev", language)
        dataset = kind_of(spec).documents(loaded.dataset)
        documents[language] = dataset.select(range(min(most, len(dataset))))
        files.update(loaded.files)
    return DevTexts(documents, files)


def intervene(
    options: Options,
    model: TransferModel,
    backbone: Backbone,
    recipe: Recipe,
    spec: TaskSpec,
    texts: DevTexts,
    scored: Mapping[str, Scored],
    world: World,
) -> dict[str, Interventions]:
    """Fit each intervention that is asked for and its control, and score every language with both.

    English stays where it is when others are moved onto it (``center``); it is scored by ``erase``.

    Args:
        options: which, in which layer.
        model: fine-tuned, with the weights that were scored.
        backbone: its tokenizer and device.
        recipe: of the training.
        spec: the task.
        texts: to fit on.
        scored: what was predicted with unchanged states, by language.
        world: the processes; each has a share of all documents.

    Returns:
        The record of each language that has one.

    Raises:
        RecipeError: for a layer that the encoder does not have.
        EncoderError: where the states of a layer can't be changed.
    """
    last = last_layer(model.encoder)
    layer = last if options.intervene_layer is None else options.intervene_layer
    if layer > last:
        raise RecipeError(f"intervene_layer={layer}: the encoder has layers 0 to {last}")
    found: dict[str, dict[Name, Intervention]] = {language: {} for language in scored}
    with CostMeter(backbone.device) as meter:
        moments = _moments(model, backbone, recipe, spec, texts, layer, world)
        for name in options.intervene:
            changes, controls, rank = _fitted(name, moments, recipe.seed)
            for language, one in scored.items():
                if language not in changes:
                    continue
                items = [_items(spec, one.golds, one.values, world)]
                for edit in (changes[language], controls[language]):
                    with edited(model, layer, edit):
                        (predicted,) = predict(model, backbone, recipe, [one.prepared], progress=False)
                    items.append(_items(spec, one.golds, predicted.values, world))
                before, after, random = items
                lengths = [_length(edit, moments[language]) for edit in (changes[language], controls[language])]
                kind = kind_of(spec)
                found[language][name] = Intervention(
                    layer=layer,
                    states="subwords" if layer < last else "words" if kind.per_word else "pooled",
                    documents={name: len(documents) for name, documents in texts.documents.items()},
                    files=dict(texts.files),
                    rank=rank,
                    seed=recipe.seed,
                    change=_change(kind.score, before, after, lengths[0]),
                    control=_change(kind.score, before, random, lengths[1]),
                    beyond_control=kind.score(after) - kind.score(random),
                    beyond_control_stderr=defined(metrics.difference_stderr(random, after)),
                )
    return {language: Interventions(of=own, cost=meter.cost()) for language, own in found.items() if own}


def _moments(
    model: TransferModel,
    backbone: Backbone,
    recipe: Recipe,
    spec: TaskSpec,
    texts: DevTexts,
    layer: int,
    world: World,
) -> dict[str, Moments]:
    """Of the states of each language's dev texts, over all processes."""
    moments = {}
    for language, documents in texts.documents.items():
        share = [documents[index] for index in range(world.rank, len(documents), world.size)]
        own = None
        if share:
            prepared = prepare(backbone, spec, recipe, share, language)
            recorder = StateMoments(model, prepared.inputs, layer)
            predict(model, backbone, recipe, [prepared], progress=False, recorder=recorder)
            own = recorder.moments
        first, *others = [part for part in world.gather(own) if part is not None]
        for part in others:
            first = first + part
        moments[language] = first
    return moments


def _fitted(name: Name, moments: Mapping[str, Moments], seed: int) -> tuple[Edits, Edits, int | None]:
    """An intervention, its control, and its rank."""
    if name == "center":
        shifts = centering(moments, SOURCE_LANGUAGE)
        return shifts, random_shifts(shifts, seed), None
    erase = erasure(moments)
    control = random_erasure(moments, erase.rank, seed)
    return dict.fromkeys(moments, erase), dict.fromkeys(moments, control), erase.rank


def _items(spec: TaskSpec, golds: Sequence[Any], values: Sequence[Any], world: World) -> list[Any]:
    """Scores of all documents that count, process by process."""
    kind = kind_of(spec)
    own = [kind.document_score(gold, value) for gold, value in zip(golds, values, strict=True)]
    return counted([item for share in world.gather(own) for item in share])


def _change(score: Callable[[Sequence[Any]], float], before: list[Any], after: list[Any], length: float) -> Change:
    shares = [[_share(item) for item in items] for items in (before, after)]
    pairs = list(zip(*shares, strict=True))
    return Change(
        score=score(after),
        gain=score(after) - score(before),
        gain_stderr=defined(metrics.difference_stderr(before, after)),
        better=sum(b > a for a, b in pairs),
        worse=sum(b < a for a, b in pairs),
        length=length,
    )


def _share(item: Any) -> float:
    """The score of a document by itself; 1 where it has nothing to find and nothing was found."""
    if not isinstance(item, tuple):
        return float(item)
    num, den = item
    return num / den if den else 1.0


def _length(edit: Affine, moments: Moments) -> float:
    """Root mean square of how far states of these moments are moved, ``E ‖shift - R (x - c)‖²``."""
    if edit.removal is None or edit.centre is None:
        return float(edit.shift.norm())
    mean, centre = moments.mean, edit.centre
    about = moments.products / moments.count - torch.outer(mean, centre) - torch.outer(centre, mean)
    about = about + torch.outer(centre, centre)
    return float((edit.removal @ about @ edit.removal.T).trace().clamp_min(0).sqrt())
