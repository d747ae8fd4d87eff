"""Every file under ``leaderboard/`` has its place; what is strange is one problem of its own, and no crash."""

from __future__ import annotations

import os
import shutil
import socket

import pytest
from typer.testing import CliRunner

from benchmarks.contribution_mutations import deepen
from tests.leaderboard.conftest import EXAMPLE, PUBLISHED
from tests.leaderboard.spoiled import described, edited
from xglue_harness.cli.leaderboard import app
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.tree import read_tree
from xglue_harness.leaderboard.validation.validate import validate

RESULT = "results/tiny-lm/toy/1/pawsx.json"


@pytest.fixture
def small(tmp_path):
    """A tree with every kind of file and one result."""
    folder = tmp_path / "leaderboard"
    shutil.copytree(EXAMPLE / "backbones", folder / "backbones")
    shutil.copytree(PUBLISHED.parent / "reference", folder / "reference")
    shutil.copyfile(PUBLISHED.parent / "README.md", folder / "README.md")
    (folder / "results").mkdir()
    (folder / "results" / ".gitkeep").touch()
    for path in EXAMPLE.glob(RESULT.replace(".json", ".*")):
        place = folder / path.relative_to(EXAMPLE)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return folder


def shallow(folder):
    """Take deep folders away, which shutil.rmtree can't in every Python."""
    for top in [path for path in (folder / "d", folder / "results/tiny-lm/toy/1/d") if path.exists()]:
        while (top / "d").exists():
            (top / "d").rename(folder / "below")
            top.rmdir()
            (folder / "below").rename(top)
        top.rmdir()


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def write(name, data=b"x"):
    def spoil(tree):
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(data)

    return spoil


def appended(path, data):
    path.write_bytes(path.read_bytes() + data)


SPOILT = [
    (write("evil.sh"), r"evil\.sh: belongs nowhere"),
    (write(".gitattributes"), r"\.gitattributes: belongs nowhere"),
    (write("backbones/.gitattributes"), r"\.gitattributes: lies in the wrong place"),
    (write("other/x.yaml"), r"x\.yaml: belongs nowhere"),
    (write("readme.md"), r"readme\.md: belongs nowhere"),
    (write("README.md", b"x" * 100_000), r"README\.md: 100,000 bytes; at most 20,000"),
    (write("results/.gitkeep", b"x" * 5_000_000), r"\.gitkeep: 5,000,000 bytes; at most 0 are allowed"),
    (write("results/tiny-lm/.gitkeep", b""), r"\.gitkeep: belongs to no result"),
    (write("reference/more2025.json", b"{}"), r"more2025\.json: belongs nowhere"),
    (write("reference/ji2024.json", b"{}"), r"ji2024\.json: source: Field required"),
    (write("reference/ji2024.json", b"[]"), r"ji2024\.json: file: Input should be a valid dictionary"),
    (lambda tree: (tree / "reference/xglue2020.json").unlink(), r"xglue2020\.json: is missing; the pages need it"),
    (write("results/tiny-lm/toy/1/a\r# hello\r.json"), r"a\\r# hello\\r\.json: is no name for a file here"),
    (write("backbones/a\nb.yaml"), r"a\\nb\.yaml: is no name"),
    (write("backbones/\u202ea.yaml"), r"\\u202ea\.yaml: is no name"),
    (write("backbones/con.yaml"), r"con\.yaml: file: Input should be a valid dictionary"),
    (write("results/nul/x.json"), r"x\.json: belongs to no result"),
    (deepen, r"d/d/d/d/d: a folder too deep"),
    (lambda tree: deepen(tree / "results/tiny-lm/toy/1"), r"toy/1/d: a folder too deep"),
    (lambda tree: os.mkfifo(tree / "backbones/x.yaml"), r"x\.yaml: is a pipe or a device"),
    (lambda tree: os.mkfifo(tree / "backbones/.gitkeep"), r"\.gitkeep: is a pipe or a device"),
    (lambda tree: listening(tree / "backbones/x.yaml"), r"x\.yaml: is a pipe or a device"),
    (lambda tree: (tree / "backbones/.gitkeep").symlink_to("/dev/zero"), r"\.gitkeep: is a link"),
    (lambda tree: (tree / "more").symlink_to("/"), r"more: is a link"),
    (
        lambda tree: edited(tree, lambda value: value.update(languages={})),
        r"languages: Dictionary should have at least",
    ),
    (lambda tree: edited(tree, lambda value: value.update(languages=[])), r"no result of the leaderboard"),
    (lambda tree: edited(tree, lambda value: value["languages"].update(xx=1)), r"languages: no 'xx' in XGLUE"),
    (
        lambda tree: edited(tree, lambda value: value.update(changes=[{"reason": "x", "previous": {}}])),
        r"changes\.0\.previous: Dictionary should have at least 1 item",
    ),
    (
        lambda tree: edited(tree, lambda value: value.update(changes=[{"reason": "x", "previous": {"sw": 0.5}}])),
        r"changes\.0\.previous: sw: PAWS-X has no such language",
    ),
    (lambda tree: edited(tree, lambda value: value.update(seed=True)), r"seed: Input should be a valid integer"),
    (lambda tree: edited(tree, lambda value: value.update(seed="1")), r"seed: Input should be a valid integer"),
    (lambda tree: edited(tree, lambda value: value.update(recipe="aux")), r"'aux' is a device in Windows"),
    (
        lambda tree: edited(tree, lambda value: value["record"]["recipe"].update(x=10**18)),
        r"record\.recipe\.x: is beyond",
    ),
    (lambda tree: described(tree, layers=True), r"layers: Input should be a valid integer"),
    (lambda tree: described(tree, layers=10**17), r"layers: is beyond"),
    (lambda tree: described(tree, layers="1:30"), r"layers: Input should be a valid integer"),
    (lambda tree: described(tree, title="Tiny-NEW"), r"title: duplicate: tiny-\w+\.yaml has it, too"),
    (write("README.md", "a\u202eb".encode()), r"README\.md: line 1 holds the control character '\\u202e'"),
    (write("README.md", b"\xff"), r"README\.md: 'utf-8' codec can't decode"),
    (
        lambda tree: appended(tree / "backbones/tiny-lm.yaml", b"# \xe2\x80\x8b\n"),
        r"tiny-lm\.yaml: .*line \d+ holds the control character '\\u200b'",
    ),
    (
        lambda tree: edited(tree, lambda value: value["record"]["training"].update(epochs=[{}] * 2000)),
        r"languages\.de\.record: [24],000 values are against the schema",
    ),
    (lambda tree: described(tree, title="TINY\uff0dmt"), r"title: duplicate: tiny-\w+\.yaml has it, too"),
]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="files here are all regular")
@pytest.mark.parametrize(("spoil", "reason"), SPOILT, ids=range(len(SPOILT)))
def test_what_does_not_belong_is_one_problem(small, spoil, reason, monkeypatch):
    monkeypatch.chdir(small)  # a socket's address is short
    described(small, "tiny-mt", title="tiny-mt")
    spoil(small)
    try:
        with pytest.raises(LeaderboardError, match=reason) as refused:
            validate(small, example=True)
    finally:
        shallow(small)
    message = str(refused.value)
    assert "malformed" not in message
    assert all(line.isprintable() for line in message.split("\n"))


def test_a_tree_with_every_kind_of_file_is_taken(small):
    assert len(validate(small, example=True).results) == 1
    shutil.rmtree(small / "reference")  # an example needs none
    validate(small, example=True)


def test_no_site_is_built_into_a_tree(small):
    """The next check would find hundreds of files that belong nowhere."""
    arguments = ["build", str(small / "site"), "--tree", str(small), "--example"]
    with pytest.raises(LeaderboardError, match=r"site: lies in .*leaderboard, where nothing but contributions may"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert not (small / "site").exists()


def test_a_tree_that_is_a_link_is_none(small, tmp_path):
    (tmp_path / "link").symlink_to(small)
    with pytest.raises(LeaderboardError, match="link: is a link; give the folder itself"):
        read_tree(tmp_path / "link")


@pytest.mark.parametrize("raised", [RecursionError("deep"), ZeroDivisionError("none")])
def test_a_reader_that_fails_is_a_problem_of_the_file(small, monkeypatch, raised):
    """Whatever comes next: each file has a net."""

    def fail(*_):
        raise raised

    monkeypatch.setattr("xglue_harness.leaderboard.contributions.tree.read_backbone", fail)
    monkeypatch.setattr("xglue_harness.leaderboard.validation.validate.rescore", fail)
    tree = read_tree(small)
    assert len(tree.problems) == 4
    assert all(f".yaml: malformed: {type(raised).__name__}" in problem for problem in tree.problems)


def test_many_problems_are_counted_and_each_is_cut(small):
    for number in range(100):
        (small / f"{'x' * 60}{number}").touch()
    write("reference/ji2024.json", b'{"' + b"k" * 3000 + b'": 1}')(small)
    with pytest.raises(LeaderboardError, match=r"- and 41 more") as refused:
        validate(small, example=True)
    assert max(map(len, str(refused.value).split("\n"))) < 700
