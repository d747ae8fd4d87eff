"""Results as records: of Every Eval Ever, held to its published schema; of the Hub, read by the Hub's own client."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from typer.testing import CliRunner

import xglue_harness.hook  # noqa: F401  (registers with lm_eval)
from tests.helpers.evaluation import evaluate
from tests.helpers.language_models import build_decoder
from tests.helpers.runs import QUICK
from xglue_harness.cli import app as cli
from xglue_harness.errors import DataError
from xglue_harness.export.every_eval_ever import SCHEMA_VERSION, Evaluator, records_of
from xglue_harness.export.hub_results import files_of
from xglue_harness.harness.demo import build_encoder, evaluate_sample
from xglue_harness.results.reading import read_runs

SCHEMA = json.loads((Path(__file__).parent / "every_eval_ever" / "eval.schema.json").read_text(encoding="utf-8"))
BY = Evaluator("A lab", "third_party")

HUB_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["dataset", "value"],
        "additionalProperties": False,
        "properties": {
            "dataset": {
                "type": "object",
                "required": ["id", "task_id"],
                "additionalProperties": False,
                "properties": {name: {"type": "string"} for name in ("id", "task_id", "revision")},
            },
            "value": {"type": "number"},
            "verifyToken": {"type": "string"},
            "date": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$"},
            "source": {
                "type": "object",
                "required": ["url"],
                "additionalProperties": False,
                "properties": {name: {"type": "string"} for name in ("url", "name", "user", "org")},
            },
            "evaluation_framework": {"type": "string"},
            "notes": {"type": "string"},
        },
    },
}
"""The fields that https://huggingface.co/docs/hub/eval-results documents (as of 2026-11; there is no published schema),
written down here; which of them are required is what it says of each."""


@pytest.fixture(scope="module")
def results(tmp_path_factory, no_list_of_packages):
    """A folder of results on the sample: pairs, ranking and words."""
    folder = tmp_path_factory.mktemp("run")
    build_encoder(folder / "tiny", width=8, layers=1)
    tasks = ["xglue_pawsx_zs_en", "xglue_pawsx_zs_de", "xglue_wpr_zs_de", "xglue_ner_zs_es"]
    evaluate_sample(folder / "tiny", tasks=tasks, output=folder / "results", **QUICK)
    return folder / "results"


def _as_official(runs):
    """The same runs as if their data were XGLUE's."""
    return [replace(run, record=run.record.model_copy(update={"sample": False})) for run in runs]


def _valid(record):
    jsonschema.Draft7Validator(SCHEMA).validate(record)
    json.dumps(record, allow_nan=False)
    return record


def test_the_schema_is_the_one_that_records_name():
    assert SCHEMA["version"] == SCHEMA_VERSION
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    with pytest.raises(jsonschema.ValidationError):
        _valid({"schema_version": SCHEMA_VERSION})


def test_records_are_valid_and_tell_each_score(results):
    runs = read_runs([results])
    records = records_of(runs, BY, now=1_800_000_000)
    [(path, record)] = records.items()
    _valid(record)
    assert path.startswith("data/xglue/unknown/tiny/")
    assert record["evaluation_id"] == "xglue/tiny/1800000000"
    file = json.loads(runs[0].source.read_text(encoding="utf-8"))
    assert record["evaluation_timestamp"] == str(int(file["date"]))
    told = {one["evaluation_result_id"]: one for one in record["evaluation_results"]}
    assert len(told) == len(record["evaluation_results"]) == 2 * len(runs)
    for run in runs:
        ours = told[f"{run.name}/{run.spec.metric}"]["score_details"]
        assert ours["score"] == run.score.value
        assert ours["uncertainty"]["standard_error"]["value"] == run.score.stderr
        interval = ours["uncertainty"]["confidence_interval"]
        assert interval["lower"] <= ours["score"] <= interval["upper"]
        assert math.isclose(interval["upper"], min(1.0, ours["score"] + 1.959964 * run.score.stderr))
        assert ours["details"]["training"] == run.training.store_key
        assert json.loads(ours["details"]["recipe"]) == run.record.recipe
        assert told[f"{run.name}/official"]["score_details"]["score"] == run.official


def test_the_number_of_samples_is_of_those_that_count(results):
    [run] = [run for run in read_runs([results]) if run.task == "wpr"]
    evaluation = run.record.evaluation.model_copy(update={"single_row_queries_left_out": 2})
    run = replace(run, record=run.record.model_copy(update={"evaluation": evaluation}))
    [record] = records_of([run], BY, now=0).values()
    samples = record["evaluation_results"][0]["score_details"]["uncertainty"]["num_samples"]
    assert samples == evaluation.documents - 2


def test_the_same_results_get_the_same_file_and_others_another(results):
    runs = read_runs([results])
    assert [*records_of(runs, BY, now=1)] == [*records_of(runs, BY, now=2)]
    assert [*records_of(runs, BY, now=1)] != [*records_of(runs[1:], BY, now=1)]


def test_the_toy_and_other_rows_do_not_pass_for_xglue(results):
    runs = read_runs([results])
    [record] = records_of(runs, BY, now=0).values()
    for one in record["evaluation_results"]:
        assert one["source_data"]["source_type"] == "other"
        assert "SAMPLE: a toy" in one["source_data"]["dataset_name"]
    with pytest.raises(DataError, match=r"the packaged toy.*, and the Hub would show it as XGLUE's"):
        files_of(runs)
    data = runs[0].record.data.model_copy(update={"unofficial": ["PAWSX/en: 7 rows"]})
    other = replace(runs[0], record=runs[0].record.model_copy(update={"sample": False, "data": data}))
    with pytest.raises(DataError, match="PAWSX/en: 7 rows"):
        files_of([other])
    [record] = records_of([other], BY, now=0).values()
    assert (
        _valid(record)["evaluation_results"][0]["source_data"]["dataset_name"]
        == f"XGLUE {other.spec.title} (UNOFFICIAL data)"
    )


def test_rows_of_the_hub_are_named_as_such(results):
    [run] = [run for run in _as_official(read_runs([results])) if run.task == "ner"]
    data = run.record.data.model_copy(update={"source": "hub"})
    backbone = run.record.backbone.model_copy(update={"name": "me/encoder", "revision": "a" * 40})
    run = replace(run, record=run.record.model_copy(update={"data": data, "backbone": backbone}), backbone="me/encoder")
    [(path, record)] = records_of([run], BY, now=0).items()
    _valid(record)
    assert path.startswith("data/xglue/me/encoder/")
    assert record["model_info"]["developer"] == "me"
    assert record["model_info"]["additional_details"]["model_availability"] == "open_weights"
    source = record["evaluation_results"][0]["source_data"]
    assert (source["source_type"], source["hf_repo"]) == ("hf_dataset", "microsoft/xglue")


def test_results_of_a_collapsed_run_say_so(results):
    run = read_runs([results])[0]
    flags = run.record.flags.model_copy(update={"collapsed": True, "reasons": ["chance level"]})
    run = replace(run, record=run.record.model_copy(update={"sample": False, "flags": flags}))
    [record] = records_of([run], BY, now=0).values()
    assert _valid(record)["evaluation_results"][0]["score_details"]["details"]["collapsed"] == "chance level"
    [text] = files_of([run]).values()
    assert "COLLAPSED: chance level" in yaml.safe_load(text)[0]["notes"]


def test_scores_of_some_rows_or_of_none_are_refused(results):
    run = read_runs([results])[0]
    fewer = run.record.predictions.model_copy(update={"rows": run.record.predictions.rows - 1})
    limited = replace(run, record=run.record.model_copy(update={"predictions": fewer}))
    with pytest.raises(DataError, match="run it again without --limit"):
        records_of([limited], BY, now=0)
    with pytest.raises(DataError, match="without --predict_only"):
        records_of([replace(run, scores={})], BY, now=0)
    with pytest.raises(DataError, match="an entry of the store has no test scores"):
        records_of([replace(run, record=None)], BY, now=0)


def test_the_hubs_client_reads_its_files(results):
    runs = _as_official(read_runs([results]))
    files = files_of(runs, source_url="https://example.org/run")
    assert {Path(path).parent.name for path in files} == {".eval_results"}
    assert len(files) == len({run.training.store_key for run in runs}) == 3
    found = {}
    for text in files.values():
        content = yaml.safe_load(text)
        jsonschema.Draft202012Validator(HUB_SCHEMA).validate(content)
        found |= {entry.task_id: entry for entry in parse_eval_result_entries(content)}
    assert {name: entry.value for name, entry in found.items()} == {
        f"{run.task}_{run.language}": run.score.value for run in runs
    }
    assert {entry.dataset_id for entry in found.values()} == {"microsoft/xglue"}
    assert {entry.source_url for entry in found.values()} == {"https://example.org/run"}
    assert "fine-tuned on en alone, seed 1234, epoch 1 (last)" in found["pawsx_de"].notes


def test_the_files_of_a_repository_are_of_its_model_and_tell_nothing_twice(results):
    runs = _as_official(read_runs([results]))
    with pytest.raises(DataError, match="is there twice"):
        files_of([*runs, runs[0]])
    backbone = runs[0].record.backbone.model_copy(update={"encoder_sha256": "0" * 64})
    other = replace(runs[0], record=runs[0].record.model_copy(update={"backbone": backbone}), backbone="other")
    with pytest.raises(DataError, match="they go into a model's own repository"):
        files_of([other, *runs[1:]])


def test_results_of_a_prompted_model_are_valid_too(tmp_path, no_list_of_packages):
    from lm_eval.loggers import EvaluationTracker

    build_decoder(tmp_path / "decoder")
    tracker = EvaluationTracker(output_path=str(tmp_path / "results"))
    found = evaluate(
        tmp_path / "decoder", ["xglue_pawsx_zs_de"], {"protocol": "prompt"}, model="hf", evaluation_tracker=tracker
    )
    tracker.save_results_aggregated(found)
    runs = read_runs([tmp_path / "results"])
    [record] = records_of(runs, BY, now=0).values()
    details = _valid(record)["evaluation_results"][0]["score_details"]["details"]
    assert details["protocol"] == "prompt"
    assert details["num_fewshot"] == "0"
    [text] = files_of(_as_official(runs)).values()
    assert "prompted, 0 examples" in yaml.safe_load(text)[0]["notes"]


# The command


def _command(*words):
    result = CliRunner().invoke(cli.app, ["results", "export", *map(str, words)])
    if isinstance(result.exception, Exception):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_records_and_says_what_they_are_worth(results, tmp_path):
    options = ("--format", "every-eval-ever", "--output", tmp_path / "out")
    with pytest.raises(DataError, match="give --organization NAME"):
        _command(results, *options)
    output = _command(results, *options, "--organization", "A lab", "--relationship", "first_party")
    assert "4 scores in 1 files" in output
    assert "SAMPLE data: the scores mean nothing" in output
    [file] = (tmp_path / "out").rglob("*.json")
    record = _valid(json.loads(file.read_text(encoding="utf-8")))
    assert record["source_metadata"]["source_organization_name"] == "A lab"
    assert record["source_metadata"]["evaluator_relationship"] == "first_party"
    with pytest.raises(DataError, match="not empty"):
        _command(results, *options, "--organization", "A lab")
    with pytest.raises(DataError, match="the packaged toy"):
        _command(results, "--format", "eval-results", "--output", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
