"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from xglue_harness.threads import settle

settle()  # tests share their cores with each other, and often with much else
# For the same reason nothing is timed, neither an example nor its making.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _no_network_and_own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reaches for the network or for the caches of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("huggingface")))
        patch.setenv("XGLUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("XGLUE_DATA", raising=False)
        patch.delenv("XGLUE_STORE", raising=False)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real text in the official layout, beside the checkout."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
