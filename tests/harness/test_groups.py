"""The benchmark's number is the mean of the eight tasks' numbers, not of the 59 leaves."""

from __future__ import annotations

import math

import pytest
from lm_eval.api.group import Group
from lm_eval.tasks import TaskManager

import xglue_harness.hook  # noqa: F401
from xglue_harness.benchmark import TASKS
from xglue_harness.harness.groups import means
from xglue_harness.resources import tasks_folder


@pytest.fixture(scope="module")
def loaded():
    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata={"data": "sample"})
    return manager.load(["xglue_zs"])


def _metrics(loaded, score):
    return {
        leaf: {"score,none": score(leaf), "score_stderr,none": 0.01, "official,none": score(leaf) / 2, "sample_len": 60}
        for leaf in loaded["tasks"]
    }


def test_the_mean_is_over_tasks(loaded):
    assert len(loaded["tasks"]) == 59
    assert len(loaded["groups"]) == 9
    metrics = _metrics(loaded, lambda leaf: 1.0 if leaf.startswith("xglue_pos") else 0.0)
    for name in (spec.group for spec in TASKS.values()):
        metrics[name] = loaded["groups"][name].aggregate(metrics)
    whole = loaded["groups"]["xglue_zs"].aggregate(metrics)
    assert whole["score,none"] == pytest.approx(1 / 8)
    assert whole["official,none"] == pytest.approx(1 / 16)
    assert whole["official_stderr,none"] == "N/A"
    errors = [0.01 / math.sqrt(len(spec.languages)) for spec in TASKS.values()]
    assert whole["score_stderr,none"] == pytest.approx(math.sqrt(sum(error**2 for error in errors)) / 8)


def test_groups_say_sample(loaded):
    metrics = _metrics(loaded, lambda _: 0.5)
    assert loaded["groups"]["xglue_nc_zs"].aggregate(metrics)["alias"] == "xglue_nc_zs [SAMPLE] [finetune]"


def test_groups_say_that_one_of_their_languages_collapsed(loaded):
    metrics = _metrics(loaded, lambda _: 0.5)
    group = loaded["groups"]["xglue_nc_zs"]
    [french] = [task for task in group.get_all_tasks() if task.language == "fr"]
    french.run = {"flags": {"collapsed": True}}
    try:
        assert group.aggregate(metrics)["alias"] == "xglue_nc_zs [SAMPLE] [COLLAPSED] [finetune]"
    finally:
        french.run = {}
    assert group.aggregate(metrics)["alias"] == "xglue_nc_zs [SAMPLE] [finetune]"


def test_groups_say_that_data_are_not_xglues(loaded):
    metrics = _metrics(loaded, lambda _: 0.5)
    group = loaded["groups"]["xglue_nc_zs"]
    [french] = [task for task in group.get_all_tasks() if task.language == "fr"]
    french.run = {"data": {"unofficial": ["NC/xglue.nc.en.train: 9 rows"]}, "flags": {"collapsed": False}}
    try:
        assert group.aggregate(metrics)["alias"] == "xglue_nc_zs [SAMPLE] [UNOFFICIAL] [finetune]"
    finally:
        french.run = {}


def test_a_missing_stderr_stays_missing():
    children = [{"score,none": 0.5, "score_stderr,none": "N/A"}, {"score,none": 1.0, "score_stderr,none": 0.1}]
    assert means(children, ["score"]) == {"score,none": 0.75, "score_stderr,none": "N/A"}


def test_groups_of_others_pass_unchanged():
    group = Group(name="other", aggregate_metric_list=None)
    assert group.aggregate({}) == {"alias": "other", "name": "other"}
