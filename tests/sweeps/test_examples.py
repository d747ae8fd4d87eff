"""The sweeps that come as examples: they are read, and are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.backbones import read_backbone
from xglue_harness.published.paper import FAMILY_OF
from xglue_harness.resources import published_tree
from xglue_harness.sweeps.file import load
from xglue_harness.sweeps.jobs import expand

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "sweeps"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the examples are not beside the tests")


def test_the_papers_experiment():
    sweep = load(FOLDER / "ji2024.yaml")
    jobs = expand(sweep)
    assert len(jobs) == 7 * 8 * 5
    assert sweep.recipe == {}
    assert set(sweep.backbones) == set(FAMILY_OF)
    for name, backbone in sweep.backbones.items():
        described = read_backbone(published_tree() / "backbones" / f"{name}.yaml")
        assert (backbone.pretrained, backbone.revision) == (described.hub, described.revision)
    assert (jobs[0].backbone, jobs[0].task) == ("nllb-600m", "nc")  # the largest, and the longest texts
    assert (jobs[-1].backbone, jobs[-1].task) == ("mbert", "ner")


def test_the_example_of_the_docs(tmp_path: Path):
    text = (FOLDER.parents[1] / "docs" / "sweeps.md").read_text()
    (tmp_path / "sweep.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    (tmp_path / "checkpoint").mkdir()
    jobs = expand(load(tmp_path / "sweep.yaml"))
    assert {(job.backbone, *job.tasks) for job in jobs} == {
        (backbone, task) for backbone in ("xlmr-base", "mine") for task in ("xglue_xnli_zs", "xglue_pos_zs_de")
    }


def test_the_miniature(tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "tiny.yaml").write_text((FOLDER / "tiny.yaml").read_text())
    jobs = expand(load(tmp_path / "tiny.yaml"))
    assert {job.task for job in jobs} == set(TASKS)
    assert {job.metadata["data"] for job in jobs} == {"sample"}
