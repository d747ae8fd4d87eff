"""A record names the commit of a backbone on the Hub. The Hub here is a cache that was filled by hand."""

from __future__ import annotations

import shutil

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def _hub(tiny, tmp_path, monkeypatch):
    """A cache with ``tiny/bert``."""
    folder = tmp_path / "hub" / "models--tiny--bert"
    shutil.copytree(tiny, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("_hub", "own_store")
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_the_commit_of_a_backbone_on_the_hub_stands_in_its_record(model, evaluate):
    for asked in ({}, {"revision": COMMIT}):
        results = evaluate(
            ["xglue_ner_zs_en"], model=model, model_args={"pretrained": "tiny/bert", **asked}, device="cpu"
        )
        backbone = results["configs"]["xglue_ner_zs_en"]["metadata"]["xglue"]["backbone"]
        assert (backbone["name"], backbone["revision"]) == ("tiny/bert", COMMIT)
