"""Read an exported training back: the model that was scored, with the tokeniser of the benchmark around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.encoders.backbone import Backbone, encoder_of, has_decoder
from xglue_harness.encoders.checks import check_ids, device_of
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.loading import (
    Checkpoint,
    explained,
    load_config,
    load_tokenizer,
    without_decoder,
    without_pooler,
)
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.encoders.told_languages import language_number
from xglue_harness.errors import DataError, EncoderError
from xglue_harness.export.description import WEIGHTS, Description, Parts, read_description
from xglue_harness.export.family_head import auto_class
from xglue_harness.export.probe import probe_inputs, tokens_sha256
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import Prepared, predict
from xglue_harness.seal import DamagedFileError
from xglue_harness.store.files import open_tensors

if TYPE_CHECKING:
    from xglue_harness.recipe import ChosenPrecision, Recipe


@dataclass(frozen=True)
class ExportedModel:
    """A fine-tuned encoder with its head.

    Attributes:
        description: what is known of it.
        backbone: encoder and tokenizer.
        spec: the task.
        recipe: of its training, with the precision that it computes in now.
        model: encoder and head; called with ``input_ids`` and ``attention_mask`` it gives ``logits``.
    """

    description: Description
    backbone: Backbone
    spec: TaskSpec
    recipe: Recipe
    model: TransferModel

    def predict(self, rows: Sequence[Mapping[str, Any]], language: str) -> list[Any]:
        """Classes of some rows, read as the benchmark reads them: pairs joined, long sentences in windows.

        Args:
            rows: each with the task's texts by the names of its columns (``words``; ``premise``, ``hypothesis``; ...).
            language: of the rows, as XGLUE's code (``de``); it counts for encoders that are told it.

        Returns:
            For each row the name of its class, or a list of those of its words.

        Raises:
            DataError: for a row without one of the texts.
            EncoderError: for a language that the encoder would have to be told and does not know.
        """
        spec, kind, backbone = self.spec, kind_of(self.spec), self.backbone
        labelled = [self._with_labels(number, row) for number, row in enumerate(rows)]
        inputs = tokenised(spec, labelled, backbone.tokenizer, language, self.recipe.max_length)
        inputs = inputs.told(language_number(backbone, language))
        check_ids(backbone.encoder, backbone.tokenizer, inputs.ids, f"{spec.title} {language}")
        places = [(number, kind.label_count(row[spec.label_column])) for number, row in enumerate(labelled)]
        prepared = Prepared(spec, language, places, len(rows), inputs)
        [found] = predict(self.model, backbone, self.recipe, [prepared], progress=False)
        classes = [one for value in found.values for one in kind.by_row(value)]
        if kind.per_word:
            return [[spec.labels[number] for number in row] for row in classes]
        return [spec.labels[number] for number in classes]

    def _with_labels(self, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as the tokeniser wants it, with labels that nobody looks at."""
        texts = (*self.spec.text_a, *self.spec.text_b)
        if lacking := [name for name in texts if name not in row]:
            raise DataError(f"row {number} has no {', '.join(lacking)}; {self.spec.title} reads {', '.join(texts)}")
        label = [0] * len(row[self.spec.text_a[0]]) if kind_of(self.spec).per_word else 0
        return {**{name: row[name] for name in texts}, self.spec.label_column: label}


def load_exported(folder: Path, device: str, precision: ChosenPrecision) -> ExportedModel:
    """As `xglue_harness.export.load`."""
    place = device_of(device)
    description = read_description(folder)
    spec, recipe = TASKS[description.task], description.recipe
    checkpoint = Checkpoint(str(folder))
    config = load_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    parts = description.family_class
    model = _own(folder, config, spec, recipe) if parts is None else _of_family(folder, parts, spec, recipe)
    model = model.to(place).eval()
    name = description.backbone.name
    backbone = Backbone(
        model.encoder, tokenizer, config, place, name, description.backbone.revision, description.batches
    )
    if tokens_sha256(probe_inputs(spec, backbone, recipe.max_length)) != description.tokens_sha256:
        there = {package: description.versions.get(package, "?") for package in ("transformers", "tokenizers")}
        raise EncoderError(
            f"{folder}: its tokenizer reads text otherwise than when it was exported: install the versions of then "
            f"({', '.join(f'{package} {version}' for package, version in there.items())}), or export it again"
        )
    return ExportedModel(description, backbone, spec, recipe.model_copy(update={"precision": precision}), model)


def _of_family(folder: Path, parts: Parts, spec: TaskSpec, recipe: Recipe) -> TransferModel:
    """Our model around the parts of the family's own class."""
    tagging = kind_of(spec).per_word
    with explained(str(folder), "weights"):
        whole, report = auto_class(tagging).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        lacking = sorted(report["missing_keys"] | {name for name, *_ in report["mismatched_keys"]})
        if lacking:
            raise EncoderError(f"{folder} lacks weights ({', '.join(lacking[:5])}): it is incomplete")
        model = _headed(whole.get_submodule(parts.encoder), spec, recipe)
        if model.dense is not None and parts.dense is not None:
            model.dense.load_state_dict(whole.get_submodule(parts.dense).state_dict())
        model.classifier.load_state_dict(whole.get_submodule(parts.classifier).state_dict())
    return model


def _own(folder: Path, config: Any, spec: TaskSpec, recipe: Recipe) -> TransferModel:
    """Our model, from a file of all its tensors."""
    from transformers import MODEL_MAPPING, AutoModel

    path = folder / WEIGHTS
    with explained(str(folder), "weights"), torch.random.fork_rng(devices=[]):  # weights that are replaced
        family: Any = MODEL_MAPPING.get(type(config), None)
        if has_decoder(config):
            whole = without_decoder(family)(config)
        else:
            whole = AutoModel.from_config(config, **without_pooler(config))
        model = _headed(encoder_of(whole).float(), spec, recipe)
        try:
            tensors, _ = open_tensors(path)
        except DamagedFileError as error:
            raise EncoderError(f"{path}: {error}: export it again") from None
        model.load_state_dict(tensors)
    return model


def _headed(encoder: nn.Module, spec: TaskSpec, recipe: Recipe) -> TransferModel:
    dropout = {} if recipe.dropout is None else {"dropout": recipe.dropout}
    with torch.random.fork_rng(devices=[]):
        return TransferModel(
            encoder, len(spec.labels), tagging=kind_of(spec).per_word, pooling=recipe.pooling, **dropout
        )
