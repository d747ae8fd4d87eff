"""The sweep's file: what it takes, and which key an error names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from xglue_harness.errors import SweepError
from xglue_harness.recipe import ONLY_FOR, Options
from xglue_harness.sweeps.file import ELSEWHERE, RECIPE, SweepFile, json_schema, load

GOOD: dict[str, Any] = {
    "output": "results",
    "backbones": {"tiny": {"pretrained": "./encoder"}},
    "tasks": ["xnli"],
    "seeds": [1, 2],
    "data": "sample",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "encoder").mkdir()
    return tmp_path


def _load(place: Path, text: str | None = None, **changes: Any) -> SweepFile:
    path = place / "sweep.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}) if text is None else text)
    return load(path)


def test_paths_are_relative_to_the_file(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir("/")
    (place / "xglue").mkdir()
    sweep = _load(place, data="xglue", store="store", reference="./encoder")
    assert sweep.folder == place / "results"
    assert sweep.backbones["tiny"].pretrained == str(place / "encoder")
    assert (sweep.data, sweep.store, sweep.reference) == tuple(str(place / n) for n in ("xglue", "store", "encoder"))


def test_names_of_the_hub_stay_names(place: Path):
    backbone = {
        "pretrained": "ORG/model",
        "revision": "main",
        "model_args": {"tokenizer": "ORG/other", "peft": "./encoder"},
    }
    sweep = _load(place, backbones={"x": backbone}, reference="ORG/model@abc", data={"ner": "ORG/data@1"})
    assert sweep.backbones["x"].pretrained == "ORG/model"
    assert sweep.backbones["x"].model_args == {"tokenizer": "ORG/other", "peft": str(place / "encoder")}
    assert (sweep.reference, sweep.data) == ("ORG/model@abc", {"ner": "ORG/data@1"})


def test_numbers_are_read_as_people_write_them(place: Path):
    text = yaml.safe_dump(GOOD) + "recipe: {learning_rate: 2e-5, epochs: 3, weight_decay: 1.e-2}\n"
    assert _load(place, text).recipe == {"learning_rate": 2e-5, "epochs": 3, "weight_decay": 0.01}


def test_a_recipe_has_a_name_or_a_path_that_is_relative_to_the_file(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir("/")
    (place / "mine.yaml").write_text("description: mine\noptions: {epochs: 4}\n")
    own = str(place / "mine.yaml")
    assert _load(place, recipe="xglue").metadata == {"data": "sample", "recipe": "xglue"}
    assert _load(place, recipe="mine.yaml").metadata["recipe"] == own
    both = _load(place, recipe={"recipe": "mine.yaml", "max_length": 64}).metadata
    assert (both["recipe"], both["max_length"]) == (own, 64)
    with pytest.raises(SweepError, match=r"sweep.yaml: recipe: there is no 'xglu' \(did you mean xglue\?\)"):
        _load(place, recipe="xglu")
    (place / "mine.yaml").write_text("description: mine\noptions: {epochs: -4}\n")
    with pytest.raises(SweepError, match=r"mine.yaml: epochs=-4: Input should be greater than 0"):
        _load(place, recipe="mine.yaml")


def test_options_become_metadata(place: Path):
    sweep = _load(place, recipe={"epochs": 3}, diagnostics=["cka"], select="en_dev")
    assert sweep.metadata == {"data": "sample", "epochs": 3, "diagnostics": ["cka"], "select": "en_dev"}
    assert Options.model_validate(sweep.metadata).epochs == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasksx": ["xnli"]}, "tasksx: no such key (did you mean tasks?)"),
        ({"tasks": ["xnlii"]}, "tasks: 'xnlii': no such task (did you mean xnli?)"),
        ({"tasks": []}, "tasks: Tuple should have at least 1 item"),
        ({"seeds": [1, 1]}, "seeds: a seed stands there twice"),
        ({"seeds": ["1"]}, "seeds.0: Input should be a valid integer"),
        ({"seeds": [-1]}, "seeds.0: Input should be greater than or equal to 0"),
        ({"recipe": {"epoch": 3}}, "recipe: epoch: no such option (did you mean epochs?)"),
        ({"recipe": {"epochs": "3"}}, "recipe.epochs: Input should be a valid number"),
        ({"recipe": {"epochs": 0}}, "recipe.epochs: Input should be greater than 0"),
        ({"recipe": {"seed": 3}}, "recipe: seed: no part of the recipe; write seeds beside it"),
        ({"recipe": {"dev": "none"}, "select": "oracle"}, "select oracle needs dev all"),
        ({"needs": {"gpu": 1}}, "needs.gpu: no such key (did you mean gpus?)"),
        ({"backbones": {"x": {"pretrained": "./encoder", "needs": {"minute": 1}}}}, "did you mean minutes?"),
        ({"backbones": {"x": {"pretraned": "./encoder"}}}, "x.pretraned: no such key (did you mean pretrained?)"),
        ({"backbones": {"x": {"pretrained": "ORG/model"}}}, "backbones.x.revision: is missing; name a commit"),
        ({"backbones": {"x": {"pretrained": "./gone"}}}, "backbones.x.pretrained: no folder"),
        ({"backbones": {"x": {"pretrained": "./encoder", "revision": "1"}}}, "which has no revisions"),
        ({"backbones": {"a/b": {"pretrained": "./encoder"}}}, "backbones: 'a/b': a name has letters"),
        ({"backbones": {"x": {"pretrained": "./encoder", "model_args": {"epochs": 3}}}}, "write it into recipe"),
        ({"data": "gone"}, "data: no file or folder"),
    ],
)  # fmt: skip
def test_an_error_names_the_file_and_the_key(place: Path, changes: dict[str, Any], said: str):
    with pytest.raises(SweepError) as caught:
        _load(place, **changes)
    assert str(caught.value).startswith(f"{place / 'sweep.yaml'}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("output: a\noutput: b\n", "the key output stands there twice"),
        ("- a\n", "expected keys and values"),
        ("a: [\n", "no YAML"),
        ("1: a\n", "the key 1 is no text"),
        ("output: 5\n", "backbones: is missing"),
    ],
)
def test_what_is_no_sweep_is_said_in_a_line(place: Path, text: str, said: str):
    with pytest.raises(SweepError, match=said) as caught:
        _load(place, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(SweepError, match=r"gone\.yaml"):
        load(tmp_path / "gone.yaml")


def test_every_option_of_a_run_has_its_place():
    assert {*RECIPE, *ELSEWHERE, "protocol"}.union(*ONLY_FOR.values()) == set(Options.model_fields)
    assert set(ELSEWHERE.values()) <= set(SweepFile.model_fields)
    name, options = json_schema()["properties"]["recipe"]["anyOf"]
    assert name["type"] == options["properties"]["recipe"]["type"] == "string"
    assert set(options["properties"]) == set(RECIPE)
