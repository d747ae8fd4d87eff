"""The table agrees with the official archive's manifest, and the YAML with the table."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from tools import make_tasks
from xglue_harness.benchmark import ALL_GROUP, LANGUAGES, SPLITS, TASKS, task

MANIFEST = json.loads((resources.files("xglue_harness.data") / "manifest.json").read_text())


@pytest.mark.parametrize("name", TASKS)
def test_columns_labels_and_languages_are_official(name):
    spec = TASKS[name]
    official = MANIFEST["tasks"]["paws-x" if name == "pawsx" else name]
    assert list(spec.columns) == official["features"]
    assert list(spec.labels) == official["labels"]
    for split in ("validation", "test"):
        tested = {key.partition(".")[2] for key in official["rows"] if key.startswith(split)}
        assert set(spec.languages) == tested | ({"pt"} if name == "pos" else set())  # the old loader forgot pt


def test_there_are_59_leaves_in_19_languages():
    counts = {name: len(spec.languages) for name, spec in TASKS.items()}
    assert counts == {"nc": 5, "xnli": 15, "pawsx": 4, "qam": 3, "qadsm": 3, "wpr": 7, "ner": 4, "pos": 18}
    assert len(LANGUAGES) == 19


def test_files_and_labels():
    assert TASKS["xnli"].path("train", "en") == "XNLI/multinli.train.en.tsv"
    assert TASKS["pawsx"].path("test", "fr") == "PAWSX/fr/test_2k.tsv"
    assert TASKS["wpr"].path("dev", "zh") == "WPR/xglue.wpr.zh.dev"
    assert TASKS["xnli"].label_id("contradictory") == TASKS["xnli"].label_id("contradiction") == 2
    assert TASKS["wpr"].label_id("4") == 4
    assert TASKS["nc"].label_id("weather") is None
    assert len({path for spec in TASKS.values() for _, _, path in spec.files()}) == 8 + 2 * 59


@pytest.mark.parametrize(("split", "language"), [("train", "de"), ("test", "ja"), ("validation", "en")])
def test_what_a_task_does_not_have_is_named(split, language):
    with pytest.raises(KeyError, match=rf"{split}|{language}"):
        TASKS["nc"].path(split, language)
    assert SPLITS == ("train", "dev", "test")


def test_an_unknown_task_lists_the_known():
    with pytest.raises(KeyError, match="nc, xnli, pawsx, qam, qadsm, wpr, ner, pos"):
        task("mlqa")


def test_the_yaml_is_what_the_table_gives():
    found = [path for path in make_tasks.FOLDER.rglob("*") if path.is_file() and path.name != "prompts.yml"]
    present = {str(path.relative_to(make_tasks.FOLDER)): path.read_text() for path in found}
    assert present == make_tasks.files(), "run python -m tools.make_tasks"
    leaves = [name for name in present if name.count("/") and not name.endswith("_zs.yaml")]
    assert len(leaves) == 59
    assert f"{ALL_GROUP}.yaml" in present
