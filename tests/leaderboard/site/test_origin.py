"""Where a tree comes from: days of its commits, and the address of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from tests.leaderboard.site_helpers import read_page
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.site.build import build
from xglue_harness.leaderboard.site.origin import Origin, commit_dates, origin_of

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *arguments, day="2026-01-01"):
    own = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    when = {"GIT_AUTHOR_DATE": f"{day}T12:00:00+00:00", "GIT_COMMITTER_DATE": f"{day}T12:00:00+00:00"}
    command = ["git", *own, "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **when})


@pytest.fixture
def repository(tmp_path):
    """A tree below a repository's root, of three commits."""
    tree = tmp_path / "repository" / "leaderboard"
    for name in ("backbones/mine.yaml", "results/mine/paper/1/nc.json", "results/mine/paper/2/nc.json"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / "backbones/mine.yaml").write_text("1")
    (tree / "results/mine/paper/1/nc.json").write_text("1")
    (tmp_path / "repository/other.txt").write_text("1")
    git(tmp_path / "repository", "init")
    git(tree, "add", "-A", "..")
    git(tree, "commit", "-m", "one")
    (tree / "results/mine/paper/2/nc.json").write_text("2")
    (tree / "results/mine/paper/ä b.json").write_text("2")
    (tree / "gone.txt").write_text("2")
    git(tree, "add", "-A")
    git(tree, "commit", "-m", "two", day="2026-02-03")
    (tree / "gone.txt").unlink()
    (tmp_path / "repository/other.txt").write_text("3")
    git(tree, "add", "-A", "..")
    git(tree, "commit", "-m", "three", day="2026-03-04")
    (tree / "new.txt").write_text("not committed")
    return tmp_path / "repository"


@needs_git
def test_days_are_those_of_the_last_commit_of_each_file(repository):
    assert commit_dates(repository / "leaderboard") == {
        "backbones/mine.yaml": "2026-01-01",
        "results/mine/paper/1/nc.json": "2026-01-01",
        "results/mine/paper/2/nc.json": "2026-02-03",
        "results/mine/paper/ä b.json": "2026-02-03",
    }


@needs_git
def test_a_shallow_clone_and_a_folder_know_no_days(repository, tmp_path):
    git(tmp_path, "clone", "--depth", "1", repository.as_uri(), str(tmp_path / "shallow"))
    assert commit_dates(tmp_path / "shallow" / "leaderboard") == {}
    (tmp_path / "plain").mkdir()
    assert commit_dates(tmp_path / "plain") == {}


def test_days_of_a_backbone():
    origin = Origin(
        dates={"backbones/a.yaml": "2026-01-01", "results/a/p/1/x": "2026-01-02", "results/a/q/1/x": "2026-01-05"}
        | {"results/ab/p/1/x": "2027-01-01"}
    )
    assert origin.described("a") == "2026-01-01"
    assert origin.results("a") == ("2026-01-02", "2026-01-05")
    assert origin.results("a", "p") == ("2026-01-02", "2026-01-02")
    assert origin.results("b") is origin.described("b") is None
    assert origin.newest == "2027-01-01"
    assert Origin().newest is None


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://example.org", "https://", 'https://a"b', "https://a.org/<b>", "a/b"]
)
def test_only_an_address_of_the_web_is_linked(address, tmp_path):
    with pytest.raises(LeaderboardError, match=r"--repository .*: expected an address such as https://"):
        origin_of(tmp_path, address)


def test_pages_link_to_the_repository_and_say_the_day(validated, tmp_path, monkeypatch):
    dates = {"backbones/tiny-lm.yaml": "2026-01-01", "results/tiny-lm/toy/1/nc.json": "2026-02-03"}
    monkeypatch.setattr("xglue_harness.leaderboard.site.origin.commit_dates", lambda tree: dates)
    few = replace(validated, results=validated.results[:1])
    index = read_page(build(few, tmp_path / "site", repository="https://github.com/owner/name/"))
    links = {link.values["href"] for link in index.all("a")}
    assert "https://github.com/owner/name" in links
    assert index.all("time")[0].values["datetime"] == "2026-02-03"
    assert "results as of 2026-02-03" in index.all("section")[-1].text
    page = read_page(tmp_path / "site" / "backbone-tiny-lm.html")
    file = "https://github.com/owner/name/blob/HEAD/leaderboard/backbones/tiny-lm.yaml"
    assert next(link for link in page.all("a") if link.values["href"] == file).text == "2026-01-01"


def test_without_git_and_address_nothing_is_said_of_them(validated, tmp_path, monkeypatch):
    monkeypatch.setattr("xglue_harness.leaderboard.site.origin.commit_dates", lambda tree: {})
    monkeypatch.setattr("xglue_harness.leaderboard.site.origin._source", lambda: None)
    index = read_page(build(replace(validated, results=()), tmp_path / "site"))
    assert not index.all("time")
    assert not index.all("a", class_="repository")
    assert "newest result" not in index.text
    assert "described\n" not in read_page(tmp_path / "site" / "backbone-tiny-lm.html").text


def test_pages_link_to_the_docs_where_it_is_said_where_they_are(validated, tmp_path):
    few = replace(validated, results=())
    links = {link.values["href"] for link in read_page(build(few, tmp_path / "a", docs="docs/")).all("a")}
    assert "docs/" in links
    links = {link.values["href"] for link in read_page(build(few, tmp_path / "b")).all("a")}
    assert not [link for link in links if "docs" in link]
    for address in ("javascript:alert(1)", "//other.host/docs", "data:text/html,x"):
        with pytest.raises(LeaderboardError, match=r"--docs .*expected an address of the web, or a path beside"):
            build(few, tmp_path / "c", docs=address)
    assert not (tmp_path / "c").exists()
