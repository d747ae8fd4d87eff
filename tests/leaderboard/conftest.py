"""The example tree, and a small part of it to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).with_name("example")


@pytest.fixture(scope="session")
def example() -> Path:
    """Results of tiny encoders on the sample (`tools.make_example`); not to be changed."""
    return EXAMPLE


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
