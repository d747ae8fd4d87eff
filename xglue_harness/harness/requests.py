"""Answer all transfer requests of an lm-eval run: fine-tune (or probe) once a recipe, then predict every language."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.encoders.adapters import check_placed
from xglue_harness.encoders.backbone import Backbone, check_tokenizer, check_trainable, encoder_of, merged
from xglue_harness.encoders.checks import check_finite, check_padding
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.loading import commit_of
from xglue_harness.errors import EncoderError
from xglue_harness.exclusive import one_thread
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.harness.language_model import LanguageModel, is_local
from xglue_harness.harness.model_arguments import made_with
from xglue_harness.harness.protocol import DOCUMENT
from xglue_harness.training.determinism import repeatable_products
from xglue_harness.training.distributed import World
from xglue_harness.transfer.job import prepare_job
from xglue_harness.transfer.preflight import try_out, warn_of_unknown
from xglue_harness.transfer.probe import FrozenEncoders, prepare_probe_job, run_probe_job
from xglue_harness.transfer.run import run_job

if TYPE_CHECKING:
    from xglue_harness.encoders.probe import Finding
    from xglue_harness.harness.leaf_task import LeafTask, TransferRequest
    from xglue_harness.transfer.leaf import Leaf

logger = logging.getLogger(__name__)


Group = dict["LeafTask", list[tuple[int, "TransferRequest"]]]
"""Requests with their places, by the leaf that they belong to; all of one XGLUE task and one recipe."""


def answer(lm: LanguageModel, requests: list[TransferRequest], *, disable_tqdm: bool = False) -> list[Any]:
    """Predictions for all requests, in their order.

    Requests of one task share one fine-tuning, whatever their number of languages. The model of lm-eval stays as it
    was: a copy of its encoder is trained. Where lm-eval runs in several processes, each has its share of the requests,
    and all train together.

    Args:
        lm: lm-eval's model (``hf``, ``hf-encoder``): anything with a transformers model and a tokenizer.
        requests: of any number of tasks and languages.
        disable_tqdm: show no bars.

    Raises:
        EncoderError: where the model has no encoder that could be trained.
        XGlueError: as data, training and prediction raise it.
    """
    results: list[Any] = [None] * len(requests)
    with one_thread(), logging_as_lm_eval(World.current()):
        backbone = backbone_of(lm)
        probes: dict[int, Finding] = {}
        groups = _by_task(requests)
        frozen = [group for group in groups if _is_probed(group)]
        tuned = [group for group in groups if not _is_probed(group)]
        # The data of all jobs are read, and all jobs are tried, before hours of training.
        encoders = FrozenEncoders(backbone, progress=not disable_tqdm)
        probe_jobs = [prepare_probe_job(encoders, _leaves(group)) for group in frozen]
        jobs = [prepare_job(backbone, _leaves(group), probes) for group in tuned]
        identity = identify(backbone)
        entries = [try_out(identity, job) for job in jobs]
        warn_of_unknown(backbone, (leaf for group in groups for leaf in _leaves(group)))
        places = [f"{number} of {len(jobs)}" for number in range(1, len(jobs) + 1)]
        done = chain(
            ((group, run_probe_job(identity, job)) for group, job in zip(frozen, probe_jobs, strict=True)),
            (
                (group, run_job(identity, job, entry=entry, progress=not disable_tqdm, place=f" (task {place})"))
                for place, group, job, entry in zip(places, tuned, jobs, entries, strict=True)
            ),
        )
        for group, outcomes in done:
            for (task, pairs), outcome in zip(group.items(), outcomes, strict=True):
                task.run = outcome.record
                for index, request in pairs:
                    results[index] = outcome.predictions[request.doc_id]
                    task.row_scores[request.doc[DOCUMENT]] = outcome.scores[request.doc_id]
    return results


def _by_task(requests: list[TransferRequest]) -> list[Group]:
    groups: dict[tuple[str, str], Group] = {}
    for index, request in enumerate(requests):
        key = (request.task.spec.name, request.task.options.model_dump_json())
        groups.setdefault(key, {}).setdefault(request.task, []).append((index, request))
    return list(groups.values())


def _is_probed(group: Group) -> bool:
    return next(iter(group)).protocol.name == "probe"


def _leaves(group: Group) -> list[Leaf]:
    return [_leaf(*pair) for pair in group.items()]


def _leaf(task: LeafTask, pairs: list[tuple[int, TransferRequest]]) -> Leaf:
    """A task's leaf with the documents of its requests.

    Each is there once; lm-eval asks for some twice, so that all processes have as many.
    """
    documents = {request.doc_id: request.doc for _, request in pairs}
    return replace(task.leaf, documents=documents, is_predicted_only=task.is_predicted_only)


@contextmanager
def logging_as_lm_eval(world: World) -> Iterator[None]:
    """Let our messages appear where and as lm_eval's do, once for all processes (warnings from each)."""
    ours, theirs = logging.getLogger("xglue_harness"), logging.getLogger("lm_eval")
    level, handlers = ours.level, list(ours.handlers)
    if level == logging.NOTSET:
        ours.setLevel(theirs.getEffectiveLevel() if world.is_main_process else logging.WARNING)
    if not (handlers or logging.getLogger().handlers):  # else those show them
        ours.handlers = list(theirs.handlers)
    try:
        yield
    finally:
        ours.setLevel(level)
        ours.handlers = handlers


def _revision(lm: LanguageModel) -> str | None:
    """What was asked for; models that were made by hand keep it themselves."""
    return made_with(lm).revision or getattr(lm, "revision", None)


def backbone_of(lm: LanguageModel) -> Backbone:
    """Encoder, tokenizer and device of an lm-eval model.

    Raises:
        EncoderError: where there is none, lm-eval and torch.distributed disagree about the processes, or the encoder
            can't be trained: weights that are not finite, a padding id beyond its table, ...
    """
    if not is_local(lm):
        raise EncoderError(
            f"{type(lm).__name__} holds no transformers model that can be fine-tuned: "
            "use --model hf or --model hf-encoder"
        )
    repeatable_products()  # an encoder is asked this and that before it is trained
    world = World.current()
    if lm.world_size != world.size:
        raise EncoderError(
            f"lm_eval's model counts {lm.world_size} processes, torch.distributed {world.size}: start it with "
            "`accelerate launch -m lm_eval` or `torchrun -m lm_eval`, and without tp_plan"
        )
    check_tokenizer(lm.tokenizer)
    config: Any = lm.config if hasattr(lm, "config") else lm.model.config
    if adapter := made_with(lm).adapter:
        check_placed(lm.model, adapter, revision=_revision(lm) or "main")
    model = merged(lm.model)
    encoder = model if isinstance(lm, EncoderLM) else encoder_of(model)
    check_trainable(encoder, model)
    check_finite(encoder, str(config.name_or_path))
    check_padding(encoder, lm.tokenizer)
    return Backbone(
        encoder=encoder,
        tokenizer=lm.tokenizer,
        config=config,
        device=torch.device(lm.device),
        name=str(config.name_or_path),
        revision=commit_of(config, str(config.name_or_path), _revision(lm)),
    )
