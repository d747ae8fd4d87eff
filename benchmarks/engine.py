"""Our side of the benchmarks: the package's own entry points, each in one place."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.workload import Evaluated, Setting, Trained, answer, last_steps
from xglue_harness.kinds import kind_of
from xglue_harness.records.cost_meter import now

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from torch import nn

    from xglue_harness.recipe import Recipe
    from xglue_harness.training.finetune import FineTuned


class Ours:
    """The engine of ``--model hf-encoder``."""

    def __init__(self, setting: Setting) -> None:
        """Load the encoder, onto a GPU where there is one."""
        from xglue_harness.encoders.fingerprint import identify
        from xglue_harness.harness.encoder_lm import EncoderLM
        from xglue_harness.harness.requests import backbone_of

        self._setting, self._spec = setting, setting.spec
        self._backbone = backbone_of(EncoderLM(setting.encoder))
        self._identity = identify(self._backbone)
        self.device = self._backbone.device
        self._folder = tempfile.TemporaryDirectory(prefix="xglue-benchmark-")

    def encoder(self) -> nn.Module:
        """The pretrained encoder; a copy of it is trained."""
        return self._backbone.encoder

    def train(self, rows: Dataset, epochs: float, *, seed: int | None = None, anew: bool = True) -> Trained:
        """Fine-tune the pretrained encoder.

        Args:
            rows: English training rows.
            epochs: passes over them.
            seed: instead of the setting's.
            anew: with an empty store and cache; else with those that the training before left.
        """
        if anew:
            self._folder.cleanup()
            self._folder = tempfile.TemporaryDirectory(prefix="xglue-benchmark-")
        self._recipe = self._resolve(epochs, self._setting.seed if seed is None else seed)
        watch = _Watch(self.device)
        with watch():
            self._tuned = self._finetune(rows, self._recipe)
        record = self._tuned.training
        return Trained(
            steps=record.steps,
            seconds=record.cost.seconds,
            tokenising_seconds=record.tokenising_cost.seconds,
            real_tokens=record.real_tokens,
            padded_tokens=record.padded_tokens,
            trainable_parameters=watch.trainable,
            losses=watch.losses(record.final_loss),
        )

    def evaluate(self, tests: Mapping[str, Dataset]) -> Evaluated:
        """Predict test sets by language with what was trained last."""
        seconds, tokenising, predicted = self._predict(tests)
        shares = []
        for language, dataset in tests.items():
            golds = dataset[self._spec.label_column]
            pairs = list(zip(golds, predicted[language], strict=True))
            if kind_of(self._spec).per_word:
                pairs = [pair for gold, guess in pairs for pair in zip(gold, guess, strict=True)]
            shares.append(sum(gold == guess for gold, guess in pairs) / len(pairs))
        return Evaluated(sum(map(len, tests.values())), seconds, tokenising, sum(shares) / len(shares))

    # ---------------------------------------------------------------- the package's entry points

    def _resolve(self, epochs: float, seed: int) -> Recipe:
        from xglue_harness.encoders.pooling import default_pooling
        from xglue_harness.recipe import Options, resolve

        given = self._setting
        options = Options(
            epochs=epochs,
            learning_rate=given.learning_rate,
            warmup_ratio=given.warmup_ratio,
            batch_size=given.batch_size,
            max_length=given.max_length,
            dev="none",
        )
        pooling = default_pooling(self._backbone.config)
        return resolve(options, self._spec, seed=seed, precision=given.precision, pooling=pooling)

    def _finetune(self, rows: Dataset, recipe: Recipe) -> FineTuned:
        from xglue_harness.training.determinism import seeded
        from xglue_harness.training.finetune import finetune
        from xglue_harness.training.trainer import TrainingData

        fingerprint = hashlib.sha256(f"{len(rows)}".encode()).hexdigest()
        with self._own_folders(), seeded(recipe.seed, self.device):
            material = TrainingData(rows, fingerprint)
            return finetune(self._backbone, self._identity, self._spec, recipe, material, progress=False)

    def _predict(self, tests: Mapping[str, Dataset]) -> tuple[float, float, dict[str, list[Any]]]:
        """Seconds of predicting and of tokenising (with an empty cache), and the predictions of each language."""
        from xglue_harness.prediction.predict import predict, prepare
        from xglue_harness.training.selection import Selected

        backbone, recipe, spec = self._backbone, self._recipe, self._spec
        with tempfile.TemporaryDirectory() as cache, self._own_folders(cache):
            began = time.perf_counter()
            prepared = [prepare(backbone, spec, recipe, list(rows), language) for language, rows in tests.items()]
            tokenising = time.perf_counter() - began
            model = self._tuned.model(backbone, spec, recipe)
            self._tuned.load(model, Selected(self._tuned.training.epochs[-1].epoch), self.device)
            began = now(self.device)
            predictions = predict(model, backbone, recipe, prepared, progress=False)
            seconds = now(self.device) - began
        self.evaluated_tokens = sum(part.real_tokens for part in predictions)
        return seconds, tokenising, {language: part.values for language, part in zip(tests, predictions, strict=True)}

    def _own_folders(self, cache: str | None = None) -> Any:
        """A store and a cache of the benchmark's own, so that nothing is taken from elsewhere."""
        store = self._folder.name
        return patch.dict(os.environ, {"XGLUE_STORE": f"{store}/store", "XGLUE_CACHE": cache or f"{store}/cache"})


class _Watch:
    """What the record does not tell: the loss of each step as a `Trainer` has it, and how much is trained.

    On a GPU steps are recorded once and replayed, so that nobody can look into them: only the last loss is known there.
    """

    def __init__(self, device: torch.device) -> None:
        self._looks = device.type == "cpu"
        self._losses: list[Any] = []
        self._loss: Any = 0
        self._labels: Any = 0
        self.trainable = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Watch the training in the block; a step may be computed in several passes."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        from xglue_harness.encoders.heads import IGNORED, TransferModel

        forward = TransferModel.forward

        def watched(model: TransferModel, **tensors: Any) -> dict[str, Any]:
            output = forward(model, **tensors)
            if model.training:
                self._loss += output["loss"].detach()
                self._labels += (tensors["labels"] != IGNORED).sum()
            return output

        def stepped(optimizer: Any, *_: Any) -> None:
            if self._looks:
                self._losses.append(self._loss / self._labels)
                self._loss = self._labels = 0
            self.trainable = sum(weight.numel() for group in optimizer.param_groups for weight in group["params"])

        hook = register_optimizer_step_post_hook(stepped)
        try:
            with patch.object(TransferModel, "forward", watched) if self._looks else nullcontext():
                yield
        finally:
            hook.remove()

    def losses(self, final: float | None) -> tuple[float, float]:
        """Loss of the last step, and the mean over the last steps; of each the mean over its labels."""
        if not self._looks:
            return math.nan if final is None else final, math.nan
        last = [float(loss) for loss in self._losses[-last_steps(len(self._losses)) :]]
        return last[-1], sum(last) / len(last)


if __name__ == "__main__":
    answer(Ours)
