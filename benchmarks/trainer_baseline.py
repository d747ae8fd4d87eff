"""The other side: fine-tuning as transformers' own tutorials do it, with a `Trainer` and its defaults."""

from __future__ import annotations

import gc
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import datasets
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from benchmarks.workload import Evaluated, Setting, Trained, answer, default_device, last_steps
from xglue_harness.kinds import kind_of
from xglue_harness.records.cost_meter import now

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn

IGNORED = -100


class Plain:
    """A `Trainer`: random batches, padded to their longest row; all weights are trained."""

    def __init__(self, setting: Setting) -> None:
        """Load the tokenizer."""
        datasets.disable_caching()
        datasets.disable_progress_bars()
        self._setting, self._spec = setting, setting.spec
        self._tagging = kind_of(setting.spec).per_word
        self._tokenizer = AutoTokenizer.from_pretrained(setting.encoder)
        self._folder = tempfile.TemporaryDirectory(prefix="xglue-benchmark-")
        self._trainer: Any = None
        self.device = default_device()

    def encoder(self) -> nn.Module:
        """The encoder that was trained last."""
        encoder: nn.Module = self._trainer.model.base_model
        return encoder

    def train(self, rows: Dataset, epochs: float) -> Trained:
        """Fine-tune the pretrained encoder."""
        self._trainer = None
        gc.collect()
        setting = self._setting
        steps = setting.steps(len(rows), epochs)
        set_seed(setting.seed)
        auto = AutoModelForTokenClassification if self._tagging else AutoModelForSequenceClassification
        model = auto.from_pretrained(setting.encoder, num_labels=len(self._spec.labels), dtype=torch.float32)
        began = time.perf_counter()
        encoded = self._encode(rows)
        tokenising = time.perf_counter() - began
        arguments = TrainingArguments(**self._options(steps))
        padding = DataCollatorForTokenClassification if self._tagging else DataCollatorWithPadding
        collator, clock = _Counting(padding(self._tokenizer)), _Clock(self.device, steps)
        self._trainer = trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=encoded,
            data_collator=collator,
            processing_class=self._tokenizer,
            callbacks=[clock],
            preprocess_logits_for_metrics=_classes,
        )
        trainer.train()
        return Trained(
            steps=trainer.state.global_step,
            seconds=clock.seconds,
            tokenising_seconds=tokenising,
            real_tokens=collator.real,
            padded_tokens=collator.padded,
            trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            losses=clock.losses([entry["loss"] for entry in trainer.state.log_history if "loss" in entry]),
        )

    def _options(self, steps: int) -> dict[str, Any]:
        """Arguments of the `Trainer`."""
        setting = self._setting
        return {
            "output_dir": self._folder.name,
            "per_device_train_batch_size": setting.batch_size,
            "per_device_eval_batch_size": 32,
            "max_steps": steps,
            "learning_rate": setting.learning_rate,
            "warmup_steps": setting.warmup_ratio,
            "seed": setting.seed,
            "bf16": setting.precision == "bf16",
            "use_cpu": self.device.type == "cpu",
            "report_to": "none",
            "save_strategy": "no",
            "logging_strategy": "no",
            "disable_tqdm": True,
        }

    def evaluate(self, tests: Mapping[str, Dataset]) -> Evaluated:
        """Predict test sets by language with what was trained last."""
        began = time.perf_counter()
        encoded = {language: self._encode(rows) for language, rows in tests.items()}
        tokenising = time.perf_counter() - began
        began = now(self.device)
        outputs = {language: self._trainer.predict(rows) for language, rows in encoded.items()}
        seconds = now(self.device) - began
        shares = []
        for output in outputs.values():
            labelled = output.label_ids != IGNORED
            shares.append(float((output.predictions == output.label_ids)[labelled].mean()))
        return Evaluated(sum(map(len, tests.values())), seconds, tokenising, sum(shares) / len(shares))

    def _encode(self, rows: Dataset) -> Dataset:
        encode = self._encode_words if self._tagging else self._encode_texts
        # A fingerprint is given, or else the tokenizer and the model are hashed for each data set.
        return rows.map(encode, batched=True, remove_columns=rows.column_names, new_fingerprint=uuid.uuid4().hex)

    def _encode_words(self, rows: Mapping[str, list[Any]]) -> dict[str, Any]:
        encoded = self._tokenizer(
            rows["words"], is_split_into_words=True, truncation=True, max_length=self._setting.max_length
        )
        labels = []
        for index, classes in enumerate(rows[self._spec.label_column]):
            before, row = None, []
            for word in encoded.word_ids(index):
                row.append(IGNORED if word is None or word == before else classes[word])
                before = word
            labels.append(row)
        return {**encoded, "labels": labels}

    def _encode_texts(self, rows: Mapping[str, list[Any]]) -> dict[str, Any]:
        texts = [
            [" ".join(filter(None, parts)) for parts in zip(*(rows[column] for column in columns), strict=True)]
            for columns in (self._spec.text_a, self._spec.text_b)
            if columns
        ]
        encoded = self._tokenizer(*texts, truncation=True, max_length=self._setting.max_length)
        return {**encoded, "labels": rows[self._spec.label_column]}


def _classes(logits: Any, labels: torch.Tensor) -> torch.Tensor:
    """The class of each row or position: the logits of a whole test set need not be kept."""
    scores: torch.Tensor = logits[0] if isinstance(logits, tuple) else logits
    return scores.argmax(dim=-1)


class _Counting:
    """A collator that counts subwords, real and with padding."""

    def __init__(self, collator: Callable[[Any], Mapping[str, torch.Tensor]]) -> None:
        self._collator = collator
        self.real = self.padded = 0

    def __call__(self, rows: Any) -> Mapping[str, torch.Tensor]:
        batch = self._collator(rows)
        self.real += int(batch["attention_mask"].sum())
        self.padded += batch["input_ids"].numel()
        return batch


class _Clock(TrainerCallback):
    """Times the steps, and has losses logged where the mean over the last steps needs them."""

    def __init__(self, device: torch.device, steps: int) -> None:
        self._device, self._last = device, last_steps(steps)
        self._logged = {steps - self._last, steps - 1, steps}

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._began = now(self._device)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = control.should_log or state.global_step in self._logged

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = now(self._device) - self._began

    def losses(self, logged: list[float]) -> tuple[float, float]:
        """Loss of the last step and the mean over the last steps; each log is a mean since the one before."""
        if self._last == 1:
            return logged[-1], logged[-1]
        return logged[-1], (logged[-2] * (self._last - 1) + logged[-1]) / self._last


if __name__ == "__main__":
    answer(Plain)
