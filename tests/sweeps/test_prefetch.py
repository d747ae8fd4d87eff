"""What is fetched beforehand is all that a run reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.evaluation import evaluate
from tests.helpers.runs import QUICK
from xglue_harness.cli import main
from xglue_harness.errors import DataError
from xglue_harness.harness.demo import build_encoder
from xglue_harness.store.token_cache import checked_tensors
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.prefetch import Prefetched, prefetch


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder, width=8, layers=1)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def job(pretrained: object, task: str = "ner", name: str = "tiny", seed: int = 1, **options: Any) -> Job:
    languages = ("de", "en")
    return Job(name, task, languages, seed, "hf-encoder", {"pretrained": str(pretrained)}, {**QUICK, **options})


def _files(cache: Path) -> dict[Path, int]:
    """Parsed data and tokens, and when they were written."""
    return {path: path.stat().st_mtime_ns for part in ("arrow", "tokens") for path in (cache / part).iterdir()}


def test_a_run_reads_nothing_else(encoder: Path, cache: Path, tmp_path: Path, monkeypatch, no_list_of_packages):
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "store"))
    jobs = [job(encoder, task, dev="en", precision="fp32") for task in ("ner", "wpr")]
    assert prefetch(jobs) == [Prefetched("tiny", None, ("ner", "wpr"))]
    before = _files(cache)
    leaves = [f"xglue_{task}_zs_{language}" for task in ("ner", "wpr") for language in ("de", "en")]
    evaluate(encoder, leaves, {"dev": "en"}, model="hf-encoder")
    after = _files(cache)
    assert before.items() <= after.items()
    new = after.keys() - before.keys()
    assert {path.parent.name for path in new} <= {"tokens"}
    assert all(len(checked_tensors(path)["starts"]) < 20 for path in new)  # the two documents that are tried first


def test_what_is_there_is_only_checked(encoder: Path, cache: Path):
    prefetch([job(encoder)])
    before = _files(cache)
    assert prefetch([job(encoder)]) == [Prefetched("tiny", None, ("ner",))]
    assert _files(cache) == before


def test_jobs_that_differ_in_their_seed_are_one(encoder: Path, cache: Path, capsys):
    prefetch([job(encoder, seed=seed) for seed in range(5)], progress=True)
    assert "2/2" in capsys.readouterr().err  # the data, and the backbone's tokens


def test_a_model_that_is_not_there_does_not_stop_the_others(encoder: Path, cache: Path, tmp_path: Path):
    found = prefetch([job(tmp_path / "gone", name="gone"), job(encoder, name="tiny")])
    assert [(one.backbone, one.tasks) for one in found] == [("gone", ()), ("tiny", ("ner",))]
    assert "can't be loaded" in (found[0].error or "")
    assert found[1].error is None


def test_the_reference_of_diagnostics_is_a_model_too(encoder: Path, cache: Path, tmp_path: Path):
    (found,) = prefetch([job(encoder, diagnostics=["spectra"], reference=str(tmp_path / "gone"))])
    assert found.tasks == ()
    assert str(tmp_path / "gone") in (found.error or "")


def test_a_precision_that_only_the_compute_node_has_is_no_error(encoder: Path, cache: Path):
    assert prefetch([job(encoder, precision="fp16")]) == [Prefetched("tiny", None, ("ner",))]


def test_data_that_are_not_there_are_an_error_at_once(encoder: Path, cache: Path, tmp_path: Path):
    with pytest.raises(DataError, match="no such file or folder"):
        prefetch([job(encoder, data=str(tmp_path / "gone"))])


def test_the_command_names_what_is_ready_and_what_is_not(encoder: Path, cache: Path, tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "sweep.yaml").write_text(
        f"output: out\nbackbones: {{good: {{pretrained: {encoder}}}, bad: {{pretrained: ./empty}}}}\n"
        "tasks: [xglue_ner_zs_de]\nseeds: [1]\ndata: sample\nrecipe: {dev: none}\n"
    )
    with pytest.raises(SystemExit) as raised:
        main(["sweep", "prefetch", str(tmp_path / "sweep.yaml")])
    said = capsys.readouterr().out
    assert raised.value.code == 1
    assert "good: ready for ner" in said
    assert f"bad: the configuration of {tmp_path / 'empty'} can't be loaded" in said
