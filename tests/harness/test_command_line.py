"""lm_eval's own command line, as users type it, and ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers.runs import QUICK
from xglue_harness import cli
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError

SCRIPTS = Path(sys.executable).parent


def _lm_eval(*arguments, check=True, program=("lm_eval",), cwd):
    command = [str(SCRIPTS / program[0]), *program[1:], *map(str, arguments)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, check=check, capture_output=True, text=True, cwd=cwd, env=environment)


def test_a_run_with_lm_evals_flags(tiny, tmp_path):
    done = _lm_eval(
        "--model", "hf", "--model_args", f"pretrained={tiny}", "--tasks", "xglue_qam_zs_??", "--device", "cpu",
        "--metadata", json.dumps(QUICK), "--batch_size", "auto", "--limit", "8", "--seed", "5", "--log_samples",
        "--write_out", "--output_path", "out", cwd=tmp_path,
    )  # fmt: skip
    for language in TASKS["qam"].languages:
        assert f"xglue_qam_zs_{language} [SAMPLE]" in done.stdout
    assert done.stderr.count("QAM: kept in the store: ") == 1
    assert "document 0; context prompt" in done.stderr + done.stdout
    [path] = tmp_path.glob("out/*/results_*.json")
    results = json.loads(path.read_text())
    assert set(results["results"]) == {"xglue_qam_zs_de", "xglue_qam_zs_en", "xglue_qam_zs_fr"}
    record = results["configs"]["xglue_qam_zs_de"]["metadata"]["xglue"]
    assert record["recipe"]["seed"] == 5
    assert record["evaluation"]["documents"] == 8
    assert len(list(tmp_path.glob("out/*/samples_xglue_qam_zs_*.jsonl"))) == 3


def test_lm_eval_validates_all_names_and_our_run_is_the_same_command(tmp_path):
    names = ",".join(["xglue_zs", *(spec.group for spec in TASKS.values()), "xglue_pos_zs_th"])
    done = _lm_eval("validate", "--tasks", names, program=("xglue-harness", "run"), cwd=tmp_path)
    assert "All tasks found and valid" in done.stdout


def test_a_glob_selects_exactly_the_leaves():
    from lm_eval.tasks import TaskManager

    from xglue_harness.harness.register import tasks_folder

    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False)
    assert manager.match_tasks(["xglue_pos_zs_??"]) == [TASKS["pos"].leaf(lang) for lang in TASKS["pos"].languages]


def test_help_names_every_command_with_examples():
    runner = CliRunner()
    shown = runner.invoke(cli.app, ["--help"]).output
    for command in ("run", "demo", "data", "store", "schema", "lm_eval --model hf"):
        assert command in shown
    for command in (["demo"], ["schema"], *(["store", name] for name in ("ls", "du", "verify", "prune"))):
        assert "Example" in runner.invoke(cli.app, [*command, "--help"]).output


def test_an_error_is_one_message_and_exit_status_2(monkeypatch, capsys):
    def fail(**_):
        raise DataError("FILE:3: what is wrong")

    monkeypatch.setattr("xglue_harness.harness.demo.run_demo", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["demo"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "xglue-harness: FILE:3: what is wrong\n"
