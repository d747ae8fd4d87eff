"""One fine-tuning, from its last checkpoint to its end."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.collapse import chance
from xglue_harness.encoders.batching import epoch_batches
from xglue_harness.encoders.checks import check_ids
from xglue_harness.encoders.dropout import set_dropout
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.encoders.told_languages import keep_languages, language_number
from xglue_harness.encoders.trimmed_embedding import trim, why_not_trimmable
from xglue_harness.kinds import kind_of
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.provenance import environment
from xglue_harness.records.schema import Cost, EpochScores, Session, Training
from xglue_harness.store.token_cache import cached
from xglue_harness.store.trainings import code_sha256
from xglue_harness.training.checkpoint import CheckpointFolder, Progress, generators, set_generators
from xglue_harness.training.dev_sets import DevSets
from xglue_harness.training.distributed import World
from xglue_harness.training.selection import needed
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.weights import trained_tensors

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.recipe import Recipe

logger = logging.getLogger(__name__)

_ASK_EVERY = 16
"""Steps after which several processes agree on whether a checkpoint is due."""


@dataclass(frozen=True)
class TrainingData:
    """What a training reads.

    Attributes:
        train: English training rows.
        dev: dev documents by language, for the selection rules; as many languages as the recipe's ``dev`` asks for.
        fingerprint: hash of the files that they come from.
    """

    train: Sequence[Mapping[str, Any]] | Dataset
    fingerprint: str
    dev: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def build_model(backbone: Backbone, spec: TaskSpec, recipe: Recipe, used: Iterable[int] | None = None) -> TransferModel:
    """A copy of the encoder, in fp32, with a new head (torch's global seed counts).

    Args:
        backbone: the pretrained encoder.
        spec: the task.
        recipe: its pooling and dropout count here.
        used: the embedding rows to train; the table itself is then not copied, and stays the backbone's. ``None``: all.
    """
    shared: dict[int, Any] = {}
    if used is not None:
        table: Any = backbone.encoder.get_input_embeddings().weight  # type: ignore[operator]
        shared[id(table)] = torch.nn.Parameter(table.detach())
    encoder = copy.deepcopy(backbone.encoder, shared).float()
    encoder.requires_grad_(True)
    keep_languages(encoder)
    if used is not None:
        trim(encoder, used)
    if recipe.dropout is not None:
        set_dropout(encoder, recipe.dropout)
    if recipe.compile:
        encoder.compile(dynamic=True)  # in place: names of weights stay
    head_dropout = {} if recipe.dropout is None else {"dropout": recipe.dropout}
    tagging = kind_of(spec).per_word
    return TransferModel(encoder, len(spec.labels), tagging=tagging, pooling=recipe.pooling, **head_dropout)


class Trainer:
    """One training, from its last checkpoint to its end."""

    def __init__(
        self,
        backbone: Backbone,
        spec: TaskSpec,
        recipe: Recipe,
        material: TrainingData,
        working: CheckpointFolder,
        world: World,
        checkpoint_seconds: float,
        progress: bool,
    ) -> None:
        self._backbone, self._spec, self._recipe, self._material = backbone, spec, recipe, material
        self._working, self._world, self._checkpoint_seconds = working, world, checkpoint_seconds
        self._bars = progress and world.is_main_process
        began = time.monotonic()
        self._inputs = self._tokenise()
        self._tokenised_in = time.monotonic() - began
        self._dev = DevSets(backbone, spec, recipe, material.dev, world)
        self._per_epoch = math.ceil(len(self._inputs) / recipe.batch_size)
        self._steps = math.ceil(round(self._per_epoch * recipe.epochs, 6))  # 100 * 1.1 is a little more than 110
        self._embedding_rows: int | None = None
        self.resumed_from: int | None = None
        self.progress = Progress(name=backbone.name, recipe=recipe.model_dump())
        self._learner = self._start_or_resume()

    def train(self) -> None:
        """Train until the last epoch is finished and scored."""
        counters = self.progress.counters
        title = f"{self._spec.title}: fine-tuning"
        with tqdm(total=self._steps, initial=counters.step, desc=title, unit="step", disable=not self._bars) as bar:
            while True:
                if self.progress.epochs and self.progress.epochs[-1].epoch == counters.step / self._per_epoch:
                    self._score_epoch()
                if counters.step == self._steps:
                    return
                self._train_epoch(bar)

    # ---------------------------------------------------------------- beginning

    def _tokenise(self) -> Inputs:
        """Tokenise the training set, or take its tokens from the cache; the first process does it for all."""
        found: Inputs | None = None

        def read() -> None:
            nonlocal found
            tokenizer, length = self._backbone.tokenizer, self._recipe.max_length
            number = language_number(self._backbone, SOURCE_LANGUAGE)
            tokens = cached(self._spec, self._material.train, tokenizer, SOURCE_LANGUAGE, length, progress=self._bars)
            check_ids(self._backbone.encoder, tokenizer, tokens.ids, f"{self._spec.title}, training set")
            found = tokens.told(number)

        self._world.on_main(read)
        if not self._world.is_main_process:
            read()
        assert found is not None
        return found

    def _start_or_resume(self) -> TrainStep:
        backbone, recipe, world = self._backbone, self._recipe, self._world
        tensors: dict[str, torch.Tensor] | None = None

        def load() -> Progress | None:
            nonlocal tensors
            found = self._working.load()
            if found is None:
                return None
            progress, tensors = found
            return progress

        before = world.on_main(load)
        self.progress = before or self.progress
        pad = backbone.tokenizer.pad_token_id
        why_not = why_not_trimmable(backbone.encoder, recipe.weight_decay)
        used = None
        if why_not is None:
            used = {*torch.unique(self._inputs.ids).tolist(), pad}
        else:
            logger.info("all embedding rows are trained: %s", why_not)
        model = build_model(backbone, self._spec, recipe, used)
        if used is not None:
            self._embedding_rows = len(model.encoder.get_input_embeddings().weight)  # type: ignore[operator]
        learner = TrainStep(
            model.to(backbone.device),
            recipe,
            self._inputs,
            steps=self._steps,
            words_per_batch=len(self._inputs.labels) / self._per_epoch if model.tagging else None,
            pad=pad,
            device=backbone.device,
            world=world,
            counters=self.progress.counters,
            company=backbone.company,
        )
        if world.rank:  # each process draws its own dropout
            torch.manual_seed(recipe.seed + 7919 * world.rank + self.progress.counters.step)
        if before is not None:
            self.resumed_from = before.counters.step
            learner.load(world.broadcast_tensors(tensors, backbone.device))
            tensors = None
            learner.scaler.load_state_dict(self.progress.scaler)
            if world.rank < len(self.progress.generators):
                set_generators(self.progress.generators[world.rank], backbone.device)
            logger.info("%s: goes on from step %d of %d", self._spec.title, self.resumed_from, self._steps)
        return learner

    # ---------------------------------------------------------------- epochs

    def _train_epoch(self, bar: Any) -> None:
        """Train from where the training stands to the end of that epoch, or of the training."""
        counters, recipe = self.progress.counters, self._recipe
        epoch, place = divmod(counters.step, self._per_epoch)
        order = epoch_batches(self._inputs.lengths, recipe.batch_size, recipe.seed, epoch)
        self._saved_at = self._counted_at = time.monotonic()
        for batch in order[place : place + self._steps - counters.step]:
            if self._is_due():
                self._checkpoint()
            self._learner.step(batch)
            bar.update()
            if counters.final_loss is not None:
                bar.set_postfix(loss=f"{counters.final_loss:.3f}", refresh=False)
        self.progress.epochs.append(EpochScores(epoch=counters.step / self._per_epoch, dev={}))
        self._checkpoint()

    def _is_due(self) -> bool:
        if self._world.size > 1 and self.progress.counters.step % _ASK_EVERY:
            return False
        waited = time.monotonic() - self._saved_at
        return self._world.broadcast(waited >= self._checkpoint_seconds and waited > 0)

    def _checkpoint(self) -> None:
        self._learner.check()  # weights that are not finite are never kept
        counters, device = self.progress.counters, self._backbone.device
        counters.seconds += time.monotonic() - self._counted_at
        self.progress.generators = self._world.gather(generators(device))
        self.progress.scaler = self._learner.scaler.state_dict()
        counters.batch_splits = max(self._world.gather(counters.batch_splits))
        counters.room = min((room for room in self._world.gather(counters.room) if room is not None), default=None)
        self._world.on_main(lambda: self._working.save(self.progress, self._learner.tensors()))
        self._saved_at = self._counted_at = time.monotonic()

    def _score_epoch(self) -> None:
        """Score the dev sets where that is not done yet, and keep the weights that a rule may want."""
        epochs, counters = self.progress.epochs, self.progress.counters
        if self._material.dev and not epochs[-1].dev:
            began = time.monotonic()
            note = f" dev, epoch {epochs[-1].epoch:g}"
            scores, tokens = self._dev.score(self._learner.model, progress=self._bars, note=note)
            counters.dev_tokens += tokens
            counters.dev_seconds += time.monotonic() - began
            for language, found in scores.items():
                logger.info("%s, %s%s: %.4f", self._spec.title, language, note, found.value)
            english = scores.get(SOURCE_LANGUAGE)
            epochs[-1] = EpochScores(
                epoch=epochs[-1].epoch,
                dev={language: found.value for language, found in scores.items()},
                constant=None if english is None else english.constant,
            )
            self._world.on_main(lambda: self._working.note(self.progress))
        wanted = needed(epochs, final=self.progress.counters.step == self._steps)

        def keep() -> None:
            if epochs[-1].epoch in wanted and epochs[-1].epoch not in self.progress.kept:
                self._working.keep(self.progress, epochs[-1].epoch, trained_tensors(self._learner.model))
            self._working.forget(self.progress, wanted)

        self._world.on_main(keep)

    # ---------------------------------------------------------------- records

    def training(self, meter: CostMeter, key: str) -> Training:
        """The record of the whole training."""
        counters = self.progress.counters
        cost = meter.cost()
        guess, limit = None, None
        if SOURCE_LANGUAGE in self._material.dev:
            guess, limit = chance(self._spec, self._material.dev[SOURCE_LANGUAGE])
        return Training(
            store_key=key,
            train_rows=len(self._material.train),
            train_inputs=len(self._inputs),
            truncated=int(self._inputs.truncated.sum()),
            steps=counters.step,
            final_loss=counters.final_loss,
            embedding_rows=self._embedding_rows,
            real_tokens=counters.real_tokens,
            padded_tokens=counters.padded_tokens,
            padding_ratio=counters.padded_tokens / counters.real_tokens,
            batch_splits=counters.batch_splits,
            world_size=self._world.size,
            epochs=self.progress.epochs,
            chance=guess,
            chance_limit=limit,
            environment=environment(self._backbone.device, code_sha256()),
            tokenising_cost=_cost(self._tokenised_in, self._inputs.subwords),
            cost=_cost(counters.seconds, counters.real_tokens).model_copy(
                update={
                    "peak_memory_mb": cost.peak_memory_mb,
                    "energy_kwh": cost.energy_kwh if self.resumed_from is None else None,
                }
            ),
            dev_cost=_cost(counters.dev_seconds, counters.dev_tokens),
        )

    def session(self, meter: CostMeter) -> Session:
        """How this run came by the weights."""
        return Session(
            from_store=False,
            resumed_from_step=self.resumed_from,
            trained_steps=self.progress.counters.step - (self.resumed_from or 0),
            cost=meter.cost(),
        )


def _cost(seconds: float, tokens: int) -> Cost:
    return Cost(seconds=round(seconds, 3), tokens_per_second=round(tokens / seconds, 1) if tokens else None)
