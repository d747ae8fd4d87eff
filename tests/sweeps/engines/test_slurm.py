"""The array: what sbatch is given, and that signals, lost nodes and time limits cost no job."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.sweeps.stubs import Stub
from xglue_harness.cli import main
from xglue_harness.errors import SweepError
from xglue_harness.sweeps.engines.slurm import SlurmOptions, minutes, submit, waiting_and_running
from xglue_harness.sweeps.jobs import Job, Needs

pytestmark = pytest.mark.processes

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'xglue-harness[cluster]'")


def job(seed: int = 1, **needs: float) -> Job:
    return Job("tiny", "ner", ("de",), seed, "hf-encoder", {}, {"data": "sample"}, needs=Needs(**needs))


# ---------------------------------------------------------------- what sbatch is given


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90:30", 91), ("1:30:00", 90), ("1-0", 1440), ("1-12:30", 2190), ("1-00:00:01", 1441)],
)
def test_time_limits_are_read_as_slurm_reads_them(text: str, expected: int):
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["", "2h", "1:2:3:4", "-5", "1-", "2", "0:119"])
def test_other_time_limits_are_refused(text: str):
    with pytest.raises(SweepError, match="--time"):
        minutes(text)


def test_the_script_says_what_was_asked_for(start, stub: Stub, monkeypatch: pytest.MonkeyPatch):
    cluster = start()
    monkeypatch.setenv("XGLUE_CACHE", "/scratch/it's mine/cache")
    monkeypatch.setenv("HF_TOKEN", "secret")
    options = SlurmOptions(3, "gpu", "project 7", "gpu:a100:1", "8:00:00", ("module load cuda/12", "export A='b c'"))
    submission = submit(stub.queue, options)
    text = cluster.script(submission.array).read_text()
    assert submission.script.read_text() == text
    for line in (
        "--array=0-2%3",
        "--partition=gpu",
        "--account='project 7'",
        "--gres=gpu:a100:1",
        "--time=480",
        "--signal=USR1@120",
        "--requeue",
    ):
        assert f"#SBATCH {line}" in text.splitlines()
    setup = text[text.index("set -e") : text.index("srun")].splitlines()
    assert "export HF_HUB_OFFLINE=1" in setup
    assert """export XGLUE_CACHE='/scratch/it'"'"'s mine/cache'""" in setup
    assert setup.index("export HF_HUB_OFFLINE=1") < setup.index("module load cuda/12") < setup.index("export A='b c'")
    assert "secret" not in text
    assert "wckey" not in text


def test_the_script_asks_for_the_most_that_a_job_needs(start, stub: Stub):
    cluster = start()
    stub.queue.add([job(1, gpus=0.5, cpus=2, minutes=30), job(2, gpus=1.5, cpus=4, memory_gb=7.5), job(3, gpus=0)])
    text = cluster.script(submit(stub.queue, SlurmOptions()).array).read_text()
    for line in ("--gres=gpu:2", "--cpus-per-task=4", "--mem=7680M", "--time=40"):
        assert f"#SBATCH {line}" in text.splitlines()
    assert "srun --unbuffered" in text
    assert "--cpus-per-task=4" in text[text.index("srun") :]  # which srun does not take over from sbatch


def test_without_a_time_the_site_decides(start, stub: Stub):
    cluster = start()
    text = cluster.script(submit(stub.queue, SlurmOptions()).array).read_text()
    assert "--time" not in text


def test_the_script_has_no_fault_that_shellcheck_knows(start, stub: Stub, monkeypatch: pytest.MonkeyPatch):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    start()
    monkeypatch.setenv("XGLUE_STORE", "/scratch/$HOME/`store`")
    options = SlurmOptions(2, "a b", "p", "gpu:1", "60", ("module load cuda",))
    script = submit(stub.queue, options).script
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_setup_that_fails_ends_the_task(start, stub: Stub):
    cluster = start()
    submit(stub.queue, SlurmOptions(2, setup=("cd /no/such/folder", "touch started")))
    assert {state["state"] for state in cluster.wait(20).values()} == {"FAILED"}
    assert stub.finished() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SlurmOptions(partition="a\nb"), "--partition"),
        (SlurmOptions(time="soon"), "--time soon: expected"),
    ],
)
def test_options_that_can_not_be_are_refused_before_sbatch(start, stub: Stub, options: SlurmOptions, message: str):
    cluster = start()
    with pytest.raises(SweepError, match=message):
        submit(stub.queue, options)
    assert cluster.jobs() == {}


def test_what_sbatch_refuses_is_told(start, stub: Stub):
    cluster = start()
    sbatch = cluster.folder / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: Invalid partition name' >&2; exit 1\n")
    with pytest.raises(SweepError, match=r"sbatch refused the array: .*Invalid partition name"):
        submit(stub.queue, SlurmOptions())


def test_without_slurm_it_says_so(stub: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SweepError, match="srun"):
        submit(stub.queue, SlurmOptions())


# ---------------------------------------------------------------- the command line


def test_sweep_run_submits_where_sbatch_is(start, stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys):
    cluster = start()
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    run = ["sweep", "run", str(stub.file)]
    assert _status([*run, "--partition", "gpu", "--setup", "true", "--setup", "export A=1", "--time", "60"]) == 0
    said = capsys.readouterr().out
    assert "engine slurm: sbatch is on the PATH" in said
    (array,) = {name.partition("_")[0] for name in cluster.jobs()}
    assert f"submitted: array {array} of 1 workers" in said
    text = cluster.script(array).read_text()
    assert "#SBATCH --partition=gpu" in text
    assert text.index("true\n") < text.index("export A=1\n") < text.index("srun")
    # The same command again does not fill the queue with a second array.
    assert _status(run) == 0
    assert f"Slurm has workers of this sweep already, which take what is new: {array}" in capsys.readouterr().out
    assert len(cluster.jobs()) == 1
    assert _status(["sweep", "cancel", str(stub.file)]) == 0
    cluster.wait(20)
    assert waiting_and_running(stub.queue) == []


def test_nothing_is_submitted_where_nothing_is_left(start, stub: Stub):
    cluster = start()
    stub.queue.add([])
    assert str(submit(stub.queue, SlurmOptions())) == "nothing is left to do"
    assert cluster.jobs() == {}


def _status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    return int(raised.value.code or 0)
