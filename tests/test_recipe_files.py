"""Recipes by name: those that come with us, a user's own, and what is given beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import RecipeError
from xglue_harness.recipe import RECIPE_OPTIONS, Options, parse_options, resolve, with_recipe
from xglue_harness.recipe_files import read_recipe, recipe_names
from xglue_harness.resources import recipes_folder

NAMES = ["paper", "quick", "xglue"]


def _resolved(task, **metadata):
    options = parse_options(metadata, task=task)
    return options, resolve(options, TASKS[task], seed=1, precision="fp32", pooling="first")


def test_three_recipes_come_with_us_and_each_says_where_it_is_from():
    assert recipe_names() == NAMES
    for name in NAMES:
        recipe = read_recipe(name, RECIPE_OPTIONS)
        assert recipe.sha256 == hashlib.sha256((recipes_folder() / f"{name}.yaml").read_bytes()).hexdigest()
        assert len(recipe.description) > 20
        assert "source:" in (recipes_folder() / f"{name}.yaml").read_text()


@pytest.mark.parametrize("task", TASKS)
def test_the_papers_recipe_is_what_the_defaults_are(task):
    options, recipe = _resolved(task, recipe="paper")
    assert recipe.key == _resolved(task)[1].key
    assert options.select == Options().select
    assert options.recipe.changed == {}


@pytest.mark.parametrize(
    ("task", "epochs", "rate", "length"),
    [
        ("ner", 20, 5e-6, 256),
        ("pos", 20, 2e-5, 128),
        *((name, 10, 5e-6, 256) for name in TASKS if name not in ("ner", "pos")),
    ],
)
def test_xglues_recipe_is_that_of_its_baseline(task, epochs, rate, length):
    options, recipe = _resolved(task, recipe="xglue")
    assert (recipe.epochs, recipe.learning_rate, recipe.max_length, recipe.batch_size) == (epochs, rate, length, 32)
    assert (recipe.warmup_ratio, recipe.weight_decay, recipe.max_grad_norm) == (0, 0, 1)
    assert (options.select, options.dev) == ("all_dev", "all")


def test_the_quick_recipe_takes_250_steps():
    _, recipe = _resolved("xnli", recipe="quick")
    assert recipe.train_limit * recipe.epochs / recipe.batch_size == 250


def test_what_is_given_beside_a_recipe_wins_and_is_noted():
    options, recipe = _resolved("pos", recipe="xglue", epochs=3, batch_size=32, precision="bf16")
    assert (recipe.epochs, recipe.max_length) == (3, 128)
    assert options.recipe.name == "xglue"
    assert options.recipe.options["epochs"] == 20
    assert options.recipe.changed == {"epochs": 3, "precision": "bf16"}
    assert options.given == {"recipe", "epochs", "precision"}


def test_a_task_that_is_not_known_yet_gets_what_holds_for_all():
    assert parse_options({"recipe": "xglue"}).epochs == 10
    assert with_recipe({"recipe": "xglue", "max_length": 64}, "pos")["epochs"] == 20
    assert with_recipe({"epochs": 2}, "pos") == {"epochs": 2}


def _written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_of_ones_own_is_named_by_its_name_and_content(tmp_path, monkeypatch):
    text = "description: mine\noptions: {learning_rate: 1e-4, epochs: 2}\ntasks: {ner: {epochs: 4}}\n"
    path = _written(tmp_path, text)
    options, recipe = _resolved("ner", recipe=path)
    assert (recipe.learning_rate, recipe.epochs) == (1e-4, 4)
    assert (options.recipe.name, options.recipe.sha256) == ("mine", hashlib.sha256(text.encode()).hexdigest())
    assert json.loads(options.recipe.model_dump_json())["options"] == {"learning_rate": 1e-4, "epochs": 4}
    monkeypatch.chdir(tmp_path)
    assert _resolved("ner", recipe="mine.yaml")[1] == recipe


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("papr", r"there is no 'papr' \(did you mean paper\?\); there are paper, quick, xglue, or"),
        ("fast", r"there is no 'fast'; there are paper, quick, xglue, or give the path of a YAML file"),
        ("nowhere/mine.yaml", r"mine.yaml: No such file"),
        ("./mine", r"expected a file that ends in .yaml"),
        (3, r"recipe: 3: expected a name or the path"),
    ],
)
def test_an_unknown_recipe_lists_what_there_is(name, said):
    with pytest.raises(RecipeError, match=said):
        parse_options({"recipe": name})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description: x\noptions: {epoch: 3}\n", r"options.epoch: a recipe has no such option; it may set epochs, "),
        ("description: x\noptions: {seed: 3}\n", r"options.seed: a recipe has no such option"),
        ("description: x\noptions: {data: sample}\n", r"options.data: a recipe has no such option"),
        ("description: x\ntasks: {mlqa: {epochs: 3}}\n", r"tasks.mlqa: no such task; there are nc, "),
        ("description: x\ntasks: {pos: {epochs: -3}}\n", r"tasks.pos: epochs=-3: Input should be greater than 0"),
        ("description: x\noptions: {epochs: 'three'}\n", r"epochs='three': Input should be a valid number"),
        ("description: x\noptions: {epochs: '3'}\n", r"epochs='3': Input should be a valid number"),
        ("description: x\noptions: {select: oracle, dev: en}\n", r"select oracle needs dev all"),
        ("options: {epochs: 3}\n", r"description: Field required"),
        ("description: x\nepochs: 3\n", r"epochs: Extra inputs are not permitted"),
        ("description: x\noptions: {epochs: 3, epochs: 4}\n", r"the key epochs stands there twice"),
        ("- 3\n", r"expected the keys description and options"),
        ("description: [", r"no YAML"),
    ],
)
def test_a_bad_file_is_one_error_that_names_the_key(text, said, tmp_path):
    path = _written(tmp_path, text)
    with pytest.raises(RecipeError, match=said) as caught:
        parse_options({"recipe": path})
    assert "mine.yaml" in str(caught.value)


def test_a_file_of_ones_own_has_no_name_of_ours(tmp_path):
    with pytest.raises(RecipeError, match=r"paper is a recipe that comes with xglue-harness: rename the file"):
        parse_options({"recipe": _written(tmp_path, "description: x\n", "paper.yaml")})
    same = _written(tmp_path, (recipes_folder() / "paper.yaml").read_text(encoding="utf-8"), "paper.yaml")
    assert parse_options({"recipe": same}).recipe.name == "paper"
