"""Options of a run: defaults of the paper, and one clear error for everything else."""

from __future__ import annotations

import pytest

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import RecipeError
from xglue_harness.recipe import Options, parse_options, resolve


def _recipe(metadata, task="xnli", **kwargs):
    chosen = {"seed": 1234, "precision": "fp32", "pooling": "first", **kwargs}
    return resolve(parse_options(metadata), TASKS[task], **chosen)


def test_defaults_are_the_papers():
    recipe = _recipe({})
    assert (recipe.learning_rate, recipe.epochs, recipe.max_length, Options().select) == (5e-6, 10, 256, "last")
    assert (recipe.optimizer, recipe.schedule) == ("adamw", "linear")
    assert _recipe({}, "pos").learning_rate == 2e-5
    assert {name for name in TASKS if TASKS[name].learning_rate == 2e-5} == {"pos"}


def test_options_override_and_the_seed_of_the_run_is_the_default():
    recipe = _recipe({"learning_rate": 1e-4, "epochs": 2.5, "train_limit": 7, "seed": 5})
    assert (recipe.learning_rate, recipe.epochs, recipe.train_limit, recipe.seed) == (1e-4, 2.5, 7, 5)
    assert _recipe({}).seed == 1234


def test_each_field_changes_the_key():
    base = _recipe({})
    changes = {
        "epochs": 3,
        "learning_rate": 1e-4,
        "batch_size": 8,
        "max_length": 64,
        "warmup_ratio": 0.2,
        "weight_decay": 0.1,
        "max_grad_norm": 2.0,
        "seed": 1,
        "train_limit": 10,
        "dropout": 0.0,
        "dev": "en",
    }
    keys = {_recipe({name: value}).key for name, value in changes.items()}
    keys |= {_recipe({}, precision="bf16").key, _recipe({}, pooling="mean").key, _recipe({}, "nc").key}
    assert len(keys) == len(changes) + 3
    assert base.key not in keys
    assert base.key == _recipe({}).key


def test_what_changes_no_weight_changes_no_key():
    assert _recipe({"select": "oracle", "checkpoint_minutes": 1, "data": "sample"}).key == _recipe({}).key


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"learning_rat": 1e-4}, r"unknown option 'learning_rat' \(did you mean 'learning_rate'\?\)"),
        ({"zzz": 1, "qqq": 2}, r"unknown option 'qqq', 'zzz'"),
        ({"epochs": -1}, r"epochs=-1: Input should be greater than 0"),
        ({"epochs": float("nan")}, r"epochs=nan"),
        ({"learning_rate": 2}, r"learning_rate=2: .*less than or equal to 1"),
        ({"batch_size": 0}, r"batch_size=0"),
        ({"batch_size": 1.5}, r"batch_size=1.5"),
        ({"max_length": 4}, r"max_length=4"),
        ({"warmup_ratio": 1}, r"warmup_ratio=1"),
        ({"weight_decay": -0.1}, r"weight_decay=-0.1"),
        ({"max_grad_norm": 0}, r"max_grad_norm=0"),
        ({"seed": -1}, r"seed=-1"),
        ({"train_limit": 0}, r"train_limit=0"),
        ({"precision": "int8"}, r"precision='int8': .*'fp32', 'tf32', 'bf16' or 'fp16'"),
        ({"pooling": "sum"}, r"pooling='sum'"),
        ({"select": "best"}, r"select='best': .*'last', 'en_dev', 'all_dev', 'oracle' or 'average'"),
        ({"select": "average_last_1"}, r"select='average_last_1': .*\^average_last_"),
        ({"select": "average_last_4", "epochs": 2.5}, r"select average_last_4 needs as many epochs; there are 2\.5"),
        ({"select": "all_dev", "dev": "en"}, r"select all_dev needs dev all"),
        ({"select": "oracle", "dev": "none"}, r"select oracle needs dev all"),
        ({"select": "en_dev", "dev": "none"}, r"select en_dev needs dev all or en"),
        ({"dropout": 1}, r"dropout=1"),
        ({"checkpoint_minutes": -1}, r"checkpoint_minutes=-1"),
        ({"protocol": "guess"}, r"protocol='guess'"),
        ({"data": 3}, r"data=3"),
    ],
)
def test_a_bad_option_names_itself_and_what_is_allowed(metadata, message):
    with pytest.raises(RecipeError, match=message) as caught:
        parse_options(metadata)
    for name in Options.model_fields:
        assert f"\n  {name}: " in str(caught.value)


def test_arguments_of_the_model_are_no_options():
    assert parse_options({"pretrained": "x", "epochs": 1}, foreign={"pretrained"}).epochs == 1
