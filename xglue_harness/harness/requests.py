"""Answer all transfer requests of an lm-eval run: fine-tune once for each recipe, then predict every language."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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
from xglue_harness.harness.hf import ADAPTER
from xglue_harness.harness.jobs import Group, prepare_job, run_job
from xglue_harness.harness.preflight import try_out
from xglue_harness.harness.register import MADE_OF
from xglue_harness.training.distributed import World

if TYPE_CHECKING:
    from xglue_harness.harness.finetuning import TransferRequest

logger = logging.getLogger(__name__)


def answer(lm: Any, requests: list[TransferRequest], *, disable_tqdm: bool = False) -> list[Any]:
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
        jobs = [prepare_job(backbone, group) for group in _by_task(requests)]  # all data, before hours of training
        identity = identify(backbone)
        for job in jobs:
            try_out(identity, job)
        for job in jobs:
            for index, value in run_job(identity, job, progress=not disable_tqdm):
                results[index] = value
    return results


@contextmanager
def logging_as_lm_eval(world: World) -> Iterator[None]:
    """Let our messages appear where and as lm_eval's do, once for all processes (warnings from each)."""
    ours, theirs = logging.getLogger("xglue_harness"), logging.getLogger("lm_eval")
    level, own = ours.level, list(ours.handlers)
    if level == logging.NOTSET:
        ours.setLevel(theirs.getEffectiveLevel() if world.is_main_process else logging.WARNING)
    if not (own or logging.getLogger().handlers):  # else those show them
        ours.handlers = list(theirs.handlers)
    try:
        yield
    finally:
        ours.setLevel(level)
        ours.handlers = own


def _by_task(requests: list[TransferRequest]) -> list[Group]:
    groups: dict[tuple[str, str], Group] = {}
    for index, request in enumerate(requests):
        key = (request.task.spec.name, request.task.options.model_dump_json())
        groups.setdefault(key, {}).setdefault(request.task, []).append((index, request))
    return list(groups.values())


def _revision(lm: Any) -> str | None:
    """What was asked for; models that were made by hand keep it themselves."""
    _, asked = MADE_OF.get(lm, (None, None))
    return asked or getattr(lm, "revision", None)


def backbone_of(lm: Any) -> Backbone:
    """Encoder, tokenizer and device of an lm-eval model.

    Raises:
        EncoderError: where there is none, lm-eval and torch.distributed disagree about the processes, or the encoder
            can't be trained: weights that are not finite, a padding id beyond its table, ...
    """
    model = getattr(lm, "model", None)
    if not isinstance(model, torch.nn.Module):
        raise EncoderError(
            f"{type(lm).__name__} holds no transformers model that can be fine-tuned: "
            "use --model hf or --model hf-encoder"
        )
    world = World.current()
    if lm.world_size != world.size:
        raise EncoderError(
            f"lm_eval's model counts {lm.world_size} processes, torch.distributed {world.size}: start it with "
            "`accelerate launch -m lm_eval` or `torchrun -m lm_eval`, and without tp_plan"
        )
    check_tokenizer(lm.tokenizer)
    config: Any = lm.config if hasattr(lm, "config") else model.config
    if adapter := getattr(lm, ADAPTER, None):
        check_placed(model, adapter, revision=_revision(lm) or "main")
    model = merged(model)
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
