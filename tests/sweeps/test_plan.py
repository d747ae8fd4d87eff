"""A sweep's plan: what is there already is counted once, the rest adds up; by the command, and for a program."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.helpers.sweeps import example_result, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.cli.sweep import app
from xglue_harness.store.room import epoch_bytes
from xglue_harness.store.trainings import Store, content_key
from xglue_harness.sweeps.begin import store_of
from xglue_harness.sweeps.file import load
from xglue_harness.sweeps.finished import in_store
from xglue_harness.sweeps.jobs import expand
from xglue_harness.sweeps.plan import plan, subwords
from xglue_harness.sweeps.queue import Queue
from xglue_harness.training.checkpoint import CheckpointFolder, Progress

PAPER = ("FacebookAI/xlm-roberta-base", "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A sweep of the example tree's recipe: PAWS-X and NER, three seeds, one encoder; nothing is done."""
    monkeypatch.delenv("XGLUE_STORE", raising=False)
    recipe = example_result("tiny-lm", "ner", 1)[1].languages["en"].record.recipe
    options = {name: recipe[name] for name in ("epochs", "learning_rate", "batch_size", "max_length", "dev")}
    folder = tmp_path / "tiny-lm"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 96, "vocab_size": 600}')
    sweep = {"output": "out", "backbones": {"Tiny_LM": {"pretrained": "./tiny-lm"}}, "data": "sample", "store": "store"}
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps({**sweep, "tasks": ["pawsx", "ner"], "seeds": [1, 2, 3], "recipe": options}))
    return path


def _plan(file, **options):
    sweep = load(file)
    return plan([*sweep.backbones], expand(sweep), sweep.folder, Store(store_of(sweep)), **{"share": 0.2, **options})


def _finish(file, task, seed):
    """Let a job be done, with the results of the example tree."""
    sweep = load(file)
    (job,) = (job for job in expand(sweep) if (job.task, job.seed) == (task, seed))
    write_results(sweep.folder / job.folder, "tiny-lm", task, seed)
    for path in (sweep.folder / job.folder).rglob("results_*.json"):
        text = path.read_text()
        path.write_text(text.replace('"name": "tiny-lm"', json.dumps("name") + ": " + json.dumps(_pretrained(sweep))))
    return job


def _pretrained(sweep):
    return sweep.backbones["Tiny_LM"].pretrained


def _keep(file, task, seed):
    """Put the training of an example's result into the store, under this sweep's name of the encoder."""
    sweep = load(file)
    record = example_result("tiny-lm", task, seed)[1].languages["en"].record
    recipe = {name: value for name, value in record.recipe.items() if name != "key"}
    identity = {"backbone": "x", "recipe": recipe, "data": "x", "dev": []}
    training = record.training.model_dump(mode="json")
    store = Store(store_of(sweep))
    return store.finish(content_key(identity), _pretrained(sweep), identity, training, {})


def test_few_subwords_are_a_count_and_not_nought_millions(file):
    group = _plan(file).groups[0]
    told = [subwords(replace(group, subwords=count, counted="data")) for count in (2_400, 1_230_000)]
    assert told == ["2,400~", "1.23M~"]
    assert subwords(replace(group, subwords=7, counted="records")) == "7"


def test_nothing_is_known_of_a_new_sweep_but_its_size(file):
    made = _plan(file)
    assert [(group.task, group.jobs, group.done, group.stored, group.how) for group in made.groups] == [
        ("pawsx", 3, 0, 0, "unknown"),
        ("ner", 3, 0, 0, "unknown"),
    ]
    assert (made.jobs, made.left, made.minutes_left, made.device) == (6, 6, None, None)


def test_what_is_done_or_stored_is_not_counted_again(file):
    _finish(file, "ner", 1)
    _keep(file, "ner", 1)
    _keep(file, "ner", 2)
    made = _plan(file)
    pawsx, ner = made.groups
    assert (ner.jobs, ner.done, ner.stored, ner.how) == (3, 1, 1, "finished")
    assert ner.minutes < ner.minutes_left < 2 * ner.minutes  # one to train, and one only to predict
    assert pawsx.how == "rate"
    assert pawsx.minutes_left == pytest.approx(3 * pawsx.minutes)
    assert made.minutes_left == pytest.approx(ner.minutes_left + pawsx.minutes_left)
    assert (made.left, made.gpu_hours_left) == (5, 0)  # on a processor
    assert made.device.startswith("cpu")


def test_a_stored_training_of_another_recipe_is_not_this_one(file):
    text = file.read_text()
    _keep(file, "ner", 1)
    assert _plan(file).groups[1].stored == 1
    file.write_text(text.replace('"learning_rate": ', '"warmup_ratio": 0.25, "learning_rate": '))
    assert _plan(file).groups[1].stored == 0


def test_trainings_that_were_begun_are_told(file):
    sweep = load(file)
    recipe = example_result("tiny-lm", "ner", 3)[1].languages["en"].record.recipe
    checkpoints = CheckpointFolder(Store(store_of(sweep)).working_folder("f" * 32))
    progress = Progress(name=_pretrained(sweep), recipe=recipe, checkpoint=("checkpoint-1.safetensors", "f" * 64))
    checkpoints.folder.mkdir(parents=True)
    checkpoints.note(progress)
    assert [group.begun for group in _plan(file).groups] == [0, 1]
    assert "go on from a checkpoint: 1;" in _invoke(file).stdout
    _keep(file, "ner", 3)  # by another process, meanwhile
    assert [(group.begun, group.stored) for group in _plan(file).groups] == [(0, 0), (0, 1)]


def test_jobs_that_ran_in_the_queue_say_how_long_the_whole_took(file):
    job = _finish(file, "ner", 1)
    sweep = load(file)
    queue = Queue(sweep.folder)
    queue.add([job])
    made = _plan(file)
    assert made.groups[1].why == "1 in results"  # nothing was noted of it
    claim_file = sweep.folder / ".sweep" / "claims" / f"{job.key}.1"
    claim_file.touch()
    claim_file.with_name(f"{job.key}.1.done").write_text('{"seconds": 600}')
    made = _plan(file)
    assert (made.groups[1].why, made.groups[1].minutes) == ("1 job of this sweep", 10)


def test_gpu_hours_are_minutes_times_gpus(file):
    value = json.loads(file.read_text())
    file.write_text(json.dumps({**value, "needs": {"gpus": 0.5}}))
    for group in _plan(file, device="NVIDIA H100").groups:
        assert group.how == "arithmetic"
        assert group.gpu_hours_left == pytest.approx(3 * group.minutes / 60 * 0.5)


def test_room_is_what_the_store_and_the_checkpoints_take(file):
    group = _plan(file).groups[1]
    most = 2 * 12 * 96**2 + 100 * 96  # all weights of the layers, and a sixth of the table's rows at most
    each = 2 * epoch_bytes(most)  # the last epoch's weights, and the mean of all
    assert 3 * each * 0.9 < group.store_bytes <= 3 * each
    assert group.working_bytes == pytest.approx(4 * group.store_bytes / 3, rel=0.01)
    _keep(file, "ner", 1)
    (kept,) = in_store(Store(store_of(load(file))))
    assert _plan(file).groups[1].store_bytes == 3 * kept.bytes  # which is known now


def test_encoders_that_do_not_stay_take_room_while_their_job_runs(file):
    kept, gone = _plan(file).groups[1], _plan(file, keep_encoders=False).groups[1]
    assert gone.store_bytes == 0
    assert gone.working_bytes == kept.working_bytes + kept.store_bytes // 3


def test_damaged_entries_and_results_are_passed_over(file):
    entry, job = _keep(file, "ner", 1), _finish(file, "ner", 2)
    (entry.folder / "entry.json").write_text("{")
    for path in (load(file).folder / job.folder).rglob("results_*.json"):
        path.write_text("{}")
    made = _plan(file)
    assert (made.groups[1].done, made.groups[1].stored, made.groups[1].how) == (1, 0, "unknown")


def _invoke(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)], catch_exceptions=False)


def test_the_command_prints_a_table_or_json(file):
    printed = _invoke(file, "--device", "NVIDIA A100", "--share", "0.1").stdout
    assert "arithmetic: " in printed
    assert "A100: NVIDIA A100 data sheet" in printed
    assert "6 jobs, 6 without results" in printed
    assert max(map(len, printed.splitlines())) <= 120
    value = json.loads(_invoke(file, "--rate", "Tiny_LM=100", "--json").stdout)
    assert [group["how"] for group in value["groups"]] == ["given", "given"]
    assert "diagnostics" not in printed
    sweep = json.loads(file.read_text())
    file.write_text(json.dumps({**sweep, "diagnostics": ["spectra"]}))
    assert "diagnostics are in the minutes of finished jobs only" in _invoke(file).stdout
    assert value["minutes_left"] == pytest.approx(sum(group["minutes_left"] for group in value["groups"]))


def test_the_papers_experiment_can_be_planned_without_any_encoder(tmp_path):
    backbones = {"mbart-large-50": {"pretrained": PAPER[0], "revision": PAPER[1]}}
    path = tmp_path / "sweep.yaml"
    path.write_text(
        json.dumps({"output": "out", "store": "store", "backbones": backbones, "tasks": ["xglue_zs"], "seeds": [1, 2]})
    )
    made = _plan(path, device="NVIDIA H100")
    assert (len(made.groups), made.jobs) == (8, 16)
    assert [group.task for group in made.groups] == [*TASKS]
    assert {group.how for group in made.groups} == {"arithmetic"}
    assert not any((tmp_path / name).exists() for name in ("out", "store"))
    assert max(map(len, _invoke(path, "--device", "NVIDIA H100").stdout.splitlines())) <= 120


@pytest.mark.processes
def test_a_plan_does_not_wait_for_torch(file):
    code = (
        "import sys; from xglue_harness.cli import main\n"
        f"try: main(['sweep', 'plan', {str(file)!r}])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "datasets", "lm_eval"} & {*done.stderr.split()}
    assert "6 jobs" in done.stdout
