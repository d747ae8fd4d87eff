"""A tiny encoder, and lm-eval over the sample without the scan of its own thousands of tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

import xglue_harness.hook  # noqa: F401  (registers with lm_eval, however the package was installed)
from tests.helpers.language_models import build_decoder
from tests.helpers.runs import QUICK
from xglue_harness.harness.demo import build_encoder


@pytest.fixture(scope="session", autouse=True)
def _no_list_of_packages(no_list_of_packages) -> None:
    """For all tests here."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's encoder."""
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder)
    return folder


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random language model."""
    folder = tmp_path_factory.mktemp("decoder")
    build_decoder(folder)
    return folder


@pytest.fixture
def own_store(tmp_path, monkeypatch) -> Path:
    """A store of the test's own, empty: nothing is taken from an earlier test."""
    folder = tmp_path / "store"
    monkeypatch.setenv("XGLUE_STORE", str(folder))
    return folder


@pytest.fixture(scope="session")
def evaluate(tiny):
    """``evaluate(tasks, metadata, **arguments of simple_evaluate)``."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

    def run(tasks, metadata=None, *, model="hf-encoder", **arguments):
        metadata = {**QUICK, **(metadata or {})}
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata)
        if isinstance(model, str):
            arguments = {"model_args": {"pretrained": str(tiny)}, **arguments}
        arguments = {"log_samples": False, "torch_random_seed": 1234, **arguments}
        return simple_evaluate(model=model, tasks=tasks, task_manager=manager, **arguments)

    return run
