"""Small checkpoints of the families, each made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import families


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``checkpoint("mbart50")`` is the folder of one."""
    return families.Checkpoints(tmp_path_factory.mktemp("families"))
