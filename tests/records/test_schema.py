"""A record holds what it should and nothing else, and its JSON Schema says the same."""

from __future__ import annotations

import copy
import json
import re
from typing import get_args

import pytest
from pydantic import ValidationError

from xglue_harness import official_metrics
from xglue_harness.records.json_schema import json_schema
from xglue_harness.records.parts import SCHEMA_VERSION, OfficialRule, comparable
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.schema import RunRecord

COST = {"seconds": 1.5, "tokens_per_second": 100.0, "peak_memory_mb": 300.2, "energy_kwh": None}
ENVIRONMENT = {
    "versions": {"python": "3.11.0"},
    "hardware": {"device": "cpu", "cores": 2},
    "git_revision": "a" * 40 + "-dirty",
    "code_sha256": "1" * 64,
}
RECORD = {
    "schema_version": SCHEMA_VERSION,
    "protocol": "finetune",
    "task": "ner",
    "source_language": "en",
    "target_language": "de",
    "SAMPLE": True,
    "official": 0.5,
    "official_seqeval1": 0.4,
    "official_rule": "seqeval 0.0.12",
    "recipe": {"learning_rate": 5e-6, "epochs": 2, "key": "0123456789ab"},
    "named_recipe": {"name": "mine", "sha256": "8" * 64, "options": {"epochs": 3}, "changed": {"epochs": 2}},
    "data": {
        "source": "sample",
        "description": "a toy",
        "fingerprint": "2" * 64,
        "files": {"NER/en.train": "3" * 64},
        "unofficial": [],
    },
    "backbone": {
        "name": "some/encoder",
        "revision": None,
        "model_type": "bert",
        "encoder_sha256": "4" * 64,
        "config_sha256": "6" * 64,
        "encoder_parameters": 1000,
        "tokenizer_sha256": "5" * 64,
        "batches": "any length",
        "converted_from": {
            "converter": "fairseq",
            "version": 1,
            "checkpoint_sha256": "1" * 64,
            "dictionary_sha256": "2" * 64,
            "sentencepiece_sha256": "3" * 64,
            "encoder_sha256": "4" * 64,
        },
    },
    "selection": {
        "rule": "last",
        "epoch": 2.0,
        "averaged": 1,
        "scores": {
            "last": {"epoch": 2.0, "averaged": 1, "score": 0.5},
            "en_dev": {"epoch": 1.0, "averaged": 1, "score": None},
            "average_last_2": {"epoch": 2.0, "averaged": 2, "score": 0.25},
        },
        "unavailable": {"all_dev": "no dev sets", "oracle": "no dev sets"},
        "dev_languages": [],
    },
    "training": {
        "store_key": "abc",
        "train_rows": 32,
        "train_inputs": 33,
        "truncated": 0,
        "steps": 4,
        "final_loss": 0.7,
        "embedding_rows": None,
        "real_tokens": 80,
        "padded_tokens": 100,
        "padding_ratio": 1.25,
        "batch_splits": 1,
        "mode": "eager: the device is no CUDA GPU (cpu)",
        "nondeterministic": None,
        "recording_cost": COST,
        "world_size": 1,
        "curve": {
            "step": [3, 4],
            "loss": [0.9, 0.7],
            "learning_rate": [2e-5, 0.0],
            "gradient_norm": [1.5, None],
        },
        "gradients": {
            "loss": "InfoNCE",
            "texts": "dev",
            "files": {"XNLI/en.dev": "0" * 64},
            "rows": 8,
            "languages": {"de": 8},
            "layers": ["1", "all"],
            "parameters": [100, 100],
            "null_p95": [0.196, 0.196],
            "planned": [0, 4],
            "points": [
                {
                    "step": 0,
                    "task_loss": 1.5,
                    "alignment_loss": 0.5,
                    "cosine": [0.1, None],
                    "shuffled": [0.1, -0.1],
                    "task_agreement": [0.1, -0.1],
                    "alignment_agreement": [0.1, -0.1],
                    "task_norm": [0.5, 0.5],
                    "alignment_norm": [0.5, None],
                }
            ],
            "cost": {**COST, "share": 0.05},
        },
        "epochs": [
            {"epoch": 1.0, "dev": {"en": 0.4}, "constant": False},
            {"epoch": 2.0, "dev": {}, "constant": None},
        ],
        "chance": 0.3,
        "chance_limit": 0.35,
        "environment": ENVIRONMENT,
        "cost": COST,
        "tokenising_cost": COST,
        "steps_cost": COST,
        "dev_cost": COST,
    },
    "session": {"from_store": False, "resumed_from_step": None, "trained_steps": 4, "cost": COST},
    "evaluation": {
        "documents": 10,
        "truncated": 0,
        "missing_words": 0,
        "unknown": 0.25,
        "duplicates": 2,
        "real_tokens": 80,
        "padded_tokens": 100,
        "padding_ratio": 1.25,
        "single_row_queries_left_out": None,
        "cost": COST,
    },
    "diagnostics": {
        "documents": 8,
        "parallel": True,
        "pooling": "mean",
        "layers": "0 is what the embeddings give",
        "encoders": {},
        "metrics": {"cka_en": {"value": -0.1, "stderr": 0.2}, "sigma_norm": {"value": 3.0, "stderr": None}},
        "details": {},
        "cost": COST,
    },
    "interventions": None,
    "predictions": {"sha256": "7" * 64, "rows": 10, "total": 12},
    "flags": {"collapsed": False, "reasons": []},
    "environment": ENVIRONMENT,
}
PROMPTED = {
    **{name: RECORD[name] for name in ("schema_version", "task", "source_language", "target_language", "SAMPLE")},
    **{name: RECORD[name] for name in ("data", "predictions", "flags", "environment")},
    **{name: RECORD[name] for name in ("official", "official_seqeval1", "official_rule")},
    "protocol": "prompt",
    "model": {
        "name": "some/decoder",
        "backend": "HFLM",
        "revision": None,
        "weights_sha256": "8" * 64,
        "adapter": None,
        "dtype": "torch.float32",
        "parameters": 1000,
    },
    "prompt": {
        "language": "en",
        "file_sha256": "9" * 64,
        "description": "Which?",
        "question": "{{words}}",
        "choices": None,
        "delimiter": " ",
        "num_fewshot": 0,
        "fewshot_seed": 1234,
        "chat_template": False,
        "fewshot_as_multiturn": False,
        "system_instruction": None,
        "generation": {"do_sample": False},
    },
    "evaluation": {"documents": 10, "single_row_queries_left_out": None},
}
FREE = {
    "languages",
    "recipe",
    "options",
    "changed",
    "files",
    "versions",
    "hardware",
    "dev",
    "scores",
    "unavailable",
    "encoders",
    "metrics",
    "details",
}
"""Objects whose keys are no fields."""


def _at(record, path):
    for name in path.split(".") if path else ():
        record = record[int(name) if isinstance(record, list) else name]
    return record


def _changed(path, value):
    record = copy.deepcopy(RECORD)
    parent, _, name = path.rpartition(".")
    _at(record, parent)[name] = value
    return record


def _parts(value, path=""):
    if isinstance(value, dict) and path.rpartition(".")[2] not in FREE:
        yield path
    for name, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _parts(item, f"{path}.{name}".lstrip("."))


def test_a_record_comes_back_as_it_was_written():
    record = RunRecord.model_validate(RECORD)
    written = record.model_dump(mode="json", by_alias=True)
    assert written == RECORD
    assert RunRecord.model_validate(json.loads(json.dumps(written, allow_nan=False))) == record
    assert list(written) == list(RECORD), "the order of the fields is the order of reading"


def test_the_rules_of_the_official_score_are_those_that_there_are():
    assert get_args(OfficialRule) == get_args(official_metrics.Rule)


def test_the_sample_flag_is_set_by_its_name_and_written_by_its_alias():
    fields = {("sample" if name == "SAMPLE" else name): value for name, value in RECORD.items()}
    assert RunRecord(**fields) == RunRecord.model_validate(RECORD)


@pytest.mark.parametrize("part", list(_parts(RECORD)))
def test_no_part_takes_an_unknown_key(part):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        RunRecord.model_validate(_changed(f"{part}.surprise".lstrip("."), 1))


@pytest.mark.parametrize(
    "path",
    ["training.final_loss", "session.cost.seconds", "recipe.learning_rate", "environment.hardware.cores"],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_nan_or_infinite_wherever_it_stands(path, value):
    with pytest.raises(ValidationError):
        RunRecord.model_validate(_changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 1),
        ("protocol", "prompt"),
        ("data.fingerprint", "2" * 12),
        ("selection.rule", "best"),
        ("selection.scores.last", {"epoch": 1.0, "score": 50.0}),
        ("training.epochs.0.dev.en", 40.0),
        ("training.batch_splits", 0),
        ("training.padding_ratio", 0.9),
        ("evaluation.documents", -1),
        ("evaluation.cost.seconds", -0.1),
        ("flags.reasons", None),
        ("environment.hardware", {"device": object()}),
    ],
)
def test_values_out_of_range_are_refused_by_the_models_and_by_the_json_schema(path, value):
    record = _changed(path, value)
    with pytest.raises(ValidationError):
        RunRecord.model_validate(record)
    if path != "environment.hardware":  # what cannot be JSON never meets the JSON Schema
        assert _problems(record)


def test_there_is_no_other_rule():
    with pytest.raises(ValidationError, match="'last', 'en_dev', 'all_dev', 'oracle' or 'average'"):
        RunRecord.model_validate(_changed("selection.scores.best", {"epoch": 1.0, "score": None}))


def test_free_parts_hold_what_their_json_will_hold():
    record = RunRecord.model_validate(_changed("recipe.betas", (0.9, 0.999)))
    assert record.recipe["betas"] == [0.9, 0.999]


def test_a_record_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RunRecord.model_validate(RECORD).task = "pos"


def test_equal_runs_differ_in_costs_and_session_only():
    again = _changed("session", {"from_store": True, "resumed_from_step": 2, "trained_steps": 0, "cost": COST})
    for part in ("training", "evaluation"):
        again[part]["cost"] = {**COST, "seconds": 9.0, "energy_kwh": 0.1}
    assert comparable(again) == comparable(RECORD) != RECORD
    assert comparable(_changed("training.final_loss", 0.8)) != comparable(RECORD)
    assert comparable(_changed("training.epochs.0.dev.en", 0.5)) != comparable(RECORD)
    assert "cost" not in json.dumps(comparable(RECORD))
    assert "cost" in RECORD["training"], "the record itself stays whole"


def test_the_json_schema_takes_a_record_and_asks_for_every_field():
    assert not _problems(RECORD)
    for part in _parts(RECORD):
        for name in _at(RECORD, part):
            record = copy.deepcopy(RECORD)
            del _at(record, part)[name]
            assert f"{name} is missing" in _problems(record), f"{part}.{name}"
        assert _problems(_changed(f"{part}.surprise".lstrip("."), 1))


def test_the_json_schema_names_its_draft_and_version_and_describes_every_field():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:xglue-harness:run-record:{SCHEMA_VERSION}"
    assert schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert {"SAMPLE"} == {name for name in schema["properties"] if name.lower() == "sample"}
    json.dumps(schema, allow_nan=False)
    for part in [schema, *schema["$defs"].values()]:
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part['title']}.{name}"


def test_the_record_of_a_prompted_model_has_its_own_schema():
    assert PromptRecord.model_validate(PROMPTED).model_dump(mode="json", by_alias=True) == PROMPTED
    schema = json_schema("prompt")
    assert schema["$id"] == f"urn:xglue-harness:prompt-record:{SCHEMA_VERSION}"
    assert not _problems(PROMPTED, "prompt")
    for part in [schema, *schema["$defs"].values()]:
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part['title']}.{name}"
    for part, name in (("", "model"), ("", "prompt"), ("prompt", "file_sha256"), ("model", "name")):
        record = copy.deepcopy(PROMPTED)
        del _at(record, part)[name]
        assert f"{name} is missing" in _problems(record, "prompt")
        with pytest.raises(ValidationError):
            PromptRecord.model_validate(record)
    assert _problems(RECORD, "prompt")
    assert _problems(PROMPTED)


def _problems(record, protocol="finetune"):
    schema = json_schema(protocol)
    return list(_check(record, schema, schema["$defs"]))


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int}
KNOWN = {
    *("$ref", "$defs", "$schema", "$id", "title", "description", "default", "type", "anyOf", "allOf", "const", "enum"),
    *("minimum", "maximum", "pattern", "properties", "required", "additionalProperties", "propertyNames", "items"),
}


def _check(value, schema, defs):
    """The keywords of draft 2020-12 that the schema uses; an unknown one fails the test."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        yield from _check(value, defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    for option in schema.get("allOf", ()):
        yield from _check(value, option, defs)
    if "anyOf" in schema and all(any(True for _ in _check(value, option, defs)) for option in schema["anyOf"]):
        yield f"{value!r} fits no option"
        yield from _check(value, schema["anyOf"][0], defs)
    if schema.get("type") == "null":
        if value is not None:
            yield f"{value!r} is not null"
    elif "type" in schema and (
        not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean")
    ):
        yield f"{value!r} is no {schema['type']}"
        return
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{value!r} is not allowed"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{value!r} is too small"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{value!r} is too large"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{value!r} does not match"
    if isinstance(value, list):
        for item in value:
            yield from _check(item, schema.get("items", {}), defs)
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{name} is missing"
        for name, item in value.items():
            yield from _check(name, schema.get("propertyNames", {}), defs)
            rest = schema.get("additionalProperties", True)
            rule = schema.get("properties", {}).get(name, rest)
            if rule is False:
                yield f"{name} is unknown"
            elif rule is not True:
                yield from _check(item, rule, defs)
