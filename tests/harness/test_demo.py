"""The demonstration's encoder is small and always the same; all eight tasks run on the sample."""

from __future__ import annotations

import hashlib
import json

import pytest
from transformers import AutoModel, AutoTokenizer

from xglue_harness.benchmark import TASKS
from xglue_harness.harness import demo
from xglue_harness.results import predictions


def _hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_encoder_is_the_same_every_time_and_knows_every_character(tmp_path):
    demo.build_encoder(tmp_path / "one")
    demo.build_encoder(tmp_path / "two")
    assert _hashes(tmp_path / "one") == _hashes(tmp_path / "two")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    unknown = [word for word in demo.sample_words() if tokenizer.unk_token_id in tokenizer(word)["input_ids"]]
    assert not unknown
    assert AutoModel.from_pretrained(tmp_path / "one").num_parameters() < 2_000_000


def test_the_demonstration_scores_all_59_leaves(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "RECIPE", {**demo.RECIPE, "epochs": 1, "train_limit": 16})
    demo.run_demo(output=tmp_path)
    printed = capsys.readouterr().out
    assert "SAMPLE" in printed
    assert "on the CPU" in printed, "how many threads, and why"
    results = json.loads((tmp_path / "demo.json").read_text())
    leaves = {spec.leaf(language) for spec in TASKS.values() for language in spec.languages}
    assert set(results["results"]) == leaves | {"xglue_zs"} | {spec.group for spec in TASKS.values()}
    for name in results["results"]:
        assert f"{name} [SAMPLE]" in printed
        assert 0 <= results["results"][name]["score,none"] <= 1
    groups = results["groups"]
    mean = sum(groups[spec.group]["score,none"] for spec in TASKS.values()) / 8
    assert groups["xglue_zs"]["score,none"] == pytest.approx(mean)
    kept = {f"predictions_{leaf}_demo.parquet" for leaf in leaves}
    assert {path.name for path in tmp_path.iterdir()} == {"demo.json"} | kept
    for path in tmp_path.glob("*.parquet"):
        assert predictions.read(path).complete
