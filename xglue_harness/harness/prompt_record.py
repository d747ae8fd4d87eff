"""The record of one language's number that a prompted language model got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE, Kind
from xglue_harness.collapse import constant
from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.loading import commit_of
from xglue_harness.harness.record import data_record
from xglue_harness.harness.register import MADE_OF
from xglue_harness.records.provenance import environment
from xglue_harness.records.schema import (
    Flags,
    ModelRecord,
    PromptEvaluation,
    PromptRecord,
    PromptSettings,
)

if TYPE_CHECKING:
    from xglue_harness.harness.prompting import Prompting
    from xglue_harness.harness.protocol import Scored

_KNOWN: WeakKeyDictionary[Any, ModelRecord] = WeakKeyDictionary()
"""Records of models: their weights are hashed once for all tasks."""


def prompt_record(prompting: Prompting, scored: Sequence[Scored]) -> dict[str, Any]:
    """All that a reader needs to judge, or to repeat, a leaf's number, as JSON.

    Args:
        prompting: what the model was asked.
        scored: all documents and their answers.
    """
    task, spec = prompting.task, prompting.task.spec
    files = {**task.files, **task.sampler.files}
    single = constant(spec, [row[2] for row in scored], [row[1] for row in scored])
    reasons = [] if single is None else [f"every prediction on this test set is {single!r}"]
    record = PromptRecord(
        protocol="prompt",
        task=spec.name,
        source_language=SOURCE_LANGUAGE,
        target_language=task.language,
        sample=task.is_sample,
        data=data_record(task, files, task.sampler.unofficial),
        model=model_record(prompting.lm),
        prompt=_settings(prompting),
        evaluation=PromptEvaluation(
            documents=len(scored),
            single_row_queries_left_out=task.single_row_queries if spec.kind is Kind.RANKING else None,
        ),
        predictions=None,
        flags=Flags(collapsed=bool(reasons), reasons=reasons),
        environment=environment(_device(prompting.lm)),
    )
    return record.model_dump(mode="json", by_alias=True)


def _settings(prompting: Prompting) -> PromptSettings:
    task, context = prompting.task, prompting.context
    return PromptSettings(
        language=prompting.language,
        file_sha256=prompting.prompts_sha256,
        description=prompting.prompt.description,
        question=prompting.prompt.question,
        choices=prompting.prompt.choices,
        delimiter=prompting.prompts.delimiter,
        num_fewshot=context["num_fewshot"],
        fewshot_seed=task.fewshot_seed,
        chat_template=bool(context.get("apply_chat_template")),
        fewshot_as_multiturn=bool(context.get("fewshot_as_multiturn")),
        system_instruction=context.get("system_instruction"),
        generation=task.config.generation_kwargs if task.spec.kind is Kind.TAGGING else None,
    )


def model_record(lm: Any) -> ModelRecord:
    """What is known of a language model.

    Args:
        lm: lm-eval's model, of any backend.
    """
    if lm not in _KNOWN:
        model = getattr(lm, "model", None)
        local = model if isinstance(model, torch.nn.Module) else None
        config = getattr(local, "config", None)
        asked, revision = MADE_OF.get(lm, (None, None))
        commit = commit_of(config, config.name_or_path, revision) if config is not None else None
        names = (getattr(config, "name_or_path", None), asked, model)
        _KNOWN[lm] = ModelRecord(
            name=next((name for name in names if isinstance(name, str) and name), type(lm).__name__),
            backend=type(lm).__name__,
            revision=commit or revision,
            weights_sha256=weights_sha256(local) if local is not None and commit is None else None,
            adapter=str(lm.peft) if getattr(lm, "peft", None) else None,
            dtype=None if local is None else str(next(local.parameters()).dtype),
            parameters=None if local is None else sum(parameter.numel() for parameter in local.parameters()),
        )
    return _KNOWN[lm]


def _device(lm: Any) -> torch.device:
    """Where the model is; the CPU of this machine for one behind an API."""
    device = getattr(lm, "device", None)
    return torch.device(device) if device is not None else torch.device("cpu")
