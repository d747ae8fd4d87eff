"""lm_eval's own command line, as users type it, and ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers.language_models import build_decoder
from tests.helpers.runs import QUICK
from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.errors import DataError
from xglue_harness.records import predictions
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.threads import WAITING

SCRIPTS = Path(sys.executable).parent


def _lm_eval(*arguments, cwd):
    command = [str(SCRIPTS / "lm_eval"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    for name in ("OMP_NUM_THREADS", *WAITING):
        environment.pop(name, None)  # those of the tests
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture
def run_here(monkeypatch, caplog):
    """``xglue-harness run``, which is lm_eval's command line, in this process; all is left as it was."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr("lm_eval.utils._LOGGING_CONFIGURED", True)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    caplog.set_level("INFO", logger="lm_eval")

    def run(*arguments):
        result = CliRunner().invoke(cli.app, ["run", *map(str, arguments)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


@pytest.mark.processes
def test_a_run_with_lm_evals_flags(tiny, tmp_path):
    done = _lm_eval(
        "--model", "hf", "--model_args", f"pretrained={tiny}", "--tasks", "xglue_qam_zs_??", "--device", "cpu",
        "--metadata", json.dumps(QUICK), "--batch_size", "auto", "--limit", "8", "--seed", "5", "--log_samples",
        "--write_out", "--output_path", "out", cwd=tmp_path,
    )  # fmt: skip
    for language in TASKS["qam"].languages:
        assert f"xglue_qam_zs_{language} [SAMPLE]" in done.stdout
    assert done.stderr.count("QAM: kept in the store: ") == 1
    assert done.stderr.count("waiting, they soon sleep (GOMP_SPINCOUNT=5000)") == 1
    assert "document 0; context prompt" in done.stderr + done.stdout
    [path] = tmp_path.glob("out/*/results_*.json")
    results = json.loads(path.read_text())
    assert set(results["results"]) == {"xglue_qam_zs_de", "xglue_qam_zs_en", "xglue_qam_zs_fr"}
    assert len(list(path.parent.glob("predictions_xglue_qam_zs_*.parquet"))) == 3
    record = results["configs"]["xglue_qam_zs_de"]["metadata"]["xglue"]
    assert record["recipe"]["seed"] == 5
    assert record["evaluation"]["documents"] == 8
    assert len(list(tmp_path.glob("out/*/samples_xglue_qam_zs_*.jsonl"))) == 3


def test_a_language_model_is_prompted_with_lm_evals_flags(tmp_path, run_here, caplog):
    build_decoder(tmp_path / "decoder")
    leaves = ["xglue_xnli_zs_sw", "xglue_ner_zs_de"]
    printed = run_here(
        "--model", "hf", "--model_args", f"pretrained={tmp_path / 'decoder'}", "--tasks", ",".join(leaves),
        "--device", "cpu", "--metadata", '{"data": "sample", "epochs": 3}', "--batch_size", "4", "--limit", "4",
        "--num_fewshot", "1", "--apply_chat_template", "--system_instruction", "Be brief.", "--log_samples",
        "--write_out", "--output_path", tmp_path / "out",
    )  # fmt: skip
    assert "protocol prompt: without effect on it: epochs" in caplog.text
    assert "<system>Be brief." in caplog.text + printed
    for leaf in leaves:
        assert f"{leaf} [SAMPLE]" in printed
    assert printed.count("[prompt]") == len(leaves)
    [path] = tmp_path.glob("out/*/results_*.json")
    date = path.stem.rpartition("_")[2]
    results = json.loads(path.read_text())
    for leaf in leaves:
        record = PromptRecord.model_validate(results["configs"][leaf]["metadata"]["xglue"])
        assert (record.prompt.num_fewshot, record.prompt.chat_template) == (1, True)
        beside = path.with_name(f"predictions_{leaf}_{date}.parquet")
        assert hashlib.sha256(beside.read_bytes()).hexdigest() == record.predictions.sha256
        assert predictions.read(beside).rows == [0, 1, 2, 3]


def test_the_schema_of_either_protocol_is_printed():
    runner = CliRunner()
    for arguments, title in (([], "run record"), (["--protocol", "prompt"], "prompt record")):
        assert json.loads(runner.invoke(cli.app, ["schema", *arguments]).output)["title"] == f"xglue-harness {title}"
    refused = runner.invoke(cli.app, ["schema", "--protocol", "guess"])
    assert refused.exit_code == 2
    assert "'finetune', 'prompt'" in refused.output


def test_lm_eval_validates_all_names_and_our_run_is_the_same_command(run_here):
    names = ",".join(["xglue_zs", *(spec.group for spec in TASKS.values()), "xglue_pos_zs_th"])
    assert "All tasks found and valid" in run_here("validate", "--tasks", names)


def test_a_glob_selects_exactly_the_leaves():
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

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
