"""A training of the store as a model again: the trained tensors over the pretrained backbone that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, TaskSpec
from xglue_harness.encoders.fingerprint import Identity, identify
from xglue_harness.errors import EncoderError, StoreError
from xglue_harness.recipe import Recipe
from xglue_harness.records.training_schema import AVERAGE_LAST, EpochScores
from xglue_harness.store.trainings import Entry, Store, read_entry
from xglue_harness.training.averaging import has, read
from xglue_harness.training.model import build_model
from xglue_harness.training.selection import Selected, selected
from xglue_harness.training.weights import load_trained

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel


@dataclass(frozen=True)
class Trained:
    """A fine-tuned encoder with its head.

    Attributes:
        entry: where its weights come from.
        weights: which of its weights they are.
        backbone: the pretrained encoder and its tokenizer.
        identity: hashes of the backbone.
        spec: the task.
        recipe: what it was trained by.
        model: encoder and head, in fp32 and evaluation mode.
    """

    entry: Entry
    weights: Selected
    backbone: Backbone
    identity: Identity
    spec: TaskSpec
    recipe: Recipe
    model: TransferModel


def entry_of(store: Store, key: str) -> Entry:
    """The finished training whose key begins so.

    Args:
        store: where it is looked for.
        key: its key, or the first digits of it.

    Raises:
        StoreError: where there is none, there are several, or its manifest is damaged.
    """
    found = [folder for folder in store.folders("entries") if folder.name.startswith(key)] if key else []
    if len(found) > 1:
        shown = ", ".join(folder.name[:12] for folder in found[:5])
        raise StoreError(f"{len(found)} entries' keys begin with {key!r} ({shown}): give more digits")
    if not found:
        unfinished = any(folder.name.startswith(key) for folder in store.folders("working"))
        why = "the training is not finished: run its command again" if key and unfinished else "see"
        raise StoreError(f"no entry's key begins with {key!r}: {why} `xglue-harness store ls`")
    return read_entry(found[0])


def chosen_weights(entry: Entry, wanted: str | None) -> Selected:
    """The weights to export: of the last epoch where none are asked for, as the option ``select`` does.

    Args:
        entry: the training.
        wanted: the number of an epoch, or ``average`` or ``average_last_3``, as the option ``select`` has them.

    Raises:
        StoreError: where they were not kept.
    """
    if wanted is None:
        return Selected(max(entry.weights))
    epochs = _epochs(entry)
    weights = selected(epochs, wanted, SOURCE_LANGUAGE) if _is_mean(wanted) else None
    with suppress(ValueError):
        weights = weights or Selected(float(wanted))
    if weights is not None and has(entry, epochs, weights):
        return weights
    means = f"; means of the last {', '.join(map(str, sorted(entry.averages)))} epochs" if entry.averages else ""
    kept = ", ".join(f"{one:g}" for one in sorted(entry.weights)) + means
    raise StoreError(
        f"{entry.key[:12]} has no weights of epoch {wanted}; kept are those that a rule may select: {kept}"
    )


def rebuilt(entry: Entry, weights: Selected, backbone: Backbone) -> Trained:
    """Put the trained tensors of an entry over its backbone.

    Args:
        entry: the training.
        weights: that `chosen_weights` gave.
        backbone: what it was trained from.

    Raises:
        EncoderError: where the backbone is not the one that was trained; its hashes tell.
        StoreError: where the entry is damaged, or of another version.
    """
    recipe = _recipe(entry)
    identity = identify(backbone)
    _check_same(entry, backbone, identity)
    backbone = replace(backbone, batch_rule=entry.identity.get("batches", "any length"))
    spec = TASKS[recipe.task]
    with torch.random.fork_rng(devices=[]):  # the head's initial weights are replaced
        model = build_model(backbone, spec, recipe).eval()
    try:
        load_trained(model, read(entry, _epochs(entry), weights))
    except (RuntimeError, KeyError) as error:
        raise StoreError(f"{entry.folder}: its tensors do not fit the model of this version: {error}") from None
    return Trained(entry, weights, backbone, identity, spec, recipe, model)


def _is_mean(wanted: str) -> bool:
    return wanted == "average" or re.fullmatch(AVERAGE_LAST, wanted) is not None


def _epochs(entry: Entry) -> list[EpochScores]:
    return [EpochScores.model_validate(scores) for scores in entry.training["epochs"]]


def _recipe(entry: Entry) -> Recipe:
    try:
        recipe = Recipe.model_validate(entry.identity["recipe"])
    except (KeyError, ValueError) as error:
        raise StoreError(f"{entry.folder}: its recipe is of another version of xglue-harness: {error}") from None
    if recipe.task not in TASKS:
        raise StoreError(f"{entry.folder}: a training of {recipe.task}, which is no task of this version")
    return recipe


def _check_same(entry: Entry, backbone: Backbone, identity: Identity) -> None:
    trained_from: Mapping[str, Any] = entry.identity.get("backbone", {})
    if different := [what for what, value in asdict(identity).items() if trained_from.get(what) != value]:
        raise EncoderError(
            f"{backbone.name} is not what {entry.key[:12]} was trained from: its {' and '.join(different)} changed "
            "since. Give the checkpoint as the run had it, "
            f"--model_args pretrained={entry.name},revision=COMMIT (results name the commit) or with the run's other "
            "arguments (tokenizer, dtype, peft, ...), or train again"
        )
