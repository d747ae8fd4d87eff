"""The command ``xglue-harness store export``, on a training of a run."""

from __future__ import annotations

import json
import re
import shutil
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from tests.helpers.runs import QUICK
from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.data import open_source
from xglue_harness.errors import DataError, EncoderError, StoreError
from xglue_harness.export import load
from xglue_harness.harness.demo import build_encoder, evaluate_sample
from xglue_harness.results.reading import read_runs
from xglue_harness.store.trainings import Store

LANGUAGES = ("en", "de", "es")
RECIPE = {**QUICK, "epochs": 4, "train_limit": 200, "dev": "en", "precision": "fp32", "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def run(tmp_path_factory, no_list_of_packages):
    """A folder with an encoder, its store, and the results of NER."""
    folder = tmp_path_factory.mktemp("run")
    build_encoder(folder / "tiny", width=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_STORE", str(folder / "store"))
        tasks = [f"xglue_ner_zs_{language}" for language in LANGUAGES]
        evaluate_sample(folder / "tiny", tasks=tasks, output=folder / "results", **RECIPE)
    return folder


@pytest.fixture
def command(run, monkeypatch):
    """``command(*words)``: what it prints."""
    monkeypatch.setenv("XGLUE_STORE", str(run / "store"))

    def invoke(*words):
        result = CliRunner().invoke(cli.app, ["store", "export", *map(str, words)])
        if isinstance(result.exception, Exception):
            raise result.exception
        return result.output

    return invoke


@pytest.fixture
def key(run):
    [folder] = Store(run / "store").folders("entries")
    return folder.name


def test_its_pipeline_gives_the_runs_own_tags(run, command, key, tmp_path):
    output = command(key[:8], tmp_path / "out", "--results", run / "results")
    assert "to be loaded by BertForTokenClassification" in output
    assert "test scores in the model card: de, en, es" in output
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    space = {"PATH": str(tmp_path / "out")}
    exec(re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)[0], space)
    spec, source, model = TASKS["ner"], open_source("sample"), load(tmp_path / "out")
    seen = set()
    for one in read_runs([run / "results"]):
        sentences = list(source.load(spec, "test", one.language).dataset["words"])
        told = [[spec.labels[tag] for tag in row] for row in one.read_predictions().predictions]
        assert [space["tags"](words) for words in sentences] == told
        assert model.predict([{"words": words} for words in sentences], one.language) == told
        seen |= {tag for row in told for tag in row}
        assert f"| {one.language} | {one.score.value:.4f} |" in card
    assert len(seen) > 3, "an encoder that learnt nothing shows nothing"


def test_the_card_says_what_the_numbers_are_worth(run, command, key, tmp_path):
    command(key, tmp_path / "out", "--results", run / "results")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    [english] = [one for one in read_runs([run / "results"]) if one.language == "en"]
    half = 1.959964 * english.score.stderr
    low, high = max(0, english.score.value - half), min(1, english.score.value + half)
    assert f"| {english.score.value:.4f} | {low:.4f} to {high:.4f} | {english.official:.4f} |" in card
    assert "**SAMPLE: trained and scored on the packaged toy. The scores mean nothing.**" in card
    assert "model-index" not in card, "numbers of the toy are not for the Hub's widgets"
    assert str(run) not in card, "where it lay is nobody's business"
    assert f"| learning_rate | `{RECIPE['learning_rate']}` |" in card
    assert key in card


def test_scores_of_another_training_or_epoch_are_refused(run, command, key, tmp_path):
    [file] = (run / "results").rglob("results_*.json")
    results = json.loads(file.read_text(encoding="utf-8"))
    for name, place, value, message in (
        ("key", ("training", "store_key"), "0" * 32, "no result there is of the training"),
        ("epoch", ("selection", "epoch"), 3.0, "are of epoch 3, or of some rows only"),
        ("mean", ("selection", "averaged"), 2, r"are of the mean of the 2 epochs up to epoch \d, or of some rows only"),
    ):
        changed = json.loads(json.dumps(results))
        for config in changed["configs"].values():
            config["metadata"]["xglue"][place[0]][place[1]] = value
        path = tmp_path / f"results_{name}.json"
        path.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(DataError, match=message):
            command(key, tmp_path / "out", "--results", path)
    assert not (tmp_path / "out").exists()


def test_two_scores_of_one_language_must_agree(run, command, key, tmp_path):
    [file] = (run / "results").rglob("results_*.json")
    results = json.loads(file.read_text(encoding="utf-8"))
    results["results"]["xglue_ner_zs_de"]["f1,none"] = 0.5
    (tmp_path / "results_other.json").write_text(json.dumps(results), encoding="utf-8")
    with pytest.raises(DataError, match=r"other scores than .* for the same weights and language"):
        command(key, tmp_path / "out", "--results", run / "results", "--results", tmp_path / "results_other.json")


def test_a_backbone_that_changed_since_is_refused(run, command, key, tmp_path):
    other = tmp_path / "other"
    build_encoder(other, width=32, seed=5)
    with pytest.raises(EncoderError, match=r"its weights changed since\. Give the checkpoint as the run had it"):
        command(key, tmp_path / "out", "--model_args", f"pretrained={other}")
    assert not (tmp_path / "out").exists()


def test_a_backbone_that_moved_is_found_where_it_is_said_to_be(run, command, key, tmp_path):
    shutil.copytree(run / "tiny", tmp_path / "moved")
    assert "BertFor" in command(key, tmp_path / "out", "--model_args", f"pretrained={tmp_path / 'moved'}")


def test_what_is_wrong_is_said_before_anything_is_loaded(run, command, key, tmp_path, monkeypatch):
    monkeypatch.setattr("xglue_harness.harness.backbones.load_as_lm_eval", None)
    with pytest.raises(StoreError, match="no entry's key begins with 'zz'"):
        command("zz", tmp_path / "out")
    with pytest.raises(DataError, match="expected ORG/NAME"):
        command(key, tmp_path / "out", "--push", "name")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(DataError, match="not empty"):
        command(key, tmp_path / "out")


class _Hub:
    """Stands for ``huggingface_hub.HfApi``; remembers what was asked for."""

    calls: ClassVar[list] = []

    def create_repo(self, name, **options):
        self.calls.append((name, options))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        self.calls.append((repo_id, {path.name for path in folder_path.iterdir()}, commit_message))

        class Commit:
            commit_url = f"https://hub/{repo_id}/commit/1"

        return Commit


def test_it_is_pushed_as_one_commit_to_a_private_repository(command, key, tmp_path, monkeypatch):
    monkeypatch.setattr(_Hub, "calls", [])
    monkeypatch.setattr("huggingface_hub.HfApi", _Hub)
    assert "https://hub/me/tagger/commit/1" in command(key, tmp_path / "out", "--push", "me/tagger")
    [made, (name, files, message)] = _Hub.calls
    assert made == ("me/tagger", {"private": True, "exist_ok": True})
    assert name == "me/tagger"
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "xglue_harness.json"} <= files
    assert key in message


def test_without_a_network_one_error_says_how_to_push_later(command, key, tmp_path):
    with pytest.raises(DataError, match=r"out is written, but could not be pushed to me/tagger .*hf upload me/tagger"):
        command(key, tmp_path / "out", "--push", "me/tagger")
    assert (tmp_path / "out" / "README.md").exists()
