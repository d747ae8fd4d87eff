"""The demonstration's encoder is small and always the same; all eight tasks run on the sample."""

from __future__ import annotations

import hashlib
import json
from functools import partial

import pytest
from transformers import AutoModel, AutoTokenizer

from tests.helpers.cli import command
from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.errors import DataError
from xglue_harness.harness import demo
from xglue_harness.leaderboard.contributions.answers import EXAMPLES
from xglue_harness.records import predictions
from xglue_harness.submission.score import score_folder


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


def test_the_demonstration_scores_all_59_leaves(tmp_path, monkeypatch):
    for name, value in {"epochs": 1, "train_limit": 16}.items():
        monkeypatch.setitem(demo.RECIPE, name, value)
    status, out, printed = command("demo", "--keep", tmp_path / "tiny", "--output", tmp_path / "results", "--json")
    assert status == 0
    assert "SAMPLE" in printed
    assert "on the CPU" in printed, "how many threads, and why"
    [path] = (tmp_path / "results").rglob("*.json")
    date = path.stem.removeprefix("results_")
    assert path == tmp_path / "results" / "tiny" / f"results_{date}.json"
    results = json.loads(path.read_text())
    leaves = {spec.leaf(language) for spec in TASKS.values() for language in spec.languages}
    assert set(results["results"]) == leaves | {"xglue_zs"} | {spec.group for spec in TASKS.values()}
    for name in results["results"]:
        assert f"{name} [SAMPLE]" in printed
        assert 0 <= results["results"][name]["score,none"] <= 1
    groups = results["groups"]
    said = json.loads(out)
    assert said["SAMPLE"] is True
    assert said["mean"] == groups["xglue_zs"]["score,none"]
    assert [*said["tasks"]] == [*TASKS]
    for spec in TASKS.values():
        own = said["tasks"][spec.name]
        assert (own["metric"], own["mean"]) == (spec.metric, groups[spec.group]["score,none"])
        leaf = {language: results["results"][spec.leaf(language)]["score,none"] for language in spec.languages}
        assert own["languages"] == leaf
    mean = sum(groups[spec.group]["score,none"] for spec in TASKS.values()) / 8
    assert groups["xglue_zs"]["score,none"] == pytest.approx(mean)
    kept = {f"predictions_{leaf}_{date}.parquet" for leaf in leaves}
    assert {other.name for other in path.parent.iterdir()} == {path.name} | kept
    for file in path.parent.glob("*.parquet"):
        assert predictions.read(file).complete
    _submitted(tmp_path, results)
    _contributed(tmp_path)


def test_without_json_the_tables_are_printed(monkeypatch):
    for name, value in {"epochs": 1, "train_limit": 16}.items():
        monkeypatch.setitem(demo.RECIPE, name, value)
    monkeypatch.setattr(demo, "evaluate_sample", partial(demo.evaluate_sample, tasks=["xglue_ner_zs"]))
    status, out, _ = command("demo")
    assert status == 0
    assert "on the CPU" in out
    assert "xglue_ner_zs_de [SAMPLE]" in out
    assert "SAMPLE data and an encoder without pretraining" in out


def _run(*arguments):
    with pytest.raises(SystemExit) as end:
        cli.main([*map(str, arguments)])
    assert not end.value.code


def _submitted(folder, results):
    """What the demonstration wrote makes a submission with its scores."""
    _run("export", folder / "results", folder / "submission")
    scores = score_folder(folder / "submission", "sample")
    assert scores.mean.score == pytest.approx(results["groups"]["xglue_zs"]["score,none"], abs=1e-12)


def _contributed(folder):
    """And it goes into a leaderboard of its own."""
    tree = ("--tree", folder / "rehearsal")
    (folder / "rehearsal" / "backbones").mkdir(parents=True)
    answers = {**EXAMPLES, "hub": "", "pretraining.languages": "en"}
    options = [word for key, value in answers.items() for word in ("--set", f"{key}={value}")]
    _run("backbone", "new", "tiny", "--model", folder / "tiny", *tree, *options)
    _run("leaderboard", "add", folder / "results", *tree, "--example", "--recipe", "demo")
    added = {path.stem for path in (folder / "rehearsal" / "results" / "tiny" / "demo").rglob("*.json")}
    assert added == TASKS.keys()
    _run("leaderboard", "validate", *tree, "--example", "--data", "sample")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    """lm_eval itself only logs it, and after the training."""
    demo.build_encoder(tmp_path / "tiny", width=8, layers=1)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file can't be written .*choose another --output_path"):
        demo.evaluate_sample(
            tmp_path / "tiny", tasks=["xglue_qam_zs_de"], output=tmp_path / "file", epochs=1, train_limit=8
        )
