"""What is read from lm_eval's files, a tree and the store; what is not ours is told, and what is wrong named."""

from __future__ import annotations

import json
import logging

import pytest

from tests.helpers.sweeps import DATE, EXAMPLE, example_result, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError, LeaderboardError, StoreError
from xglue_harness.results.paper_tables import tables_of
from xglue_harness.results.reading import read_runs
from xglue_harness.results.showing import shown_tasks
from xglue_harness.store.trainings import Store, content_key


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path / "out", "tiny-lm", "pawsx", 1)
    return tmp_path / "out"


def _file(folder):
    return folder / "tiny-lm" / f"results_{DATE}.json"


def _changed(folder, change):
    content = json.loads(_file(folder).read_text())
    change(content)
    _file(folder).write_text(json.dumps(content))


def test_a_run_has_what_file_and_record_say(folder):
    _, result = example_result("tiny-lm", "pawsx", 1)
    runs = read_runs([folder])
    assert [run.language for run in runs] == [*TASKS["pawsx"].languages]
    for run in runs:
        item = result.languages[run.language]
        assert (run.task, run.protocol, run.split, run.seed) == ("pawsx", "finetune", "test", 1)
        assert run.backbone == item.record.backbone.name
        assert (run.score.value, run.score.stderr) == (item.score, item.stderr)
        assert run.official == item.official
        assert run.recipe == item.record.recipe
        assert run.record == item.record
        assert run.training == item.record.training
        assert run.predictions == _file(folder).with_name(
            f"predictions_{TASKS['pawsx'].leaf(run.language)}_{DATE}.parquet"
        )
        assert run.sample
        assert run.collapsed is item.record.flags.collapsed


def test_predictions_give_the_score(folder):
    for run in read_runs([folder]):
        predictions = run.read_predictions()
        right = sum(gold == said for gold, said in zip(predictions.labels, predictions.predictions, strict=True))
        assert right / len(predictions.rows) == pytest.approx(run.score.value, abs=1e-12)


def test_a_tree_gives_the_same_runs_as_lm_evals_files(folder):
    theirs = read_runs([folder])
    for path in (EXAMPLE, EXAMPLE / "results" / "tiny-lm" / "toy" / "1" / "pawsx.json"):
        ours = [run for run in read_runs([path]) if (run.backbone, run.task, run.seed) == ("tiny-lm", "pawsx", 1)]
        assert [run.record for run in ours] == [run.record for run in theirs]
        assert [run.score for run in ours] == [run.score for run in theirs]
        assert [run.official for run in ours] == [run.official for run in theirs]
        assert [run.read_predictions() for run in ours] == [run.read_predictions() for run in theirs]


def test_what_two_paths_lead_to_counts_once(folder):
    assert read_runs([folder, _file(folder), folder / "tiny-lm"]) == read_runs([folder])


def test_results_that_are_not_ours_are_counted_and_named(folder, caplog):
    others = {f"other{number}": {"metadata": {"version": 1.0}} for number in range(12)}
    _changed(folder, lambda content: content["configs"].update(others))
    with caplog.at_level(logging.WARNING):
        assert len(read_runs([folder])) == 4
    (message,) = caplog.messages
    assert "12 results are not of xglue-harness" in message
    assert all(f"results_{DATE}.json: other{number}" in message for number in range(10))
    assert "and 2 more" in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda leaf, _: leaf["selection"].pop("rule"), "xglue_pawsx_zs_de: selection.rule: Field required"),
        (lambda leaf, _: leaf.update(surprise=1), "xglue_pawsx_zs_de: surprise: Extra inputs"),
        (lambda leaf, _: leaf.update(protocol="guess"), "xglue_pawsx_zs_de: protocol: 'guess'"),
        (lambda leaf, _: leaf.update(target_language="th"), "target_language: XGLUE has no pawsx in th"),
        (lambda leaf, _: leaf["recipe"].update(seed="1"), "recipe.seed: '1'; expected a whole number"),
        (lambda _, row: row.update({"acc,none": "good"}), "results.xglue_pawsx_zs_de.acc: 'good'; expected a number"),
        (lambda _, row: row.update({"acc_stderr,none": float("nan")}), "results.xglue_pawsx_zs_de.acc_stderr: nan"),
    ],
)
def test_what_is_wrong_is_named_with_file_task_and_key(folder, change, named):
    leaf = "xglue_pawsx_zs_de"
    _changed(folder, lambda c: change(c["configs"][leaf]["metadata"]["xglue"], c["results"][leaf]))
    with pytest.raises(DataError) as error:
        read_runs([folder])
    assert str(_file(folder)) in str(error.value)
    assert named in str(error.value)


def test_a_path_without_results_is_an_error(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no results here; expected results"):
        read_runs([folder, tmp_path / "empty"])
    (tmp_path / "text").write_text("no JSON")
    with pytest.raises(DataError, match="text: can't be read as results: Expecting value"):
        read_runs([tmp_path / "text"])
    with pytest.raises(DataError, match="gone: can't be read as results: No such file"):
        read_runs([tmp_path / "gone"])
    (tmp_path / "list").write_text("[]")
    with pytest.raises(DataError, match="list is no results file of lm_eval"):
        read_runs([tmp_path / "list"])
    (tmp_path / "results.json").write_text('{"configs": {"arc": {}}}')
    with pytest.raises(DataError, match=r"results\.json: no record of xglue-harness"):
        read_runs([folder, tmp_path / "results.json"])


def test_predictions_that_are_missing_or_others_are_an_error(folder):
    german, english = (next(run for run in read_runs([folder]) if run.language == name) for name in ("de", "en"))
    german.predictions.write_bytes(english.predictions.read_bytes())
    with pytest.raises(DataError, match=r"sha256 .* as .*xglue_pawsx_zs_de says: the file is damaged"):
        german.read_predictions()
    german.predictions.unlink()
    gone = next(run for run in read_runs([folder]) if run.language == "de")
    assert gone.predictions is None
    with pytest.raises(DataError, match="xglue_pawsx_zs_de: no predictions are kept"):
        gone.read_predictions()


def test_predictions_only_have_no_scores(folder):
    _changed(folder, lambda content: content["results"].clear())
    assert {run.score for run in read_runs([folder])} == {None}


def test_a_tree_is_checked_against_its_schema(tmp_path):
    path = tmp_path / "pawsx.json"
    path.write_text(json.dumps({"backbone": "x", "languages": {}}))
    with pytest.raises(LeaderboardError, match=r"pawsx\.json: no result of the leaderboard"):
        read_runs([path])


def _asked(record):
    """The record of a model that was prompted, out of that of an encoder that was fine-tuned."""
    model = {"name": "org/lm", "backend": "HFLM", "revision": "abc", "weights_sha256": None, "adapter": None}
    prompt = dict.fromkeys(("language", "description", "question", "delimiter"), "x") | {"file_sha256": "0" * 64}
    prompt |= {"choices": None, "num_fewshot": 2, "fewshot_seed": 7, "generation": None, "system_instruction": None}
    prompt |= dict.fromkeys(("chat_template", "fewshot_as_multiturn"), False)
    evaluation = {"documents": record["evaluation"]["documents"], "single_row_queries_left_out": None}
    for name in (
        "recipe",
        "named_recipe",
        "backbone",
        "selection",
        "training",
        "session",
        "diagnostics",
        "interventions",
    ):
        del record[name]
    record.update(protocol="prompt", model={**model, "dtype": None, "parameters": 9}, prompt=prompt)
    record.update(evaluation=evaluation)


def test_a_prompted_model_has_what_it_was_asked_with_for_a_recipe(folder):
    for leaf in map(TASKS["pawsx"].leaf, TASKS["pawsx"].languages):
        _changed(folder, lambda c, leaf=leaf: _asked(c["configs"][leaf]["metadata"]["xglue"]))
    runs = read_runs([folder])
    assert {(run.protocol, run.backbone, run.seed, run.training) for run in runs} == {("prompt", "org/lm", None, None)}
    assert {run.recipe["num_fewshot"] for run in runs} == {2}
    (task,) = shown_tasks(runs)
    assert task.title == "PAWS-X (acc, prompt)"
    assert task.heads[:2] == ("model", "mean")
    with pytest.raises(DataError, match="protocol 'prompt'; the tables hold fine-tuned encoders"):
        tables_of(runs, EXAMPLE)


# The store


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """An entry whose training has dev scores of two languages."""
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "store"))
    _, result = example_result("tiny-lm", "pawsx", 1)
    record = next(iter(result.languages.values())).record
    training = record.training.model_dump(mode="json")
    training["epochs"] = [
        {"epoch": 1.0, "dev": {"fr": 0.5, "en": 0.6}, "constant": False},
        {"epoch": 2.0, "dev": {"fr": 0.7, "en": 0.8}, "constant": False},
    ]
    identity = {"recipe": {name: value for name, value in record.recipe.items() if name != "key"}}
    key = content_key(identity)
    store = Store()
    store.working_folder(key).mkdir(parents=True)
    return store.finish(key, "tiny", identity, training, {})


def test_an_entry_of_the_store_has_dev_scores(entry):
    for path in (entry.folder, entry.folder.parents[1], entry.folder / "entry.json", entry.key[:8]):
        runs = read_runs([type(entry.folder)(path)])
        assert [(run.language, run.score.value, run.split) for run in runs] == [("en", 0.8, "dev"), ("fr", 0.7, "dev")]
        assert {(run.backbone, run.task, run.seed, run.record, run.predictions) for run in runs} == {
            ("tiny", "pawsx", 1, None, None)
        }
        assert runs[0].training.epochs[0].dev == {"fr": 0.5, "en": 0.6}


def test_a_key_of_no_entry_and_a_damaged_entry_are_errors(entry):
    path = type(entry.folder)
    with pytest.raises(StoreError, match="abcdef0: no such file, and 0 entries"):
        read_runs([path("abcdef0")])
    (entry.folder / "entry.json").write_text("{}")
    with pytest.raises(StoreError, match=r"entry\.json is damaged"):
        read_runs([entry.folder])
