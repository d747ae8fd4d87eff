"""`TrainStep` by itself, as a training has it, for checks that look at single steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.workload import Setting, load
from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.encoders.batching import epoch_batches
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.encoders.trimmed_embedding import why_not_trimmable
from xglue_harness.recipe import Options, Recipe, resolve
from xglue_harness.store.token_cache import encoder_inputs
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.determinism import seeded
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.train_step import TrainStep

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.inputs import Inputs


@dataclass(frozen=True)
class Rig:
    """An encoder on a device, and a tokenised training set.

    Attributes:
        backbone: the encoder.
        spec: the task.
        rows: its first English training rows.
        inputs: the same, tokenised.
        tests: first rows of each language's test set.
    """

    backbone: Backbone
    spec: TaskSpec
    rows: Dataset
    inputs: Inputs
    tests: Mapping[str, Dataset]

    @classmethod
    def of(cls, setting: Setting, device: str) -> Rig:
        """Load the encoder and the rows of a setting."""
        from xglue_harness.harness.encoder_lm import EncoderLM
        from xglue_harness.harness.requests import backbone_of

        rows, tests = load(setting)
        backbone = backbone_of(EncoderLM(setting.encoder, device=device))
        spec = setting.spec
        inputs = encoder_inputs(backbone, spec, rows, SOURCE_LANGUAGE, setting.max_length, progress=False)
        return cls(backbone, spec, rows, inputs, tests)

    def recipe(self, precision: Any, **options: Any) -> Recipe:
        """A recipe: the task's defaults, and what is given."""
        pooling = default_pooling(self.backbone.config)
        return resolve(Options(dev="none", **options), self.spec, seed=1, precision=precision, pooling=pooling)

    def batches(self, recipe: Recipe) -> Iterator[list[int]]:
        """Batches without end, in the order in which a training has them."""
        for epoch in count():
            yield from epoch_batches(self.inputs.lengths, recipe.batch_size, recipe.seed, epoch)

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Steps of an epoch."""
        return -(-len(self.inputs) // recipe.batch_size)

    @contextmanager
    def training(self, recipe: Recipe, *, steps: int, graphs: bool = True) -> Iterator[TrainStep]:
        """A training before its first step, in the state of the process that a training has.

        Args:
            recipe: all hyperparameters.
            steps: of the whole training.
            graphs: whether steps may become CUDA graphs.
        """
        backbone, pad = self.backbone, self.backbone.tokenizer.pad_token_id
        used = None
        if why_not_trimmable(backbone.encoder, recipe.weight_decay) is None:
            used = {*torch.unique(self.inputs.ids).tolist(), pad}
        with seeded(recipe.seed, backbone.device):
            model = build_model(backbone, self.spec, recipe, used).to(backbone.device)
            words = len(self.inputs.labels) / self.steps_per_epoch(recipe) if model.tagging else None
            yield TrainStep(
                model,
                recipe,
                self.inputs,
                steps=steps,
                words_per_batch=words,
                pad=pad,
                device=backbone.device,
                world=World(),
                counters=Counters(),
                batch_rule=backbone.batch_rule,
                graphs=graphs,
            )


def losses(train_step: TrainStep, batches: Sequence[Sequence[int]]) -> list[float]:
    """The loss of each of some steps; each is waited for."""
    seen = []
    for batch in batches:
        train_step.step(batch)
        train_step.check()
        assert train_step.counters.final_loss is not None
        seen.append(train_step.counters.final_loss)
    return seen


def weights(train_step: TrainStep) -> dict[str, torch.Tensor]:
    """A copy of all weights, on the host."""
    return {name: tensor.detach().cpu().clone() for name, tensor in train_step.model.state_dict().items()}
