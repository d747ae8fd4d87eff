"""Jobs: which there are, in which order, and what their keys depend on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import SweepError
from xglue_harness.sweeps.file import SweepFile
from xglue_harness.sweeps.jobs import Job, Needs, arguments, expand


def sweep(folder: Path, **changes: Any) -> SweepFile:
    """A sweep of an encoder that is there, in no file."""
    (folder / "encoder").mkdir(exist_ok=True)
    given = {
        "output": str(folder / "results"),
        "backbones": {"tiny": {"pretrained": str(folder / "encoder")}},
        "tasks": ("xglue_zs",),
        "seeds": (1, 2),
        "data": "sample",
    }
    return SweepFile.model_validate({**given, **changes})


def test_one_job_for_each_backbone_task_and_seed(tmp_path: Path):
    jobs = expand(sweep(tmp_path))
    assert sorted((job.task, job.seed) for job in jobs) == sorted((task, seed) for task in TASKS for seed in (1, 2))
    assert all(job.tasks == [TASKS[job.task].group] for job in jobs)
    assert len({job.key for job in jobs} | {str(job.folder) for job in jobs}) == 2 * len(jobs)


def test_languages_of_a_task_share_a_job(tmp_path: Path):
    jobs = expand(sweep(tmp_path, tasks=("xglue_pos_zs_th", "xglue_pos_zs_de", "ner"), seeds=(1,)))
    assert {job.task: job.tasks for job in jobs} == {
        "pos": ["xglue_pos_zs_de", "xglue_pos_zs_th"],
        "ner": ["xglue_ner_zs"],
    }


def test_the_longest_comes_first(tmp_path: Path):
    for name, size in (("small", 10), ("large", 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"0" * size)
    backbones = {name: {"pretrained": str(tmp_path / name)} for name in ("small", "large")}
    jobs = expand(sweep(tmp_path, backbones=backbones, tasks=("xnli", "ner"), seeds=(1,)))
    assert [(job.backbone, job.task) for job in jobs] == [
        ("large", "xnli"),
        ("large", "ner"),
        ("small", "xnli"),
        ("small", "ner"),
    ]


def test_minutes_of_a_backbone_stand_for_its_size(tmp_path: Path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    minutes = {"a": 5, "b": 60, "c": None}
    backbones = {
        name: {"pretrained": str(tmp_path / name), "needs": {"minutes": minutes[name]} if minutes[name] else None}
        for name in minutes
    }
    jobs = expand(sweep(tmp_path, backbones=backbones, tasks=("xnli", "ner"), seeds=(1,), needs={"gpus": 0.5}))
    order = [(job.backbone, job.task) for job in jobs if job.task == "xnli"]
    assert order == [("b", "xnli"), ("c", "xnli"), ("a", "xnli")]  # of c, as large as those, only that is known
    assert [job.task for job in jobs if job.backbone == "b"] == ["xnli", "ner"]
    assert jobs[0].needs == Needs(gpus=0.5, minutes=60)


CHANGES: list[tuple[dict[str, Any], bool]] = [
    ({"recipe": {"epochs": 3}}, True),
    ({"diagnostics": ("cka",)}, True),
    ({"select": "en_dev"}, True),
    ({"tasks": ("xglue_ner_zs_de",)}, True),
    ({"tasks": ("xglue_ner_zs", "pos")}, False),
    ({"seeds": (3, 1)}, False),
    ({"needs": {"minutes": 5}}, False),
    ({"device": "cpu"}, False),
    ({"output": "/elsewhere"}, False),
    ({"recipe": {"checkpoint_minutes": 1}}, False),
]


@pytest.mark.parametrize(("change", "another"), CHANGES)
def test_a_key_is_of_what_decides_the_result(tmp_path: Path, change: dict[str, Any], another: bool):
    def key(found: SweepFile) -> str:
        return next(job.key for job in expand(found) if (job.task, job.seed) == ("ner", 1))

    before = key(sweep(tmp_path, tasks=("ner",)))
    assert (key(sweep(tmp_path, **{"tasks": ("ner",), **change})) != before) == another


def test_a_checkpoint_that_is_saved_again_is_another(tmp_path: Path):
    found = sweep(tmp_path, tasks=("ner",), seeds=(1,))
    weights = tmp_path / "encoder" / "model.safetensors"
    weights.write_bytes(b"0")
    os.utime(weights, (1, 1))
    [before] = expand(found)
    os.utime(weights, (2, 2))
    [after] = expand(found)
    assert before.key != after.key


def test_another_tasks_data_changes_nothing(tmp_path: Path):
    one, two = (
        {job.task: job.key for job in expand(sweep(tmp_path, tasks=("ner", "pos"), seeds=(1,), data=data))}
        for data in ({"ner": "ORG/x@1"}, {"ner": "ORG/x@1", "pos": "ORG/y@1"})
    )
    assert one["ner"] == two["ner"]
    assert one["pos"] != two["pos"]


def test_the_same_backbone_twice_is_refused(tmp_path: Path):
    backbones = {name: {"pretrained": str(tmp_path / "encoder")} for name in ("a", "b")}
    with pytest.raises(SweepError, match=r"backbones\.b: is the same as a"):
        expand(sweep(tmp_path, backbones=backbones))


def test_jobs_survive_json(tmp_path: Path):
    jobs = expand(sweep(tmp_path, diagnostics=("cka",), needs={"gpus": 1}))
    again = [Job.from_json(json.loads(json.dumps(job.as_json()))) for job in jobs]
    assert [job.key for job in again] == [job.key for job in jobs]
    assert again[0].needs == jobs[0].needs


def test_arguments_are_those_of_lm_eval(tmp_path: Path):
    [job] = expand(sweep(tmp_path, tasks=("xglue_ner_zs_de",), seeds=(7,), recipe={"epochs": 3}, device="cpu"))
    given = dict(zip(*[iter(arguments(job, tmp_path / "out"))] * 2, strict=True))
    assert json.loads(given.pop("--model_args")) == {"pretrained": str(tmp_path / "encoder")}
    assert json.loads(given.pop("--metadata")) == {"data": "sample", "epochs": 3}
    assert given == {
        "--model": "hf-encoder",
        "--tasks": "xglue_ner_zs_de",
        "--seed": "7",
        "--output_path": str(tmp_path / "out"),
        "--device": "cpu",
    }


def test_a_recipe_by_name_counts_for_the_weight_and_its_file_for_the_key(tmp_path: Path):
    def job(**recipe: Any) -> Job:
        return expand(sweep(tmp_path, tasks=("pos",), seeds=(1,), recipe=recipe))[0]

    assert job(recipe="xglue").weight == job(epochs=20, max_length=128).weight != job().weight
    path = tmp_path / "mine.yaml"
    path.write_text("description: mine\noptions: {epochs: 4}\n")
    before = job(recipe=str(path))
    assert before.weight == job(epochs=4).weight
    path.write_text("description: mine, and longer\noptions: {epochs: 5}\n")
    assert job(recipe=str(path)).key != before.key
