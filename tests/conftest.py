"""Fixtures that all tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from tests.helpers.precision import keep_no_bf16_gain

# Threads of torch spin while they wait for work, and our models have next to none. Set before torch is imported, and
# for every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

ALLOWED = {"git", "uname"}
"""What is asked for the facts of a record, and takes next to no time."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """A test that starts a process, and is not marked so, fails."""
    start = subprocess.Popen.__init__

    def refuse(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        if not isinstance(args, str) and Path(args[0]).name in ALLOWED:
            return start(self, args, *rest, **options)
        pytest.fail(f"an unmarked test starts {args}: mark it pytest.mark.processes")

    def refuse_fork() -> NoReturn:
        pytest.fail("an unmarked test forks: mark it pytest.mark.processes")

    if any(item.iter_markers("processes")) or any(item.iter_markers("browser")):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        patch.setattr(os, "fork", refuse_fork)
        return (yield)


@pytest.fixture(autouse=True)
def _no_command_line_is_left() -> Iterator[None]:
    """By this module a process is known as lm_eval's command line, where errors end it with a line."""
    yield
    sys.modules.pop("lm_eval.__main__", None)


@pytest.fixture(scope="session", autouse=True)
def _no_network_and_own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reaches for the network or for the caches of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("huggingface")))
        patch.setenv("XGLUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        keep_no_bf16_gain()
        patch.delenv("XGLUE_DATA", raising=False)
        patch.delenv("XGLUE_STORE", raising=False)
        yield


@pytest.fixture(scope="session")
def no_list_of_packages() -> Iterator[None]:
    """lm_eval asks pip for all installed packages after each run, which takes longer than a run here.

    Runs in a process of their own ask as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "not asked for in tests")
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real text in the official layout, beside the checkout."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
