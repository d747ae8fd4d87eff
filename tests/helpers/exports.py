"""Entries of the store as a training would leave them, without training: the weights are drawn."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.recipe import Options, Recipe, resolve
from xglue_harness.store.files import write_tensors
from xglue_harness.store.trainings import Entry, Store, content_key
from xglue_harness.training.finetune import TRAINING_VERSION
from xglue_harness.training.model import build_model
from xglue_harness.training.weights import trained_tensors


def recipe(task: str, **options) -> Recipe:
    chosen = {"epochs": 2, "max_length": 40, "precision": "fp32", "pooling": "first", **options}
    return resolve(Options(**chosen), TASKS[task], seed=1, precision=chosen["precision"], pooling=chosen["pooling"])


def keep(store: Store, backbone: Backbone, made_by: Recipe) -> Entry:
    """An entry with two epochs, of which the weights differ from each other and from the pretrained ones."""
    identity = {
        "backbone": {**asdict(identify(backbone))},
        "recipe": made_by.model_dump(),
        "data": "0" * 64,
        "dev": ["en"],
        "code": TRAINING_VERSION,
    }
    key = content_key(identity)
    used = range(5, 30)  # rows of the embedding table
    weights = {}
    with torch.random.fork_rng():
        for epoch in (1.0, 2.0):
            torch.manual_seed(int(epoch))
            model = build_model(backbone, TASKS[made_by.task], made_by, used)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
                model.classifier.weight.normal_(std=3.0)  # or one class outdoes all others
                model.classifier.bias.normal_(std=0.1)
            file = store.working_folder(key) / f"epoch-{epoch:g}.safetensors"
            weights[epoch] = (file.name, write_tensors(file, trained_tensors(model)))
    epochs = [{"epoch": epoch, "dev": {"en": epoch / 4}, "constant": False} for epoch in weights]
    return store.finish(key, backbone.name, identity, {"epochs": epochs}, weights)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
