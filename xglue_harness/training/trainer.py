"""One fine-tuning, from its last checkpoint to its end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from xglue_harness.bars import progress_bar
from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.collapse import chance
from xglue_harness.encoders.batching import epoch_batches
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.encoders.trimmed_embedding import why_not_trimmable
from xglue_harness.errors import RecipeError
from xglue_harness.interrupt import is_stop_requested, stopping_after_checkpoints
from xglue_harness.records.cost_meter import CostMeter, PeakMeter, largest
from xglue_harness.records.parts import Cost
from xglue_harness.records.provenance import environment
from xglue_harness.records.training_schema import EpochScores, Gradients, Rule, Session, Training
from xglue_harness.store.token_cache import encoder_inputs
from xglue_harness.training.averaging import add_epoch, can_go_on
from xglue_harness.training.checkpoint import CheckpointFolder, Counters, Progress, generators, set_generators
from xglue_harness.training.curve import LearningCurve
from xglue_harness.training.dev_sets import DevSets
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.outlook import Outlook
from xglue_harness.training.reports import Reports
from xglue_harness.training.selection import averaged_by, needed
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.weights import trained_tensors

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe

logger = logging.getLogger(__name__)

_ASK_EVERY = 16
"""Steps after which several processes agree on whether a checkpoint is due."""

Watch: TypeAlias = "Callable[[TransferModel, Inputs, Counters, int], float]"
"""Looks at a model, the training set, what was done so far and the number of all steps, before each step and after the
last; notes what it saw in the counters, leaves no other trace, and returns the seconds that it took."""


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


class Trainer:
    """One training, from its last checkpoint to its end."""

    def __init__(
        self,
        backbone: Backbone,
        spec: TaskSpec,
        recipe: Recipe,
        data: TrainingData,
        checkpoints: CheckpointFolder,
        world: World,
        checkpoint_seconds: float,
        progress: bool,
        *,
        graphs: bool = True,
        place: str = "",
        reports: Reports | None = None,
        watch: Watch | None = None,
        select: Rule = "last",
        means: Iterable[int] = (),
        keep_all: bool = False,
    ) -> None:
        self._backbone, self._spec, self._recipe, self._data = backbone, spec, recipe, data
        self._checkpoints, self._world, self._checkpoint_seconds = checkpoints, world, checkpoint_seconds
        self._bars, self._graphs = progress and world.is_main_process, graphs
        self._reports, self._watch, self._keep_all = reports or Reports(), watch, keep_all
        began = time.monotonic()
        self._inputs = self._tokenise()
        self._tokenising_seconds = time.monotonic() - began
        self._dev_sets = DevSets(backbone, spec, recipe, data.dev, world)
        self._steps_per_epoch = math.ceil(len(self._inputs) / recipe.batch_size)
        # Rounded first: 100 * 1.1 is a little more than 110.
        self._steps = math.ceil(round(self._steps_per_epoch * recipe.epochs, 6))
        self._epochs = math.ceil(self._steps / self._steps_per_epoch)
        self._asked = averaged_by(select, self._epochs)
        if self._asked > self._epochs:
            raise RecipeError(f"select {select}: the training has {self._epochs} epochs")
        self._means = {self._epochs, self._asked, *means} - {1}
        self._outlook = Outlook(f"{spec.title}{place}", self._steps, backbone.device)
        self._embedding_rows: int | None = None
        checkpoint = world.only_on_main(self._checkpoint_to_resume)
        before = world.broadcast(None if checkpoint is None else checkpoint[0])
        counters = Counters(curve=LearningCurve.of(self._steps))
        self.progress = before or Progress(name=backbone.name, recipe=recipe.model_dump(), counters=counters)
        self.resumed_from = None if before is None else before.counters.step
        if watch is None:
            self.progress.counters.gradients = None  # begun by a run that asked for it, and never ended
        self._train_step = self._first_step()
        if before is not None:
            self._resume(world.broadcast_tensors(None if checkpoint is None else checkpoint[1], backbone.device))

    def train(self) -> None:
        """Train until the last epoch is finished and scored."""
        counters = self.progress.counters
        title = f"{self._spec.title}: fine-tuning"
        with progress_bar(self._steps, title, "step", wanted=self._bars, leave=True, initial=counters.step) as bar:
            while True:
                if self.progress.epochs and self.progress.epochs[-1].epoch == counters.step / self._steps_per_epoch:
                    self._score_epoch()
                    self._report()
                if counters.step == self._steps:
                    return
                self._train_epoch(bar)

    # ---------------------------------------------------------------- beginning

    def _tokenise(self) -> Inputs:
        """Tokenise the training set, or take its tokens from the cache; the main process does it for all."""

        def read() -> Inputs:
            return encoder_inputs(
                self._backbone,
                self._spec,
                self._data.train,
                SOURCE_LANGUAGE,
                self._recipe.max_length,
                what=f"{self._spec.title}, training set",
                progress=self._bars,
            )

        inputs = self._world.only_on_main(read)
        return read() if inputs is None else inputs

    def _checkpoint_to_resume(self) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        """The last checkpoint, unless weights that were asked for can't be had from there."""
        checkpoint = self._checkpoints.load()
        if checkpoint is None:
            return None
        progress, _ = checkpoint
        ended = progress.counters.step == self._steps or progress.counters.step % self._steps_per_epoch == 0
        over = progress.epochs[:-1] if ended else progress.epochs  # at its very end an epoch's weights are at hand
        lacking = None
        if self._asked > 1 and not can_go_on(progress, self._asked, self._epochs, epoch_ended=ended):
            lacking = f"no sum of the weights after the {self._asked} epochs that are to be averaged, some of which are"
        elif self._keep_all and any(scores.epoch not in progress.kept for scores in over):
            lacking = "no weights of some epochs that are"
        if lacking is None:
            return checkpoint
        logger.warning("%s: the unfinished training has kept %s over: it starts anew", self._spec.title, lacking)
        self._checkpoints.clear()
        return None

    def _first_step(self) -> TrainStep:
        """The pretrained encoder with a new head, ready for its first step."""
        backbone, recipe, world = self._backbone, self._recipe, self._world
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
        train_step = TrainStep(
            model.to(backbone.device),
            recipe,
            self._inputs,
            steps=self._steps,
            words_per_batch=len(self._inputs.labels) / self._steps_per_epoch if model.tagging else None,
            pad=pad,
            device=backbone.device,
            world=world,
            counters=self.progress.counters,
            batch_rule=backbone.batch_rule,
            graphs=self._graphs,
        )
        if world.rank:  # each process draws its own dropout
            torch.manual_seed(recipe.seed + 7919 * world.rank + self.progress.counters.step)
        return train_step

    def _resume(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from the checkpoint that `progress` and these tensors are of."""
        progress, rank = self.progress, self._world.rank
        self._train_step.load(tensors)
        self._train_step.scaler.load_state_dict(progress.scaler)
        if rank < len(progress.generators):
            set_generators(progress.generators[rank], self._backbone.device)
        logger.info("%s: goes on from step %d of %d", self._spec.title, progress.counters.step, self._steps)

    # ---------------------------------------------------------------- epochs

    def _train_epoch(self, bar: Any) -> None:
        """Train from where the training stands to the end of that epoch, or of the training."""
        counters, recipe = self.progress.counters, self._recipe
        epoch, place = divmod(counters.step, self._steps_per_epoch)
        batches = epoch_batches(self._inputs.lengths, recipe.batch_size, recipe.seed, epoch)
        self._saved_at = self._counted_at = time.monotonic()
        with stopping_after_checkpoints(), PeakMeter(self._backbone.device) as self._memory:
            for batch in batches[place : place + self._steps - counters.step]:
                self._look()
                if self._is_due():
                    self._checkpoint()
                    if self._world.broadcast(is_stop_requested()):
                        raise KeyboardInterrupt
                self._train_step.step(batch)
                self._report()
                bar.update()
                self._outlook.after(counters.step, self._memory)
                if counters.final_loss is not None:
                    bar.set_postfix(loss=f"{counters.final_loss:.3f}", refresh=False)
            self._look()
            self.progress.epochs.append(EpochScores(epoch=counters.step / self._steps_per_epoch, dev={}))
            self._checkpoint()

    def _look(self) -> None:
        """Let the watch look at the model; the training's clock stands still meanwhile."""
        if self._watch is not None:
            counters = self.progress.counters
            self._counted_at += self._watch(self._train_step.model, self._inputs, counters, self._steps)

    def _report(self) -> None:
        """Report what is new; all epochs are scored wherever this is called."""
        curve = self.progress.counters.curve
        self._reports.follow(None if curve is None else curve.points, self.progress.epochs, self._steps_per_epoch)

    def _is_due(self) -> bool:
        """Whether it is time for a checkpoint; all processes get the same answer."""
        if self._world.size > 1 and self.progress.counters.step % _ASK_EVERY:
            return False
        waited = time.monotonic() - self._saved_at
        return self._world.broadcast(is_stop_requested() or (waited >= self._checkpoint_seconds and waited > 0))

    def _checkpoint(self) -> None:
        self._train_step.check()  # weights that are not finite are never kept
        counters, world = self.progress.counters, self._world
        counters.seconds += time.monotonic() - self._counted_at
        counters.steps_peak_mb = largest(counters.steps_peak_mb, self._memory.megabytes())
        self.progress.generators = world.gather(generators(self._backbone.device))
        self.progress.scaler = self._train_step.scaler.state_dict()
        counters.batch_splits = max(world.gather(counters.batch_splits))
        limits = [limit for limit in world.gather(counters.max_tokens) if limit is not None]
        counters.max_tokens = min(limits, default=None)
        world.on_main(lambda: self._checkpoints.save(self.progress, self._train_step.tensors()))
        self._saved_at = self._counted_at = time.monotonic()

    def _score_epoch(self) -> None:
        """Score the dev sets where that is not done yet, and keep the weights that a rule may want."""
        if self._data.dev and not self.progress.epochs[-1].dev:
            self._score_dev_sets()
        self._world.on_main(self._keep_wanted)

    def _score_dev_sets(self) -> None:
        epochs, counters = self.progress.epochs, self.progress.counters
        began = time.monotonic()
        note = f" dev, epoch {epochs[-1].epoch:g}"
        with PeakMeter(self._backbone.device) as memory:
            scores, tokens = self._dev_sets.score(self._train_step.model, progress=self._bars, note=note)
        counters.dev_peak_mb = largest(counters.dev_peak_mb, memory.megabytes())
        counters.dev_tokens += tokens
        counters.dev_seconds += time.monotonic() - began
        for language, score in scores.items():
            logger.info("%s, %s%s: %.4f", self._spec.title, language, note, score.value)
        english = scores.get(SOURCE_LANGUAGE)
        epochs[-1] = EpochScores(
            epoch=epochs[-1].epoch,
            dev={language: score.value for language, score in scores.items()},
            constant=None if english is None else english.constant,
        )
        self._world.on_main(lambda: self._checkpoints.note(self.progress))

    def _keep_wanted(self) -> None:
        """Keep the weights of this epoch if a rule may select it, and no others that none wants any longer."""
        epochs, counters = self.progress.epochs, self.progress.counters
        wanted, epoch = needed(epochs, final=counters.step == self._steps), epochs[-1].epoch
        if self._keep_all:
            wanted = {scores.epoch for scores in epochs}
        tensors = trained_tensors(self._train_step.model)
        if epoch in wanted and epoch not in self.progress.kept:
            self._checkpoints.keep(self.progress, epoch, tensors)
        means = self._means | self.progress.sums.keys()
        replaced = add_epoch(self._checkpoints, self.progress, means, self._epochs, tensors)
        self._checkpoints.forget(self.progress, wanted, replaced)

    # ---------------------------------------------------------------- records

    def training(self, meter: CostMeter, key: str) -> Training:
        """The record of the whole training."""
        counters = self.progress.counters
        cost = meter.cost()
        guess, limit = None, None
        if SOURCE_LANGUAGE in self._data.dev:
            guess, limit = chance(self._spec, self._data.dev[SOURCE_LANGUAGE])
        return Training(
            store_key=key,
            train_rows=len(self._data.train),
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
            mode=self._train_step.mode,
            nondeterministic=self._train_step.nondeterministic,
            curve=None if counters.curve is None else counters.curve.points,
            gradients=_with_share(counters.gradients, counters.seconds),
            epochs=self.progress.epochs,
            chance=guess,
            chance_limit=limit,
            environment=environment(self._backbone.device),
            tokenising_cost=_cost(self._tokenising_seconds, self._inputs.subwords),
            cost=_cost(counters.seconds, counters.real_tokens).model_copy(
                update={
                    "peak_memory_mb": largest(cost.peak_memory_mb, counters.steps_peak_mb, counters.dev_peak_mb),
                    "energy_kwh": cost.energy_kwh if self.resumed_from is None else None,
                }
            ),
            recording_cost=_cost(self._train_step.recording_seconds, 0),
            steps_cost=_cost(counters.seconds, counters.real_tokens, counters.steps_peak_mb),
            dev_cost=_cost(counters.dev_seconds, counters.dev_tokens, counters.dev_peak_mb),
        )

    def session(self, meter: CostMeter) -> Session:
        """How this run came by the weights."""
        return Session(
            from_store=False,
            resumed_from_step=self.resumed_from,
            trained_steps=self.progress.counters.step - (self.resumed_from or 0),
            cost=meter.cost(),
        )


def _with_share(gradients: Gradients | None, seconds: float) -> Gradients | None:
    """What was seen of gradients, with what it cost beside so many seconds of steps."""
    if gradients is None:
        return None
    share = round(gradients.cost.seconds / seconds, 4) if seconds else None
    return gradients.model_copy(update={"cost": gradients.cost.model_copy(update={"share": share})})


def _cost(seconds: float, tokens: int, peak_mb: float | None = None) -> Cost:
    rate = round(tokens / seconds, 1) if tokens else None
    return Cost(seconds=round(seconds, 3), tokens_per_second=rate, peak_memory_mb=peak_mb)
