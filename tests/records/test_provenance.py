"""The revision is the harness's own, or none."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from xglue_harness.records.provenance import PACKAGES, code_sha256, environment, git_revision

ROOT = Path(__file__).resolve().parents[2]

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _no_hook(monkeypatch):
    """The tests may be run by a git hook; the repositories made here must not be mistaken for the hook's."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def installed(monkeypatch, tmp_path_factory):
    """A release is installed, whatever the tests run from; after ``installed(commit)`` that commit is."""
    site = tmp_path_factory.mktemp("site")
    info = site / "xglue_harness-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: xglue-harness\nVersion: 9\n")
    monkeypatch.syspath_prepend(site)

    def from_repository(commit):
        origin = {"url": "https://example.org/harness", "vcs_info": {"vcs": "git", "commit_id": commit}}
        (info / "direct_url.json").write_text(json.dumps(origin))

    return from_repository


def _git(folder, *arguments):
    own = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false", "-c", "core.hooksPath="]
    done = subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A package in a repository, all committed."""
    folder = tmp_path / "checkout" / "harness"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "train.py"):
        (folder / name).write_text("x = 1\n")
    (folder.parent / "README.md").write_text("read me\n")
    _git(folder, "init", "-q", "..")
    _git(folder.parent, "add", ".")
    _git(folder.parent, "commit", "-q", "-m", "all")
    return folder


@needs_git
def test_the_revision_of_a_clean_checkout_is_its_commit(package):
    commit = _git(package, "rev-parse", "HEAD")
    assert git_revision(package) == commit
    assert re.fullmatch("[0-9a-f]{40}", commit)


@needs_git
@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_of_the_package_makes_it_dirty(package, staged):
    (package / "train.py").write_text("x = 2\n")
    if staged:
        _git(package, "add", "train.py")
    assert git_revision(package) == _git(package, "rev-parse", "HEAD") + "-dirty"


@needs_git
def test_a_deleted_file_makes_it_dirty(package):
    (package / "train.py").unlink()
    assert git_revision(package).endswith("-dirty")


@needs_git
def test_changes_beside_the_package_and_files_that_git_does_not_know_do_not(package):
    (package.parent / "README.md").write_text("changed\n")
    (package / "notes.txt").write_text("new\n")
    assert git_revision(package) == _git(package, "rev-parse", "HEAD")


@needs_git
@pytest.mark.parametrize("ignored", [False, True])
def test_a_virtual_environment_inside_somebodys_repository_has_not_its_revision(package, ignored, installed):
    if ignored:
        (package.parent / ".gitignore").write_text(".venv\n")
    site = package.parent / ".venv" / "site-packages" / "harness"
    shutil.copytree(package, site)
    assert git_revision(site) is None
    installed("c" * 40)
    git_revision.cache_clear()
    assert git_revision(site) == "c" * 40


@needs_git
def test_a_repository_without_a_commit_has_no_revision(tmp_path):
    (tmp_path / "__init__.py").touch()
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    assert git_revision(tmp_path) is None


@needs_git
def test_inside_a_hook_of_another_repository_it_is_still_the_packages(package, tmp_path, monkeypatch):
    commit = _git(package, "rev-parse", "HEAD")
    other = tmp_path / "other"
    _git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert git_revision(package) == commit


def test_outside_a_repository_it_is_the_commit_that_pip_installed(tmp_path, installed):
    assert git_revision(tmp_path) is None
    installed("d" * 40)
    git_revision.cache_clear()
    assert git_revision(tmp_path) == "d" * 40


def test_without_git_nothing_breaks(tmp_path, monkeypatch, installed):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tmp_path) is None
    installed("f" * 40)
    git_revision.cache_clear()
    assert git_revision(tmp_path) == "f" * 40


def test_the_environment_holds_every_package_and_the_code():
    made = environment(torch.device("cpu"))
    assert made.code_sha256 == code_sha256()
    assert set(made.versions) == {"python", *PACKAGES}
    assert {"peft", "sentencepiece", "safetensors"} < set(made.versions)
    assert made.hardware["device"] == "cpu"
    assert made.hardware["torch_threads"] == torch.get_num_threads(), "they decide the last digits of scores"
    assert made.git_revision is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", made.git_revision)


def test_the_hash_of_the_code_follows_what_decides_a_score(tmp_path):
    copy = tmp_path / "package"
    shutil.copytree(ROOT / "xglue_harness", copy, ignore=shutil.ignore_patterns("sample", "__pycache__"))
    assert code_sha256(copy) == code_sha256()
    files = {
        "cli/app.py": False,
        "training/train_step.py": True,
        "encoders/subwords.py": True,
        "prediction/predict.py": True,
        "store/trainings.py": True,
        "scoring.py": True,
        "kinds/tagging.py": True,
        "data/official.py": True,
    }
    for file, changes in files.items():
        code_sha256.cache_clear()
        before = code_sha256(copy)
        (copy / file).write_text((copy / file).read_text() + "# changed")
        code_sha256.cache_clear()
        assert (code_sha256(copy) != before) is changes
