"""A whole job (train on English, predict other languages) needs nothing of lm_eval."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xglue_harness.harness.demo import build_encoder

JOB = """
import sys
from dataclasses import replace

import torch

from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.recipe import parse_options
from xglue_harness.transfer.job import prepare_job
from xglue_harness.transfer.leaf import load_leaf
from xglue_harness.transfer.preflight import try_out
from xglue_harness.transfer.run import run_job

options = parse_options({"data": "sample", "dev": "en", "select": "en_dev", "epochs": 2, "train_limit": 16})
leaves = []
for language in ("de", "sw"):
    leaf, documents = load_leaf(TASKS["xnli"], language, options)
    leaves.append(replace(leaf, documents=dict(enumerate(documents.select(range(4))))))
backbone = load_backbone(sys.argv[1], torch.device("cpu"))
job, identity = prepare_job(backbone, leaves, {}), identify(backbone)
before = run_job(identity, job, entry=try_out(identity, job), progress=False)
assert [outcome.record["target_language"] for outcome in before] == ["de", "sw"]
assert not before[0].record["session"]["from_store"]
after = run_job(identity, job, entry=try_out(identity, job), progress=False)
assert after[0].record["session"]["from_store"]
for one, other in zip(before, after):
    assert one.predictions == other.predictions
    assert one.scores == other.scores
    assert one.predictions.keys() == one.scores.keys() == {0, 1, 2, 3}
    assert one.record["selection"]["rule"] == "en_dev"
    assert one.record["evaluation"]["unknown"] == other.record["evaluation"]["unknown"] == 0
assert "lm_eval" not in sys.modules
"""


@pytest.mark.processes
def test_a_job_runs_without_lm_eval(tmp_path):
    build_encoder(tmp_path / "encoder")
    own = {"XGLUE_STORE": str(tmp_path / "store"), "XGLUE_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", JOB, str(tmp_path / "encoder")], check=True, env={**os.environ, **own})
