"""Results as records of Every Eval Ever, the shared schema for evaluations (https://evalevalai.com, version 0.3.0).

A record is what one file of results says of one model. What the schema has no place for (which fine-tuning a score is
of, by which epoch and recipe) stands in its ``details``, whose values are all text.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xglue_harness.errors import DataError
from xglue_harness.export.intervals import CONFIDENCE, bounds
from xglue_harness.export.whole_runs import whole_tests
from xglue_harness.files import read_json
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.schema import RunRecord

if TYPE_CHECKING:
    from xglue_harness.results.run import Record, Run, Score

SCHEMA_VERSION = "0.3.0"
COLLECTION = "xglue"
Relationship = Literal["first_party", "third_party", "collaborative", "other"]

_METRICS = {
    "acc": ("accuracy", "accuracy", "share of right classes"),
    "f1": ("xglue.entity_f1", "f1", "micro F1 of entities, equal to seqeval's"),
    "ndcg": ("xglue.ndcg", "ndcg", "mean over queries of nDCG, by predicted grade, ties averaged"),
}
"""Of each metric: an identifier, the family of metrics, and what it is."""


@dataclass(frozen=True)
class Evaluator:
    """Who measured.

    Attributes:
        organization: that passes the results on.
        relationship: to the model's makers.
    """

    organization: str
    relationship: Relationship


def records_of(runs: Sequence[Run], by: Evaluator, *, now: int) -> dict[str, dict[str, Any]]:
    """Records of runs, by the paths that they have in the shared store of records.

    Args:
        runs: of lm_eval's results or a leaderboard's tree.
        by: who measured.
        now: when the records are made, in seconds since 1970.

    Returns:
        ``data/xglue/<developer>/<model>/<uuid>.json`` and what is to be written there. The uuid is made of the content,
        so that the same results get the same file.

    Raises:
        DataError: for runs that scored no whole test set.
    """
    together: dict[tuple[Path, str], list[tuple[Run, Record]]] = {}
    for run, record in whole_tests(runs):
        together.setdefault((run.source, run.backbone), []).append((run, record))
    records = {}
    for (source, _), members in together.items():
        written = _record(source, members, by)
        model = written["model_info"]["id"]
        developer, _, name = model.rpartition("/")
        content = json.dumps(written, sort_keys=True).encode()
        made_of = uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=4)
        stamped = {
            **written,
            "evaluation_id": f"{COLLECTION}/{model}/{now}",
            "retrieved_timestamp": str(now),
        }
        records[f"data/{COLLECTION}/{developer or 'unknown'}/{name}/{made_of}.json"] = stamped
    return records


def _record(source: Path, members: Sequence[tuple[Run, Record]], by: Evaluator) -> dict[str, Any]:
    record = members[0][1]
    versions = record.environment.versions
    when = evaluated(source)
    return {
        "schema_version": SCHEMA_VERSION,
        **({} if when is None else {"evaluation_timestamp": str(int(when.timestamp()))}),
        "source_metadata": {
            "source_name": "xglue-harness",
            "source_type": "evaluation_run",
            "source_organization_name": by.organization,
            "evaluator_relationship": by.relationship,
        },
        "eval_library": {
            "name": "xglue-harness",
            "version": versions.get("xglue-harness", "unknown"),
            "additional_details": _texts({name: versions.get(name) for name in ("lm-eval", "torch", "transformers")}),
        },
        "model_info": _model(record),
        "evaluation_results": [result for run, record in members for result in _results(run, record)],
    }


def _model(record: Record) -> dict[str, Any]:
    """The pretrained encoder, or the language model that was prompted."""
    prompted = isinstance(record, PromptRecord)
    named = record.model if isinstance(record, PromptRecord) else record.backbone
    sha256 = record.model.weights_sha256 if isinstance(record, PromptRecord) else record.backbone.encoder_sha256
    on_hub = bool(re.fullmatch(r"[\w.-]+/[\w.-]+", named.name)) and named.revision is not None
    name = named.name if on_hub else Path(named.name).name
    return {
        "name": name,
        "id": name,
        **({"developer": name.partition("/")[0]} if on_hub else {}),
        "additional_details": {
            "deployment_type": "unknown" if prompted else "self_deployed",
            "model_availability": "open_weights" if on_hub else "unknown",
            **_texts({"revision": named.revision, "weights_sha256": sha256}),
        },
    }


def _results(run: Run, record: Record) -> list[dict[str, Any]]:
    """A task in a language: our score, and that of XGLUE's own evaluator."""
    spec, score = run.spec, run.score
    assert score is not None
    identifier, kind, description = _METRICS[spec.metric]
    leaf = spec.leaf(run.language)
    results = [_result(run, record, f"{leaf}/{spec.metric}", (identifier, kind, description), score)]
    if run.official is not None:
        official = ("xglue.official", kind, f"by XGLUE's own evaluator ({record.official_rule})")
        results.append(_result(run, record, f"{leaf}/official", official, _without_error(run.official)))
    return results


def _without_error(value: float) -> Score:
    from xglue_harness.results.run import Score

    return Score(value, None)


def _result(run: Run, record: Record, identifier: str, metric: tuple[str, str, str], score: Score) -> dict[str, Any]:
    return {
        "evaluation_result_id": identifier,
        "evaluation_name": run.spec.leaf(run.language),
        "source_data": _source_data(run, record),
        "metric_config": {
            "evaluation_description": f"XGLUE {run.spec.title} in {run.language}: {metric[2]}",
            "metric_id": metric[0],
            "metric_name": identifier.rpartition("/")[2],
            "metric_kind": metric[1],
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": score.value,
            "details": _details(run, record),
            "uncertainty": {**_uncertainty(score), "num_samples": _documents(record)},
        },
    }


def _documents(record: Record) -> int:
    """Documents that count for the score."""
    return record.evaluation.documents - (record.evaluation.single_row_queries_left_out or 0)


def _uncertainty(score: Score) -> dict[str, Any]:
    limits = bounds(score)
    if limits is None:
        return {}
    return {
        "standard_error": {"value": score.stderr, "method": "analytic"},
        "confidence_interval": {
            "lower": limits[0],
            "upper": limits[1],
            "confidence_level": CONFIDENCE,
            "method": "normal approximation, over test documents; not over seeds",
        },
    }


def _source_data(run: Run, record: Record) -> dict[str, Any]:
    """Where the rows came from; the toy, and rows that are not XGLUE's, do not bear its name alone."""
    marks = " (SAMPLE: a toy, the scores mean nothing)" * run.sample + " (UNOFFICIAL data)" * bool(run.unofficial)
    details = {
        "language": run.language,
        "split": "test",
        "fingerprint": record.data.fingerprint,
        "unofficial": "; ".join(run.unofficial) or None,
    }
    common = {"dataset_name": f"XGLUE {run.spec.title}{marks}", "additional_details": _texts(details)}
    if record.data.source == "hub" and not marks:
        return {**common, "source_type": "hf_dataset", "hf_repo": "microsoft/xglue", "hf_split": "test"}
    return {**common, "source_type": "other"}


def _details(run: Run, record: Record) -> dict[str, str]:
    """How the score came about."""
    details: dict[str, Any] = {"protocol": run.protocol, "collapsed": "; ".join(record.flags.reasons) or None}
    if isinstance(record, RunRecord):
        details |= {
            "source_language": record.source_language,
            "recipe": json.dumps(record.recipe, sort_keys=True),
            "selection": record.selection.rule,
            "epoch": f"{record.selection.epoch:g}",
            "training": record.training.store_key,
        }
    elif isinstance(record, PromptRecord):
        details |= {"prompt": record.prompt.model_dump_json(), "num_fewshot": record.prompt.num_fewshot}
    else:
        details |= {
            "source_language": record.source_language,
            "recipe": json.dumps(record.recipe, sort_keys=True),
            "layer": record.probe.layer,
            "train_rows": record.probe.train_rows,
        }
    return _texts(details)


def _texts(details: Mapping[str, Any]) -> dict[str, str]:
    """Values as text; those that are not known are left out."""
    return {name: str(value) for name, value in details.items() if value is not None}


def evaluated(source: Path) -> datetime | None:
    """When lm_eval began the run of a file of results; ``None`` where the file does not say it."""
    date = read_json(source).get("date")
    is_number = isinstance(date, int | float) and not isinstance(date, bool)
    return datetime.fromtimestamp(date, timezone.utc) if is_number else None


def check_evaluator(organization: str | None) -> str:
    """The organization, which the schema wants.

    Raises:
        DataError: where none is named.
    """
    if not organization or not organization.strip():
        raise DataError("every-eval-ever wants to know who measured: give --organization NAME")
    return organization.strip()
