"""The example tree, and a small part of it to spoil."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.leaderboard.site_helpers import as_the_paper
from xglue_harness.leaderboard.contributions.backbones import read_backbone
from xglue_harness.leaderboard.ranking.board import boards
from xglue_harness.leaderboard.site.build import build
from xglue_harness.leaderboard.validation.validate import validate

EXAMPLE = Path(__file__).with_name("example")
PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboard" / "backbones"


@pytest.fixture(scope="session")
def example() -> Path:
    """Results of tiny encoders on the sample (`tools.make_example`); not to be changed."""
    return EXAMPLE


@pytest.fixture(scope="session")
def validated(example):
    """The example, validated."""
    return validate(example, example=True)


@pytest.fixture(scope="session")
def board(validated):
    """The example's one board."""
    (only,) = boards(validated)
    return only


@pytest.fixture(scope="session")
def site(validated, tmp_path_factory) -> Path:
    """The example's site."""
    return build(validated, tmp_path_factory.mktemp("site") / "built").parent


@pytest.fixture(scope="session")
def paper_site(validated, tmp_path_factory) -> Path:
    """The site of the example's results under two recipes, the paper's one of them."""
    backbones = {path.stem: read_backbone(path) for path in PUBLISHED.glob("*.yaml")}
    return build(as_the_paper(validated, backbones), tmp_path_factory.mktemp("site") / "paper").parent


@pytest.fixture(scope="session")
def empty_site(validated, tmp_path_factory) -> Path:
    """The site of the example's backbones without any result."""
    return build(
        replace(validated, example=False, results=(), frozen=()), tmp_path_factory.mktemp("site") / "empty"
    ).parent


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy with all backbones and the results of PAWS-X and NER."""
    folder = tmp_path / "leaderboard"
    shutil.copytree(EXAMPLE / "backbones", folder / "backbones")
    for path in EXAMPLE.glob("results/*/*/*/*"):
        if path.name.startswith(("pawsx.", "ner.")):
            place = folder / path.relative_to(EXAMPLE)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return folder
