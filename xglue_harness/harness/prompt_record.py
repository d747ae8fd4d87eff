"""The record of one language's number that a prompted language model got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.collapse import constant
from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.loading import commit_of
from xglue_harness.harness.language_model import LanguageModel, is_local
from xglue_harness.harness.model_arguments import made_with
from xglue_harness.records.parts import Flags
from xglue_harness.records.prompt_schema import ModelRecord, PromptEvaluation, PromptRecord, PromptSettings
from xglue_harness.records.provenance import environment
from xglue_harness.transfer.record import data_record

if TYPE_CHECKING:
    from xglue_harness.harness.leaf_task import LeafTask
    from xglue_harness.harness.protocol import Scored

_KNOWN: WeakKeyDictionary[Any, ModelRecord] = WeakKeyDictionary()
"""Records of models: their weights are hashed once for all tasks."""


def prompt_record(
    task: LeafTask, lm: LanguageModel, settings: PromptSettings, scored: Sequence[Scored]
) -> dict[str, Any]:
    """All that a reader needs to judge, or to repeat, a leaf's number, as JSON.

    Args:
        task: the leaf.
        lm: lm-eval's model.
        settings: how it was asked.
        scored: all documents and their answers.
    """
    spec = task.spec
    leaf, files = task.leaf, {**task.leaf.files, **task.sampler.files}
    record = PromptRecord(
        protocol="prompt",
        task=spec.name,
        source_language=SOURCE_LANGUAGE,
        target_language=leaf.language,
        sample=leaf.is_sample,
        data=data_record(leaf, files, task.sampler.unofficial),
        model=model_record(lm),
        prompt=settings,
        evaluation=PromptEvaluation(
            documents=len(scored),
            single_row_queries_left_out=leaf.single_row_queries,
        ),
        predictions=None,
        flags=Flags.of(constant(spec, [row[2] for row in scored], [row[1] for row in scored])),
        environment=environment(_device(lm)),
    )
    return record.model_dump(mode="json", by_alias=True)


def model_record(lm: LanguageModel) -> ModelRecord:
    """What is known of a language model.

    Args:
        lm: lm-eval's model, of any backend.
    """
    if lm not in _KNOWN:
        local = lm.model if is_local(lm) else None
        config: Any = getattr(local, "config", None)
        asked, revision = made_with(lm).name, made_with(lm).revision
        adapter = getattr(lm, "peft", None)
        commit = commit_of(config, config.name_or_path, revision) if config is not None else None
        names = (getattr(config, "name_or_path", None), asked, getattr(lm, "model", None))
        _KNOWN[lm] = ModelRecord(
            name=next((name for name in names if isinstance(name, str) and name), type(lm).__name__),
            backend=type(lm).__name__,
            revision=commit or revision,
            weights_sha256=weights_sha256(local) if local is not None and commit is None else None,
            adapter=str(adapter) if adapter else None,
            dtype=None if local is None else str(next(local.parameters()).dtype),
            parameters=None if local is None else sum(parameter.numel() for parameter in local.parameters()),
        )
    return _KNOWN[lm]


def _device(lm: LanguageModel) -> torch.device:
    """Where the model is; the CPU of this machine for one behind an API."""
    device = getattr(lm, "device", None)
    return torch.device(device) if device is not None else torch.device("cpu")
