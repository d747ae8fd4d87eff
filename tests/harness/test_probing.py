"""``protocol: probe`` by lm-eval: the numbers of ``xglue-harness probe``, to the bit, and its record and errors."""

from __future__ import annotations

import csv
import json

import pytest

from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.errors import EncoderError, RecipeError
from xglue_harness.harness import requests
from xglue_harness.recipe import Options
from xglue_harness.records.json_schema import json_schema
from xglue_harness.records.parts import comparable
from xglue_harness.records.prediction_cache import saved_predictions
from xglue_harness.records.predictions import read
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.scoring import score_predictions

FROZEN = {"data": "sample", "protocol": "probe", "max_length": 64}


@pytest.fixture(scope="module")
def frozen(tiny, tmp_path_factory):
    """``frozen(tasks, options)``: results of lm-eval, with no option of a training."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

    def run(tasks, options=None, *, model="hf-encoder", folder=tiny, **arguments):
        metadata = {**FROZEN, **(options or {})}
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata)
        arguments = {"log_samples": False, "torch_random_seed": 1234, "device": "cpu", **arguments}
        return simple_evaluate(
            model=model, model_args={"pretrained": str(folder)}, tasks=tasks, task_manager=manager, **arguments
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield run


@pytest.fixture(scope="module")
def everything(frozen):
    return frozen(["xglue_zs"])


def command(folder, out, *arguments):
    """Scores by task and language of ``xglue-harness probe``, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_CACHE", str(out / "cache"))
        line = ["probe", "--model", str(folder), "--data", "sample", "--max-length", "64", "--device", "cpu"]
        with pytest.raises(SystemExit) as end:
            cli.main([*line, "--output", str(out), *arguments])
    assert end.value.code == 0
    with (out / "probes.csv").open(encoding="utf-8") as file:
        return {(row["task"], row["language"]): float(row["score"]) for row in csv.DictReader(file)}


def scores(results):
    """Score by task and language, and what the records say."""
    found = {}
    for leaf, config in results["configs"].items():
        record = config["metadata"]["xglue"]
        found[record["task"], record["target_language"]] = results["results"][leaf]["score,none"], record
    return found


def test_every_number_is_that_of_the_command(everything, tiny, tmp_path):
    expected = command(tiny, tmp_path, "--tasks", ",".join(TASKS))
    found = {key: score for key, (score, _) in scores(everything).items()}
    assert found == expected
    assert len(found) == sum(len(spec.languages) for spec in TASKS.values())


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"probe_layer": 0}, ("--layers", "0")),
        ({"pooling": "max"}, ("--pooling", "max")),
        ({"probe_rows": 30, "seed": 7}, ("--train-rows", "30", "--seed", "7")),
        ({"probe_rows": 30}, ("--train-rows", "30")),
    ],
)
def test_so_it_is_with_its_options(frozen, tiny, tmp_path, options, arguments):
    expected = command(tiny, tmp_path, "--tasks", "nc", "--languages", "en,de", *arguments)
    results = frozen(["xglue_nc_zs_en", "xglue_nc_zs_de"], options)
    assert {key: score for key, (score, _) in scores(results).items()} == expected


def test_hf_finds_the_same_encoder(everything, frozen):
    results = frozen(["xglue_pos_zs_de"], model="hf")
    score, record = scores(results)["pos", "de"]
    assert (score, comparable(record)) == (everything["results"]["xglue_pos_zs_de"]["score,none"], comparable(record))
    assert record["backbone"]["encoder_sha256"] == scores(everything)["pos", "de"][1]["backbone"]["encoder_sha256"]


def test_names_in_tables_say_probe(everything):
    aliases = [row["alias"] for row in everything["results"].values()]
    aliases += [row["alias"] for row in everything["groups"].values()]
    assert all("[probe]" in alias for alias in aliases)
    assert all("[finetune]" not in alias for alias in aliases)


def test_the_record_holds_the_whole_probe(everything, tiny):
    for (task, language), (score, record) in scores(everything).items():
        ProbeRecord.model_validate(record)
        assert (record["protocol"], record["task"], record["target_language"]) == ("probe", task, language)
        recipe = record["recipe"]
        assert recipe["task"] == task
        assert (recipe["classifier"], recipe["solver"], recipe["layer"]) == ("logistic_regression", "lbfgs", "last")
        assert (recipe["seed"], recipe["pooling"], recipe["pooling_by"]) == (1234, "mean", "checkpoint")
        assert (recipe["max_length"], recipe["train_rows"]) == (64, 10_000)
        assert record["probe"]["layer"] == record["probe"]["layers"] == 2
        assert 0 < record["probe"]["iterations"] <= recipe["max_iterations"]
        assert record["probe"]["train_rows"] == record["probe"]["train_rows_there"] > 30
        assert record["environment"]["versions"]["scikit-learn"] != "absent"
        assert record["data"]["files"]
        assert record["backbone"]["name"] == str(tiny)
        kept = read(saved_predictions(record["predictions"]["sha256"]))
        assert (kept.header.protocol, kept.header.scores, kept.complete) == ("probe", "log_probability", True)
        again = score_predictions(TASKS[task], kept.labels, kept.predictions, kept.documents)
        assert again.score == pytest.approx(score, abs=1e-12)
        assert again.official.official == record["official"]


def test_the_schema_of_that_record(capsys):
    with pytest.raises(SystemExit):
        cli.main(["schema", "--protocol", "probe"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema("probe")
    assert printed["properties"].keys() >= {"recipe", "probe", "backbone", "predictions"}
    assert "training" not in printed["properties"]


def test_the_same_twice_but_for_its_cost(frozen, everything):
    again = scores(frozen(["xglue_ner_zs"]))
    for key, (score, record) in again.items():
        first_score, first = scores(everything)[key]
        assert (score, comparable(record)) == (first_score, comparable(first))


def test_limited_documents_are_those_scored(frozen):
    results = frozen(["xglue_qam_zs_de"], limit=10)
    _, record = scores(results)["qam", "de"]
    assert record["evaluation"]["documents"] == record["predictions"]["rows"] == 10
    assert record["predictions"]["total"] > 10


def test_options_of_a_training_are_an_error(frozen):
    with pytest.raises(RecipeError, match="leave out epochs, learning_rate; it reads data, max_length"):
        frozen(["xglue_nc_zs_de"], {"epochs": 3, "learning_rate": 1e-4})


def test_options_of_a_probe_are_without_effect_on_a_training(evaluate, caplog):
    results = evaluate(["xglue_qam_zs_de"], {"probe_rows": 30}, limit=4)
    assert "protocol finetune: without effect on it: probe_rows" in caplog.text
    assert scores(results)["qam", "de"][1]["protocol"] == "finetune"


def test_no_such_layer(frozen):
    with pytest.raises(EncoderError, match=r"layers 9: .* has the layers 0 to 2"):
        frozen(["xglue_nc_zs_de"], {"probe_layer": 9})


def test_a_decoder_has_nothing_to_probe(frozen, decoder):
    with pytest.raises(EncoderError, match="protocol probe: HFLM holds no encoder"):
        frozen(["xglue_nc_zs_de"], model="hf", folder=decoder)


def test_without_scikit_learn_the_error_names_the_extra(frozen, monkeypatch):
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(
        "xglue_harness.probing.opening.find_spec", lambda name: None if name == "sklearn" else find(name)
    )
    with pytest.raises(EncoderError, match=r"scikit-learn, .*pip install 'xglue-harness\[probe\]'"):
        frozen(["xglue_nc_zs_de"])


def test_several_processes_are_refused():
    from types import SimpleNamespace

    from xglue_harness.harness.probing import Probing

    task = SimpleNamespace(config=SimpleNamespace(task="xglue_nc_zs_de"), row_scores={})
    with pytest.raises(RecipeError, match="one process does all of it, and there are 2"):
        Probing(task).check(10, 2)
    Probing(task).check(1, 1)


def test_the_command_has_lm_evals_defaults(tiny, tmp_path, capsys):
    command(tiny, tmp_path, "--tasks", "qam", "--languages", "de")
    recipe = json.loads((tmp_path / "probes.json").read_text())["recipes"]["qam"]
    assert recipe["train_rows"] == Options().probe_rows
    assert recipe["seed"] == 1234  # of lm_eval --seed, as torch has it


def test_the_warning_of_unknown_subwords_looks_at_what_is_probed(frozen, monkeypatch):
    looked_at = []
    monkeypatch.setattr(requests, "warn_of_unknown", lambda backbone, leaves: looked_at.extend(leaves))
    frozen(["xglue_pawsx_zs_de"], limit=4)
    assert [(leaf.spec.name, leaf.language, len(leaf.documents)) for leaf in looked_at] == [("pawsx", "de", 4)]
