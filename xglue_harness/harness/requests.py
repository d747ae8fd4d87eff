"""Answer all transfer requests of an lm-eval run: fine-tune once for each recipe, then predict every language."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE, Kind, TaskSpec
from xglue_harness.data import fingerprint
from xglue_harness.encoders.loading import (
    Backbone,
    check_length,
    check_trainable,
    encoder_of,
    single_device,
    weights_sha256,
)
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.errors import EncoderError
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.results.provenance import hardware, versions
from xglue_harness.transfer.determinism import seeded
from xglue_harness.transfer.finetune import finetune, resolve_precision
from xglue_harness.transfer.predict import predict
from xglue_harness.transfer.recipe import Recipe, resolve
from xglue_harness.transfer.scoring import documents

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.harness.task import TransferRequest, TransferTask

logger = logging.getLogger(__name__)


def answer(lm: Any, requests: list[TransferRequest], *, disable_tqdm: bool = False) -> list[Any]:
    """Predictions for all requests, in their order.

    Requests of one task share one fine-tuning, whatever their number of languages. The model of lm-eval stays as it
    was: a copy of its encoder is trained.

    Args:
        lm: lm-eval's model (``hf``, ``hf-encoder``): anything with a transformers model and a tokenizer.
        requests: of any number of tasks and languages.
        disable_tqdm: show no bars.

    Raises:
        EncoderError: where the model has no encoder that could be trained.
        XGlueError: as data, training and prediction raise it.
    """
    backbone = backbone_of(lm)
    jobs = [_prepare(backbone, group) for group in _by_task(requests)]  # all data are read before hours of training
    digest = weights_sha256(backbone.encoder)
    results: list[Any] = [None] * len(requests)
    for job in jobs:
        for index, value in _run(backbone, digest, job, progress=not disable_tqdm):
            results[index] = value
    return results


Group = dict["TransferTask", list[tuple[int, "TransferRequest"]]]
"""Requests with their places, by the language leaf that they belong to; all of one XGLUE task and one recipe."""


def _by_task(requests: list[TransferRequest]) -> list[Group]:
    groups: dict[tuple[str, str], Group] = {}
    for index, request in enumerate(requests):
        key = (request.task.spec.name, request.task.options.model_dump_json())
        groups.setdefault(key, {}).setdefault(request.task, []).append((index, request))
    return list(groups.values())


def backbone_of(lm: Any) -> Backbone:
    """Encoder, tokenizer and device of an lm-eval model.

    Raises:
        EncoderError: where there is none, or several processes share the work.
    """
    model = getattr(lm, "model", None)
    if not isinstance(model, torch.nn.Module):
        raise EncoderError(
            f"{type(lm).__name__} holds no transformers model that can be fine-tuned: "
            "use --model hf or --model hf-encoder"
        )
    if max(lm.world_size, int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise EncoderError("fine-tuning in several processes is not supported yet: start one process, on one device")
    config: Any = lm.config if hasattr(lm, "config") else model.config
    check_trainable(model)
    return Backbone(
        encoder=model if isinstance(lm, EncoderLM) else encoder_of(model),
        tokenizer=lm.tokenizer,
        config=config,
        device=single_device(torch.device(lm.device)),
        name=str(config.name_or_path),
        revision=getattr(config, "_commit_hash", None),
    )


@dataclass(frozen=True)
class _Job:
    """One fine-tuning and all that it needs."""

    spec: TaskSpec
    recipe: Recipe
    group: Group
    train: Dataset
    dev: list[Any] | None
    files: dict[str, str]


def _prepare(backbone: Backbone, group: Group) -> _Job:
    first = next(iter(group))
    spec, options, source = first.spec, first.options, first.source
    recipe = resolve(
        options,
        spec,
        seed=torch.initial_seed() % 2**32,
        precision=resolve_precision(options.precision, backbone.device),
        pooling=default_pooling(backbone.config) if options.pooling == "auto" else options.pooling,
    )
    check_length(backbone, recipe.max_length)
    if first.is_sample:
        logger.warning("SAMPLE data: a toy for trying the software out; the scores mean nothing")
    train = source.load(spec, "train", SOURCE_LANGUAGE)
    files, dev = dict(train.files), None
    if recipe.select == "en_dev":
        loaded = source.load(spec, "dev", SOURCE_LANGUAGE)
        files.update(loaded.files)
        dev = list(documents(spec, loaded.dataset))
    return _Job(spec, recipe, group, _first_rows(train.dataset, recipe, spec.title), dev, files)


def _run(backbone: Backbone, digest: str, job: _Job, *, progress: bool) -> list[tuple[int, Any]]:
    spec, recipe = job.spec, job.recipe
    languages = ", ".join(task.language for task in job.group)
    logger.info(
        "fine-tuning %s on %d rows of English %s, then scoring %s", backbone.name, len(job.train), spec.title, languages
    )
    found: list[tuple[int, Any]] = []
    with seeded(recipe.seed, backbone.device):
        model, report = finetune(backbone, spec, recipe, job.train, job.dev, progress=progress)
        for task, pairs in job.group.items():
            began = time.perf_counter()
            texts = [request.doc for _, request in pairs]
            predictions = predict(model, backbone, spec, recipe, texts, task.language, progress=progress)
            found.extend((index, value) for (index, _), value in zip(pairs, predictions.values, strict=True))
            evaluation: dict[str, Any] = {
                "documents": len(texts),
                "truncated": predictions.truncated,
                "seconds": round(time.perf_counter() - began, 3),
            }
            if spec.kind is Kind.RANKING:
                evaluation["single_row_queries_left_out"] = task.single_row_queries
            task.run.update(_record(task, backbone, digest, recipe, report, job.files, evaluation))
    return found


def _first_rows(dataset: Dataset, recipe: Recipe, title: str) -> Dataset:
    wanted = recipe.train_limit
    if wanted is not None and wanted > len(dataset):
        logger.warning(
            "train_limit %d: English %s has only %d training rows, all are used", wanted, title, len(dataset)
        )
    return dataset if wanted is None else dataset.select(range(min(wanted, len(dataset))))


def _record(
    task: TransferTask,
    backbone: Backbone,
    digest: str,
    recipe: Recipe,
    report: Any,
    used: dict[str, str],
    evaluation: dict[str, Any],
) -> dict[str, Any]:
    """All that a reader needs to know, or to repeat, about a leaf's number."""
    files = {**used, **task.files}
    return {
        "protocol": "finetune",
        "task": task.spec.name,
        "source_language": SOURCE_LANGUAGE,
        "target_language": task.language,
        "SAMPLE": task.is_sample,
        "recipe": {**recipe.model_dump(), "key": recipe.key},
        "data": {
            "source": task.source.name,
            "description": task.source.description,
            "fingerprint": fingerprint(files),
            "files": files,
        },
        "backbone": {
            "name": backbone.name,
            "revision": backbone.revision,
            "model_type": backbone.config.model_type,
            "encoder_sha256": digest,
            "encoder_parameters": sum(p.numel() for p in backbone.encoder.parameters()),
        },
        "training": dataclasses.asdict(report),
        "evaluation": evaluation,
        "versions": versions(),
        "hardware": hardware(backbone.device),
    }
