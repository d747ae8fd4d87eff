"""W&B and trackio themselves, offline, where they are installed: what they are told is read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.wandb_files import offline_runs

pytestmark = pytest.mark.processes

TELL = """
import sys
from xglue_harness.records.training_schema import Curve, EpochScores
from xglue_harness.training.distributed import World
from xglue_harness.training.reports import reporting

curve = Curve(step=[16, 32], loss=[1.0, 0.5], learning_rate=[0.1, 0.05], gradient_norm=[2.0, None])
epochs = [EpochScores(epoch=1.0, dev={"en": 0.25, "de": 0.5}), EpochScores(epoch=2.0, dev={"en": 0.75})]
name = sys.argv[1]
# A run of lm_eval's own logger, which goes on beside and after ours.
if name == "trackio":
    from lm_eval.loggers.trackio_logger import TrackioLogger
    logger = TrackioLogger({"project": "xglue-harness", "name": "lm_eval"})
else:
    from lm_eval.loggers import WandbLogger
    logger = WandbLogger({"project": "xglue-harness", "name": "lm_eval"})
for until in (1, 2):  # the first training is killed after its first epoch, the second goes on
    with reporting([name], "tiny", "0a1b", {"epochs": 2.0, "dropout": None, "data": "sample"}, "acc", World()) as told:
        part = Curve(**{field: values[:until] for field, values in curve.model_dump().items()})
        told.follow(part, epochs[:until], 20)
        told.tested({"de": 0.5} if until == 2 else {}, 40)
results = {"results": {"xglue_pos_zs_de": {"alias": "de", "acc,none": 0.5}}, "configs": {}, "config": {}}
logger.post_init(results)
logger.log_eval_result()
logger.finish() if name == "trackio" else logger.run.finish()
"""

READ_TRACKIO = """
import json, trackio
from trackio.sqlite_storage import SQLiteStorage
runs = []
for run in trackio.Api().runs("xglue-harness"):
    history = SQLiteStorage.get_logs("xglue-harness", run.name, run_id=run.id)
    runs.append({"name": run.name, "config": run.config, "history": history})
print(json.dumps(runs))
"""

FIRST = [
    {"step": 16, "train/loss": 1.0, "train/learning_rate": 0.1, "train/grad_norm": 2.0},
    {"step": 20, "train/epoch": 1.0, "dev_acc/en": 0.25, "dev_acc/de": 0.5},
]
SECOND = [
    *FIRST,
    {"step": 32, "train/loss": 0.5, "train/learning_rate": 0.05},
    {"step": 40, "train/epoch": 2.0, "dev_acc/en": 0.75, "test_acc/de": 0.5},
]


def _python(code: str, *arguments: str, folder: Path) -> str:
    # W&B offline and trackio without a Space send nothing; the model came ready-made: nobody has set accelerate up.
    env = {**os.environ, "WANDB_MODE": "offline", "TRACKIO_DIR": str(folder / "trackio"), "HF_HUB_OFFLINE": "1"}
    for name in ("WANDB_PROJECT", "TRACKIO_PROJECT", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _by_step(history: list[dict]) -> list[dict]:
    """What was told of each step, together, as both programs show it."""
    steps: dict[int, dict] = {}
    for line in history:
        steps.setdefault(line["step"], {}).update(line)
    return [{key: value for key, value in line.items() if key != "timestamp"} for line in steps.values()]


def test_wandb_has_whole_curves_in_runs_of_their_own_beside_that_of_lm_eval(tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    _python(TELL, "wandb", folder=tmp_path)
    runs = offline_runs(tmp_path)
    [theirs] = [run for run in runs if run["name"] == "lm_eval"]
    ours = [run for run in runs if run["name"] == "tiny"]
    assert [(run["group"], run["project"]) for run in ours] == [("0a1b", "xglue-harness")] * 2
    for run in ours:
        assert {"epochs": 2.0, "data": "sample"}.items() <= run["config"].items()
        assert "dropout" not in run["config"]
        run["history"] = [{"step": line.pop("_step"), **line} for line in run["history"]]
    assert sorted((_by_step(run["history"]) for run in ours), key=len) == [FIRST, SECOND]
    assert theirs["history"][0]["xglue_pos_zs_de/acc"] == 0.5
    assert not any("train/loss" in line for line in theirs["history"])


def test_trackio_has_whole_curves_in_runs_of_their_own_beside_that_of_lm_eval(tmp_path):
    pytest.importorskip("trackio", reason="trackio is not installed")
    _python(TELL, "trackio", folder=tmp_path)
    runs = json.loads(_python(READ_TRACKIO, folder=tmp_path))
    [theirs] = [run for run in runs if run["name"] == "lm_eval"]
    ours = [run for run in runs if run["name"] == "tiny"]
    for run in ours:
        assert {"epochs": 2.0, "data": "sample", "_Group": "0a1b"}.items() <= run["config"].items()
    assert sorted((_by_step(run["history"]) for run in ours), key=len) == [FIRST, SECOND]
    assert [line["xglue_pos_zs_de/acc"] for line in theirs["history"]] == [0.5]
