"""A sweep whose jobs only take a while, and a Slurm of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sweeps.slurm.stand_in import Cluster
from tests.sweeps.stubs import Stub


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Three jobs of about a second."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    stub = Stub(folder)
    for name, value in stub.environment(steps=20).items():
        monkeypatch.setenv(name, value)
    stub.write(seeds=3)
    return stub


@pytest.fixture
def long_stub(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """One job of about six seconds: whoever stops it, it is not at its end."""
    monkeypatch.setenv("STUB_STEPS", "120")
    stub.queue.add(stub.queue.jobs()[:1])
    return stub


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Cluster]]:
    """``start(minute)``: a Slurm of its own, whose minutes take so many seconds."""
    clusters = []

    def make(minute: float = 60.0) -> Cluster:
        cluster = Cluster(tmp_path / "slurm", minute)
        cluster.folder.mkdir()
        for name, value in cluster.environment().items():
            monkeypatch.setenv(name, value)
        clusters.append(cluster)
        return cluster

    yield make
    for cluster in clusters:
        cluster.kill_all()
