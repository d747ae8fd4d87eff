"""Fine-tune an encoder on the English training set, or take it from the store where that was done before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.cpu_precision import bf16_gain
from xglue_harness.errors import RecipeError, TrainingError
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.parts import Cost
from xglue_harness.records.training_schema import Rule, Session, Training
from xglue_harness.store.trainings import Entry, Store, content_key
from xglue_harness.training import averaging
from xglue_harness.training.checkpoint import CheckpointFolder
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.reports import Reports
from xglue_harness.training.selection import Selected, averaged_by
from xglue_harness.training.trainer import Trainer, TrainingData, Watch
from xglue_harness.training.weights import load_trained

if TYPE_CHECKING:
    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.fingerprint import Identity
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import ChosenPrecision, Precision, Recipe

logger = logging.getLogger(__name__)

TRAINING_VERSION = 2
"""A part of every training's key, raised by hand with a change after which the same encoder, recipe and data end with
other weights: then, and only then, nobody may be given a training that was stored before. Whatever reads, tokenises,
batches or optimises can be such a change; ``tests/training/test_golden.py`` fails where one comes without a new number.
"""


def resolve_precision(wanted: Precision, device: torch.device) -> ChosenPrecision:
    """The arithmetic to use: ``auto`` is bf16 on a GPU that has it, and on a CPU where it pays; else fp32.

    Raises:
        DataError: where ``auto`` has to be measured, and the cache can't be written.
        RecipeError: for fp16 without a GPU, where torch has no gradient scaling for it, and for tf32 without one of
            NVIDIA's, which alone have it.
    """
    if wanted == "tf32" and device.type != "cuda":
        raise RecipeError("precision tf32 needs an NVIDIA GPU; elsewhere use fp32")
    if wanted == "fp16" and device.type == "cpu":
        raise RecipeError("precision fp16 needs a GPU; on a CPU use fp32 or bf16")
    if wanted != "auto":
        return wanted
    if device.type == "cpu":
        return _cpu_precision()
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def _cpu_precision() -> ChosenPrecision:
    """All processes go by what the first one measured."""
    gain = World.current().on_main(bf16_gain)
    if gain is None:
        return "fp32"
    logger.info("precision auto is %s: on this processor products in bf16 are %s", gain.better, gain)
    return gain.better


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned encoder in the store, and how this run came by it."""

    entry: Entry
    training: Training
    session: Session
    world: World

    def model(self, backbone: Backbone, spec: TaskSpec, recipe: Recipe) -> TransferModel:
        """A model to load an epoch's weights into."""
        with torch.random.fork_rng(devices=[]):  # the head's initial weights are replaced
            return build_model(backbone, spec, recipe).to(backbone.device).eval()

    def has(self, weights: Selected) -> bool:
        """Whether the store has what a rule leads to."""
        return averaging.has(self.entry, self.training.epochs, weights)

    def load(self, model: TransferModel, weights: Selected, device: torch.device) -> None:
        """Put the weights that a rule leads to, of those that the store has, into a model that `model` gave."""
        tensors = self.world.only_on_main(lambda: averaging.read(self.entry, self.training.epochs, weights))
        load_trained(model, self.world.broadcast_tensors(tensors, device))


def training_facts(backbone: Backbone, identity: Identity, recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """All that decides a training's weights, as JSON."""
    facts = {
        "backbone": {"weights": identity.weights, "config": identity.config, "tokenizer": identity.tokenizer},
        "recipe": recipe.model_dump(),
        "data": data.fingerprint,
        "dev": sorted(data.dev),
        "code": TRAINING_VERSION,
    }
    return facts if backbone.batch_rule == "any length" else {**facts, "batches": backbone.batch_rule}


def training_key(backbone: Backbone, identity: Identity, recipe: Recipe, data: TrainingData) -> str:
    """Name of a training in the store."""
    return content_key(training_facts(backbone, identity, recipe, data))


def answers(entry: Entry, rule: Rule, *, keep_all: bool = False) -> bool:
    """Whether an entry of the store has the weights that a rule leads to; only a mean may be lacking.

    Trainings of versions that kept no means lack those whose epochs were not all kept, and any lacks those of
    ``average_last_K`` that it was not asked for.

    Args:
        entry: the training.
        rule: by which weights will be selected.
        keep_all: whether the weights of all epochs must be there, too.
    """
    return _lacking(entry, rule, keep_all=keep_all) is None


def _lacking(entry: Entry, rule: Rule, *, keep_all: bool) -> str | None:
    """What an entry has not, in words; ``None``: nothing that was asked for."""
    epochs = Training.model_validate(entry.training).epochs
    averaged = averaged_by(rule, len(epochs))
    if averaged > 1 and not averaging.has(entry, epochs, Selected(epochs[-1].epoch, averaged)):
        return f"has no mean of the epochs' weights for select {rule}"
    if keep_all and not _has_all(entry):
        return "has not kept the weights of all epochs"
    return None


def _has_all(entry: Entry) -> bool:
    return all(scores.epoch in entry.weights for scores in Training.model_validate(entry.training).epochs)


def finetune(
    backbone: Backbone,
    identity: Identity,
    spec: TaskSpec,
    recipe: Recipe,
    data: TrainingData,
    *,
    store: Store | None = None,
    entry: Entry | None = None,
    checkpoint_seconds: float = 600.0,
    progress: bool = True,
    graphs: bool = True,
    place: str = "",
    reports: Reports | None = None,
    watch: Watch | None = None,
    select: Rule = "last",
    keep_all: bool = False,
) -> FineTuned:
    """Fine-tune a copy of an encoder; the encoder itself stays as it was.

    The same training is done once: its result is kept in the store. A training that was interrupted goes on from its
    last checkpoint, and ends with the same weights.

    Args:
        backbone: the pretrained encoder.
        identity: its hashes.
        spec: the task.
        recipe: all hyperparameters.
        data: what it is trained on.
        store: where the result is kept.
        entry: the training, where it was found in the store just now; it is not looked for again.
        checkpoint_seconds: time between two checkpoints; there is one after each epoch, too.
        progress: show bars.
        graphs: record steps as CUDA graphs where that can be done.
        place: among the trainings of a run, for the log.
        reports: what is told how it goes.
        watch: what looks at the model while it is trained.
        select: the rule whose weights must be there in the end. Those of the rules that need no option always are; for
            a mean that a finished training lacks, the same is trained again, and takes its place.
        keep_all: keep the weights of all epochs; for those that a finished training lacks, the same holds.

    Raises:
        TrainingError: when the loss is not finite, memory runs out, or the processes were given different things.
        StoreError: when the store can't be written.
    """
    store, world = store or Store(), World.current()
    facts = training_facts(backbone, identity, recipe, data)
    _check_same(facts, world)
    key = content_key(facts)
    with ExitStack() as stack:
        entry = entry or world.on_main(lambda: store.find(key))
        if entry is None or not answers(entry, select, keep_all=keep_all):
            world.on_main(lambda: stack.enter_context(store.locked(key)))
            entry = world.on_main(lambda: store.find(key))  # another process may have trained it meanwhile
        lacking = None if entry is None else _lacking(entry, select, keep_all=keep_all)
        if lacking is not None:
            logger.warning("%s: %s %s: it is trained anew", spec.title, key, lacking)
        elif entry is not None:
            logger.info("%s: taken from the store, nothing is trained: %s", spec.title, entry.folder)
            session = Session(from_store=True, resumed_from_step=None, trained_steps=0, cost=Cost(seconds=0.0))
            training = Training.model_validate(entry.training)
            if watch is not None and training.gradients is None:
                logger.warning(
                    "%s: this training was kept without gradients, which are looked at while it is trained: the record "
                    "has none. Set XGLUE_STORE to another folder to train once more, to the same weights",
                    spec.title,
                )
            if reports is not None and training.epochs:
                last = training.epochs[-1].epoch
                reports.follow(training.curve, training.epochs, training.steps / last)
            return FineTuned(entry, training, session, world)
        with CostMeter(backbone.device) as meter:
            checkpoints = CheckpointFolder(store.working_folder(key))
            trainer = Trainer(
                backbone,
                spec,
                recipe,
                data,
                checkpoints,
                world,
                checkpoint_seconds,
                progress,
                graphs=graphs,
                place=place,
                reports=reports,
                watch=watch,
                select=select,
                means=() if entry is None else entry.averages,
                keep_all=keep_all or (entry is not None and _has_all(entry)),
            )
            trainer.train()
        training = trainer.training(meter, key)
        if entry is not None and training.gradients is None:  # those of the same training, whose place it takes
            training = training.model_copy(update={"gradients": Training.model_validate(entry.training).gradients})
        made, record = trainer.progress, training.model_dump(mode="json")
        entry = world.on_main(lambda: store.finish(key, backbone.name, facts, record, made.kept, made.averages))
        logger.info("%s: kept in the store: %s", spec.title, entry.folder)
        return FineTuned(entry, training, trainer.session(meter), world)


def _check_same(facts: Mapping[str, Any], world: World) -> None:
    """Refuse processes that would train from other weights, on other data or by another recipe than the first one."""
    given = world.gather({name: content_key({name: value}) for name, value in facts.items()})
    for rank, theirs in enumerate(given):
        if different := sorted(name for name in {*given[0], *theirs} if given[0].get(name) != theirs.get(name)):
            raise TrainingError(
                f"process {rank} was given another {' and '.join(different)} than process 0: all must load the same "
                "checkpoint, at the same revision, and the same files (one drawn at random needs the same seed in each)"
            )
