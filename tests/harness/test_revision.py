"""A record names the commit of a backbone on the Hub. The Hub here is a cache that was filled by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"

CODE = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from tests.helpers.runs import QUICK
from xglue_harness.harness.register import register, tasks_folder
register()
found = {}
for model in ("hf", "hf-encoder"):
    for asked in ({}, {"revision": sys.argv[1]}):
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=QUICK)
        arguments = {"pretrained": "tiny/bert", **asked}
        results = simple_evaluate(model=model, model_args=arguments, tasks=["xglue_ner_zs_en"], task_manager=manager,
                                  log_samples=False, torch_random_seed=1, device="cpu")
        record = results["configs"]["xglue_ner_zs_en"]["metadata"]["xglue"]["backbone"]
        found[f"{model} {asked}"] = [record["name"], record["revision"]]
print(json.dumps(found))
"""


@pytest.fixture
def hub(tiny, tmp_path):
    """A cache with ``tiny/bert``."""
    folder = tmp_path / "hub" / "models--tiny--bert"
    shutil.copytree(tiny, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    return tmp_path / "hub"


@pytest.mark.processes
def test_the_commit_of_a_backbone_on_the_hub_stands_in_its_record(hub, own_store):
    environment = {**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", CODE, COMMIT], check=True, capture_output=True, text=True, env=environment
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 4
    assert set(map(tuple, found.values())) == {("tiny/bert", COMMIT)}
