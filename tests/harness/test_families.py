"""lm_eval end to end for every family: words, pairs and rankings, the same with ``hf`` and with ``hf-encoder``."""

from __future__ import annotations

import math

import pytest

from tests.helpers import families
from tests.helpers.evaluation import evaluate

LEAVES = ["xglue_pos_zs_th", "xglue_xnli_zs_el", "xglue_wpr_zs_zh"]
SHORT = {"train_limit": 16, "batch_size": 8}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_both_models_run_all_kinds_of_tasks_with_equal_results(family, checkpoint, tmp_path, monkeypatch):
    found = []
    for model in ("hf", "hf-encoder"):
        monkeypatch.setenv("XGLUE_STORE", str(tmp_path / model))  # each trains for itself
        results = evaluate(checkpoint(family), LEAVES, SHORT, model=model, limit=4)
        found.append({leaf: results["results"][leaf]["score,none"] for leaf in LEAVES})
        for leaf in LEAVES:
            record = results["configs"][leaf]["metadata"]["xglue"]
            assert math.isfinite(record["training"]["final_loss"])
            assert not record["session"]["from_store"]
            found[-1][f"{leaf} training"] = record["training"]["store_key"]  # one would use what the other trained
            found[-1][f"{leaf} encoder"] = record["backbone"]["encoder_sha256"]
    assert found[0] == found[1]
