"""Both sides on a device: ours and a `Trainer`, whose steps can be watched from outside."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch

import torch

from benchmarks.engine import Ours
from benchmarks.workload import Setting

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.records.training_schema import Training
    from xglue_harness.training.finetune import FineTuned

WORKERS = 4
"""Processes that load data for the `Trainer` at its best."""


class Watcher(Protocol):
    """What is told of each step of a training."""

    def ended(self, step: int) -> None:
        """Step number ``step`` (from 1) was given to the device."""


class OnDevice(Ours):
    """The engine of ``--model hf-encoder``, through its own entry points."""

    def __init__(
        self, setting: Setting, *, graphs: bool = True, dropout: float | None = None, compiled: bool = False
    ) -> None:
        """Load the encoder; ``graphs`` as in `xglue_harness.training.finetune.finetune`."""
        super().__init__(setting)
        self._graphs, self._changes = graphs, {"dropout": dropout, "compile": compiled}

    @property
    def tuned(self) -> FineTuned:
        """What was trained last."""
        return self._tuned

    @property
    def real_tokens(self) -> int:
        """Subwords of an epoch of what was trained last, without padding."""
        return round(self.record.real_tokens * self._inputs / self.record.steps / self._setting.batch_size)

    @property
    def record(self) -> Training:
        """The record of what was trained last."""
        return self._tuned.training

    def fine_tune(self, rows: Dataset, epochs: float, watcher: Watcher | None = None, seed: int | None = None) -> None:
        """Fine-tune the pretrained encoder, with an empty store.

        Args:
            rows: English training rows.
            epochs: passes over them.
            watcher: is told of each step.
            seed: instead of the setting's.
        """
        from xglue_harness.store.trainings import Store
        from xglue_harness.training.determinism import seeded
        from xglue_harness.training.finetune import finetune
        from xglue_harness.training.trainer import TrainingData

        recipe = self._resolve(epochs, self._setting.seed if seed is None else seed)
        self._recipe = recipe.model_copy(update=self._changes)
        fingerprint = hashlib.sha256(
            f"{len(rows)} {time.time_ns()}".encode()
        ).hexdigest()  # nothing is found in a store
        with self._own_folders(), seeded(recipe.seed, self.device), watched(watcher):
            self._tuned = finetune(
                self._backbone,
                self._identity,
                self._spec,
                self._recipe,
                TrainingData(rows, fingerprint),
                store=Store(),
                progress=False,
                graphs=self._graphs,
            )
        self._inputs = self.record.train_inputs
        self.tokenising_seconds = self.record.tokenising_cost.seconds

    def predict(self, tests: Mapping[str, Dataset]) -> tuple[float, dict[str, list[Any]]]:
        """Seconds of predicting test sets with what was trained last, and the predictions by language."""
        seconds, _, predicted = self._predict(tests)
        return seconds, predicted


@contextmanager
def watched(watcher: Watcher | None) -> Iterator[None]:
    """Tell a watcher of each step of our trainings in the block."""
    from xglue_harness.training.train_step import TrainStep

    if watcher is None:
        yield
        return
    step, tell = TrainStep.step, watcher.ended

    def stepped(train_step: TrainStep, batch: Sequence[int]) -> None:
        step(train_step, batch)
        if hasattr(watcher, "recorded"):
            watcher.recorded = train_step.recording_seconds
        tell(train_step.counters.step)

    with patch.object(TrainStep, "step", stepped):
        yield


def best_options() -> dict[str, Any]:
    """Arguments that make a `Trainer` fast, as far as this release of transformers knows them."""
    from transformers import TrainingArguments

    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    options: dict[str, Any] = {
        "optim": "adamw_torch_fused",
        "dataloader_pin_memory": True,
        "dataloader_num_workers": WORKERS,
        "dataloader_persistent_workers": True,
        "logging_nan_inf_filter": False,  # it waits for the device in every step
        "accelerator_config": {"non_blocking": True},
    }
    if "train_sampling_strategy" in known:
        options["train_sampling_strategy"] = "group_by_length"
    elif "group_by_length" in known:
        options["group_by_length"] = True
    return {name: value for name, value in options.items() if name in known}


def plain_side(setting: Setting, options: Mapping[str, Any], *, multiple: int | None = None) -> Any:
    """A `Trainer` with arguments of its own, and batches padded to a multiple; transformers is imported here."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )

    from benchmarks.trainer_baseline import Plain, _classes

    class Callback(TrainerCallback):  # type: ignore[misc]
        def __init__(self, watcher: Watcher) -> None:
            self._watcher = watcher

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._watcher.ended(state.global_step)

    class PlainOnDevice(Plain):
        """The same script, with a watcher instead of its clock."""

        def fine_tune(self, rows: Dataset, epochs: float, watcher: Watcher) -> None:
            """Fine-tune the pretrained encoder."""
            self._trainer = None
            steps = setting.steps(len(rows), epochs)
            set_seed(setting.seed)
            auto = AutoModelForTokenClassification if self._tagging else AutoModelForSequenceClassification
            labels = len(self._spec.labels)
            model = auto.from_pretrained(setting.encoder, num_labels=labels, dtype=torch.float32)
            began = time.perf_counter()
            encoded = self._encode(rows)
            self.tokenising_seconds = time.perf_counter() - began
            self.real_tokens = sum(map(len, encoded["input_ids"]))
            padding = DataCollatorForTokenClassification if self._tagging else DataCollatorWithPadding
            self._trainer = Trainer(
                model=model,
                args=TrainingArguments(**{**self._options(steps), **options}),
                train_dataset=encoded,
                data_collator=padding(self._tokenizer, pad_to_multiple_of=multiple),
                processing_class=self._tokenizer,
                callbacks=[Callback(watcher)],
                preprocess_logits_for_metrics=_classes,
            )
            self._trainer.train()

    return PlainOnDevice(setting)
