"""Results as ``.eval_results/*.yaml``, by which a model's repository on the Hub tells its scores.

The format is that of https://huggingface.co/docs/hub/eval-results (in work there); `huggingface_hub` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xglue_harness.errors import DataError
from xglue_harness.export.every_eval_ever import evaluated
from xglue_harness.export.intervals import bounds
from xglue_harness.export.whole_runs import whole_tests
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.schema import RunRecord

if TYPE_CHECKING:
    from datetime import datetime

    from huggingface_hub import EvalResultEntry

    from xglue_harness.results.run import Record, Run

FOLDER = ".eval_results"
DATASET = "microsoft/xglue"


def files_of(runs: Sequence[Run], *, benchmark: str = DATASET, source_url: str | None = None) -> dict[str, str]:
    """The files that go into a model's repository: one for each training, or each task that was prompted for.

    Args:
        runs: of one model.
        benchmark: repository on the Hub that is the benchmark.
        source_url: where more is told of the results.

    Returns:
        Text by path.

    Raises:
        DataError: for several models, and for data that are not XGLUE's: the Hub would show their scores as XGLUE's.
    """
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    dates = {source: evaluated(source) for source in {run.source for run in runs if run.record is not None}}
    files: dict[str, list[EvalResultEntry]] = {}
    models: dict[str, Run] = {}
    for run, record in whole_tests(runs):
        if run.sample or run.unofficial:
            what = "the packaged toy" if run.sample else "; ".join(run.unofficial)
            raise DataError(f"{run}: not of XGLUE's own rows ({what}), and the Hub would show it as XGLUE's")
        models.setdefault(_model(record), run)
        key = "prompt"
        if isinstance(record, RunRecord):
            key = record.training.store_key[:12]
        elif isinstance(record, ProbeRecord):
            key = f"probe_{record.recipe['key']}"
        entries = files.setdefault(f"{FOLDER}/xglue_{run.task}_{key}.yaml", [])
        entry = _entry(run, record, benchmark, source_url, dates[run.source])
        if any(other.task_id == entry.task_id for other in entries):
            raise DataError(f"{run}: {run.task} in {run.language} is there twice: give one of them")
        entries.append(entry)
    if len(models) > 1:
        first, second = list(models.values())[:2]
        raise DataError(
            f"{first} and {second}: results of {first.backbone} and {second.backbone}; they go into a model's own "
            "repository: export each by itself"
        )
    return {
        path: yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
        for path, entries in files.items()
    }


def _model(record: Record) -> str:
    if isinstance(record, PromptRecord):
        return f"{record.model.name} {record.model.revision} {record.model.adapter}"
    return record.backbone.encoder_sha256


def _entry(run: Run, record: Record, benchmark: str, source_url: str | None, when: datetime | None) -> EvalResultEntry:
    from huggingface_hub import EvalResultEntry

    assert run.score is not None
    limits = bounds(run.score)
    facts = [f"{run.spec.metric}, 0 to 1"]
    if limits is not None:
        facts.append(f"95% interval {limits[0]:.4f} to {limits[1]:.4f} over test documents")
    if isinstance(record, RunRecord):
        facts.append(
            f"fine-tuned on {record.source_language} alone, seed {run.seed}, epoch {record.selection.epoch:g} "
            f"({record.selection.rule}), recipe {record.recipe['key']}"
        )
    elif isinstance(record, ProbeRecord):
        facts.append(
            f"encoder frozen, a linear probe on layer {record.probe.layer} fitted on {record.source_language} alone, "
            f"seed {run.seed}, recipe {record.recipe['key']}"
        )
    else:
        facts.append(f"prompted, {record.prompt.num_fewshot} examples, prompts in {record.prompt.language}")
    facts += [f"COLLAPSED: {reason}" for reason in record.flags.reasons]
    return EvalResultEntry(
        dataset_id=benchmark,
        task_id=f"{run.task}_{run.language}",
        value=run.score.value,
        date=None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        source_url=source_url,
        source_name=None if source_url is None else "xglue-harness",
        notes="; ".join(facts),
    )
