"""Run, export, score: the submission that is made of a run's predictions has the run's own numbers, for all tasks."""

from __future__ import annotations

import json

import pytest

from tests.helpers.language_models import build_decoder
from xglue_harness.benchmark import TASKS
from xglue_harness.harness.prediction_files import copy_predictions
from xglue_harness.submission.export import export
from xglue_harness.submission.score import score_folder


def _round_trip(results, folder):
    """Scores of the submission, by leaf: ours, its standard error, the official one."""
    folder.mkdir()
    (folder / "results_now.json").write_text(json.dumps(results, default=str), encoding="utf-8")
    copy_predictions(results, folder, "now")
    summary = export([folder], folder / "submission")
    scores = score_folder(folder / "submission", "sample")
    found = {
        TASKS[task.task].leaf(item.language): (item.score, "N/A" if item.stderr is None else item.stderr, item.official)
        for task in scores.tasks
        for item in task.languages
    }
    for task in scores.tasks:
        found[TASKS[task.task].group] = (task.mean.score, task.mean.stderr, task.mean.official)
    found["xglue_zs"] = (scores.mean.score, scores.mean.stderr, scores.mean.official)
    assert not summary.missing
    return found


def _same(results, found):
    assert found.keys() == results["results"].keys()
    for name, (ours, stderr, official) in found.items():
        metrics = results["results"][name]
        assert metrics["score,none"] == pytest.approx(ours, abs=1e-12), name
        assert metrics["official,none"] == pytest.approx(official, abs=1e-12), name
        if stderr is not None:
            assert metrics["score_stderr,none"] == pytest.approx(stderr, abs=1e-12), name


def test_of_a_fine_tuned_encoder(evaluate, tmp_path):
    results = evaluate(["xglue_zs"], {"epochs": 2, "train_limit": 96, "learning_rate": 3e-3})
    found = _round_trip(results, tmp_path / "run")
    _same(results, found)
    pos = found["xglue_pos_zs_en"]
    assert pos[0] > 0.2, "it has learnt nothing, so that equal scores would say little"
    assert pos[0] != pos[2]


def test_of_a_prompted_decoder(tmp_path):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

    build_decoder(tmp_path / "decoder")
    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata={"data": "sample"})
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(tmp_path / "decoder")},
        tasks=["xglue_zs"],
        task_manager=manager,
        gen_kwargs={"max_gen_toks": 8},  # it knows no answer, however long it talks
        batch_size=64,
        device="cpu",
        log_samples=False,
    )
    _same(results, _round_trip(results, tmp_path / "run"))
    for name, classes in (("xnli", 3), ("pawsx", 2), ("qam", 2), ("qadsm", 2), ("nc", 10)):
        group = results["results"][TASKS[name].group]
        # The test sets of parallel tasks are one in several languages: they count once.
        rows = 60 * (1 if TASKS[name].parallel else len(TASKS[name].languages))
        chance = 1 / classes
        assert abs(group["acc,none"] - chance) < 4 * (chance * (1 - chance) / rows) ** 0.5, name
    for name in ("ner", "pos"):
        assert results["results"][TASKS[name].group]["score,none"] < 0.05
        assert results["results"][TASKS[name].group]["unparsable,none"] > 0.9
