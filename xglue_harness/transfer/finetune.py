"""Fine-tune an encoder on the English training set, by the transformers ``Trainer``."""

from __future__ import annotations

import copy
import logging
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainingArguments

from xglue_harness.benchmark import SOURCE_LANGUAGE, Kind, TaskSpec
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.vocabulary import obstacle, restore, trim
from xglue_harness.errors import RecipeError, TrainingError
from xglue_harness.transfer.batching import Example, LengthGrouped, collate, examples
from xglue_harness.transfer.predict import evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datasets import Dataset

    from xglue_harness.encoders.loading import Backbone
    from xglue_harness.transfer.recipe import Precision, Recipe

logger = logging.getLogger(__name__)


@dataclass
class Report:
    """What happened in a fine-tuning, for the results file."""

    train_rows: int = 0
    train_inputs: int = 0
    truncated: int = 0
    steps: int = 0
    final_loss: float = math.nan
    embedding_rows: int | None = None
    """Rows of the embedding table that were trained (all of those that the inputs use); ``None``: the whole table."""
    selected_epoch: float = 0.0
    en_dev: list[float] = field(default_factory=list)
    seconds: float = 0.0


def resolve_precision(wanted: Precision, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """The arithmetic to use: ``auto`` is bf16 on a GPU that has it and fp32 elsewhere.

    Raises:
        RecipeError: for fp16 without a GPU, where torch has no gradient scaling for it.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise RecipeError("precision fp16 needs a GPU; on a CPU use fp32 or bf16")
    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def finetune(
    backbone: Backbone,
    spec: TaskSpec,
    recipe: Recipe,
    train: Sequence[Mapping[str, Any]] | Dataset,
    dev: Sequence[Mapping[str, Any]] | None = None,
    *,
    progress: bool = True,
) -> tuple[TransferModel, Report]:
    """Fine-tune a copy of an encoder; the encoder itself stays as it was.

    Args:
        backbone: the pretrained encoder.
        spec: the task.
        recipe: all hyperparameters.
        train: English training rows.
        dev: English dev documents, needed for ``select: en_dev``.
        progress: show bars.

    Returns:
        The fine-tuned model, in evaluation mode on the backbone's device, and the report.

    Raises:
        TrainingError: when the loss is not finite.
    """
    began = time.perf_counter()
    rows = tqdm(train, desc=f"{spec.title}: tokenising English", unit="row", disable=not progress)
    inputs = examples(spec, rows, backbone.tokenizer, SOURCE_LANGUAGE, recipe.max_length)
    report = Report(
        train_rows=len(train), train_inputs=len(inputs), truncated=sum(item.encoded.truncated for item in inputs)
    )
    encoder = copy.deepcopy(backbone.encoder).float().train()
    encoder.requires_grad_(True)
    used = {token for item in inputs for token in item.encoded.ids} | {backbone.tokenizer.pad_token_id}
    whole = _trim(encoder, used, recipe, report)
    model = TransferModel(encoder, len(spec.labels), tagging=spec.kind is Kind.TAGGING, pooling=recipe.pooling)
    model.to(backbone.device)
    batches = math.ceil(len(inputs) / recipe.batch_size)
    steps = math.ceil(batches * recipe.epochs)
    if model.tagging:
        model.words_per_batch = sum(len(item.words) for item in inputs) / batches
    selection = _Selection(model, backbone, spec, recipe, dev, report) if recipe.select == "en_dev" else None
    with tempfile.TemporaryDirectory(prefix="xglue-trainer-") as folder:
        trainer = _Trainer(
            model=model,
            args=_arguments(recipe, steps, folder, backbone.device, progress),
            train_dataset=_Inputs(inputs),
            data_collator=partial(collate, pad=backbone.tokenizer.pad_token_id, tagging=model.tagging),
            callbacks=[selection] if selection else [],
        )
        result = trainer.train()
    report.steps, report.final_loss = result.global_step, trainer.last_loss
    report.selected_epoch = recipe.epochs
    if selection:
        report.selected_epoch = selection.restore_best()
    if whole is not None:
        restore(encoder, whole)
    report.seconds = time.perf_counter() - began
    return model.eval(), report


def _trim(encoder: Any, used: set[int], recipe: Recipe, report: Report) -> torch.nn.Embedding | None:
    """Leave only the embedding rows in use trainable, where that changes nothing but the cost."""
    why_not = obstacle(encoder, recipe.weight_decay)
    if why_not is None:
        embedding = trim(encoder, used)
        report.embedding_rows = len(encoder.get_input_embeddings().weight)
        return embedding
    logger.info("all embedding rows are trained: %s", why_not)
    return None


def _arguments(recipe: Recipe, steps: int, folder: str, device: torch.device, progress: bool) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=recipe.batch_size,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(recipe.warmup_ratio * steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused",
        seed=recipe.seed,
        data_seed=recipe.seed,
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        use_cpu=device.type == "cpu",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        disable_tqdm=not progress,
    )
    if device.type == "cuda":
        torch.cuda.set_device(device)
        _ = arguments.device  # decides on the number of GPUs ...
        arguments._n_gpu = 1  # ... of which one is used: DataParallel would multiply the batch size
    return arguments


class _Inputs(torch.utils.data.Dataset[Example]):
    """Encoded inputs, as torch wants them."""

    def __init__(self, items: Sequence[Example]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        return self._items[index]


class _Trainer(Trainer):
    """The Trainer with inputs of similar length in a batch, stopping at a loss that is not finite."""

    last_loss = math.nan

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        lengths = [len(item.encoded.ids) for item in self.train_dataset]
        return LengthGrouped(lengths, self.args.train_batch_size, self.args.seed)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.last_loss = loss.item()
        if not math.isfinite(self.last_loss):
            raise TrainingError(
                f"the loss is {self.last_loss} at step {self.state.global_step + 1}: the run stops here. Try a smaller "
                "learning_rate, a longer warm-up (warmup_ratio), or precision fp32"
            )
        return loss


class _Selection(TrainerCallback):
    """Score English dev after each epoch and keep the best weights."""

    def __init__(
        self,
        model: TransferModel,
        backbone: Backbone,
        spec: TaskSpec,
        recipe: Recipe,
        dev: Sequence[Mapping[str, Any]] | None,
        report: Report,
    ) -> None:
        if dev is None:
            raise RecipeError("select en_dev needs the English dev set")
        self._score = partial(evaluate, model, backbone, spec, recipe, dev, SOURCE_LANGUAGE)
        self._model, self._scores = model, report.en_dev
        self._best: tuple[float, dict[str, torch.Tensor]] | None = None

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        score = self._score()
        self._model.train()
        best = score > max(self._scores, default=-math.inf)
        self._scores.append(score)
        logger.info("English dev after epoch %.2f: %.4f", state.epoch, score)
        if best:
            weights = {name: value.detach().cpu().clone() for name, value in self._model.state_dict().items()}
            self._best = (state.epoch, weights)

    def restore_best(self) -> float:
        """Put the best weights back; returns their epoch (the first of equals)."""
        assert self._best is not None, "training ended without an epoch"
        epoch, weights = self._best
        self._model.load_state_dict(weights)
        return float(epoch)
