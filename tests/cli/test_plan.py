"""``xglue-harness plan``: what a run will do, by the run's own arguments, before it does anything."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.errors import DataError, RecipeError
from xglue_harness.store.trainings import Store
from xglue_harness.sweeps.run_plan import device_here

OPTIONS = {"data": "sample", "dev": "none", "epochs": 2, "batch_size": 16, "max_length": 64}
CONFIG = {"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 96, "vocab_size": 600}


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """A folder with the configuration of an encoder, which nothing could load; nothing is in the store."""
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(sys, "argv", sys.argv)
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def _run(encoder, *arguments, tasks="xglue_qam_zs", model="hf-encoder", options=OPTIONS):
    command = ["plan", "--model", model, "--model_args", f"pretrained={encoder}", "--tasks", tasks]
    command += ["--metadata", json.dumps(options), *arguments]
    return CliRunner().invoke(cli.app, command, catch_exceptions=False)


def _planned(encoder, *arguments, **run):
    done = _run(encoder, "--json", *arguments, **run)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_trainings_steps_time_memory_and_room(encoder):
    made = _planned(encoder, "--rate", "1000", "--device", "cpu", tasks="xglue_qam_zs_??,xglue_pos_zs_de")
    assert [(task["group"]["task"], task["languages"], task["state"]) for task in made["tasks"]] == [
        ("qam", len(TASKS["qam"].languages), "to train"),
        ("pos", 1, "to train"),
    ]
    qam = made["tasks"][0]
    rows = qam["group"]["rows"]
    assert rows > 100
    assert qam["steps"] == -(-rows // 16) * 2
    assert qam["group"]["minutes"] * 60 >= 2 * qam["group"]["subwords"] / 1000
    body = 2 * (4 * 96**2 + 2 * 96 * 4 * 96)
    assert qam["memory"]["bytes"] == 16 * qam["group"]["trained"] + 4 * (body + 600 * 96)
    assert not qam["memory"]["measured"]
    assert qam["group"]["store_bytes"] == 2 * 4 * qam["group"]["trained"]  # the last epoch, and the mean of both
    assert made["minutes_left"] == pytest.approx(sum(task["group"]["minutes"] for task in made["tasks"]))
    assert not Store().root.exists()


def test_people_get_a_table_and_what_it_means(encoder):
    printed = _run(encoder, "--device", "NVIDIA A100").output
    lines = printed.splitlines()
    assert lines[0].split() == ["task", "languages", "steps", "subwords", "minutes", "memory", "store", "state", "how"]
    assert lines[1].split()[0] == "qam"
    assert "to train" in lines[1]
    assert "1 of 1 trainings to do: about" in printed
    assert "on NVIDIA A100" in printed
    assert f"in the store {Store().root}" in printed


def test_the_limit_of_rows_and_the_epochs_count(encoder):
    few, many = (_planned(encoder, options={**OPTIONS, "train_limit": 32, "epochs": epochs}) for epochs in (1, 1.5))
    assert [made["tasks"][0]["steps"] for made in (few, many)] == [2, 3]
    assert few["tasks"][0]["group"]["rows"] == 32


def test_a_seed_may_be_lm_evals_or_an_option(encoder, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "xglue_harness.sweeps.run_plan.plan", lambda names, jobs, *_, **__: seen.append(jobs) or _none()
    )
    _run(encoder, "--seed", "7")
    _run(encoder, "--seed", "7", options={**OPTIONS, "seed": 9})
    _run(encoder)
    assert [jobs[0].seed for jobs in seen] == [7, 9, 1234]


def _none():
    from xglue_harness.sweeps.plan import Plan

    return Plan((), "cpu", (), 0, 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tasks": "arc_easy"}, RecipeError, "--tasks arc_easy: no task of ours; plan knows xglue_zs"),
        ({"model": "vllm"}, RecipeError, "--model vllm: plan is of trainings"),
        ({"options": {**OPTIONS, "protocol": "prompt"}}, RecipeError, "protocol prompt: plan is of trainings"),
        ({"options": {**OPTIONS, "epoch": 1}}, RecipeError, "unknown option 'epoch'"),
        ({"options": {**OPTIONS, "data": "nowhere"}}, DataError, "data: nowhere: no such file"),
    ],
)
def test_what_it_can_not_plan(encoder, change, error, message):
    with pytest.raises(error, match=message):
        _run(encoder, **change)


def test_a_decoder_is_prompted(encoder):
    (encoder / "config.json").write_text(json.dumps({**CONFIG, "model_type": "gpt2"}))
    with pytest.raises(RecipeError, match="is a decoder-only model: it is prompted, and has no training"):
        _run(encoder, model="hf")


def test_without_arguments_it_says_what_to_give():
    done = CliRunner().invoke(cli.app, ["plan"])
    assert done.exit_code == 2
    assert "give the arguments of the run: --model" in done.output


def test_the_device_is_the_one_that_lm_eval_would_take(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [device_here(asked) for asked in (None, "cuda:0", "cpu", "NVIDIA A100")] == [
        "cpu",
        "cpu",
        "cpu",
        "NVIDIA A100",
    ]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"card {device}")
    assert [device_here(asked) for asked in ("cuda:1", "cpu")] == ["card cuda:1", "cpu"]
