"""What is left behind where a step can't be recorded. torch's calls are stood in for: there is no GPU here."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from xglue_harness.training import step_graphs
from xglue_harness.training.step_graphs import NotRecordableError, StepGraphs

SPOILT = "CUDA error: operation failed due to a previous error during capture"


class _Stream:
    def wait_stream(self, other: object) -> None:
        self.waited_for = other


class _Generator:
    state = "in a recording"

    def clone_state(self) -> str:
        return "as before"

    def graphsafe_set_state(self, state: str) -> None:
        self.state = state


class _Step:
    """A step whose recording fails by ``error``, where one is given."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.cleared = error, 0

    def warm_up(self, length: int) -> None:
        pass

    def run(self, length: int) -> None:
        if self.error is not None:
            raise self.error

    def clear(self) -> None:
        self.cleared += 1


class _Cuda:
    """torch.cuda, as far as a recording needs it: as torch 2.11's, an end that fails keeps the recording's stream."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, end_fails: bool) -> None:
        self.generator, self.pools, self.end_fails = _Generator(), list[tuple[object, ...]](), end_fails
        self.current = self.before = _Stream()
        for name, stand_in in {
            "Stream": lambda _: _Stream(),
            "CUDAGraph": lambda: SimpleNamespace(replay=lambda: None),
            "graph_pool_handle": lambda: (0, 1),
            "current_stream": lambda _: self.current,
            "set_stream": self._set,
            "stream": self._within,
            "graph": self._graph,
            "default_generators": (self.generator,),
            "get_sync_debug_mode": lambda: 0,
            "set_sync_debug_mode": lambda _: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
            monkeypatch.setattr(torch._C, name, lambda *a, name=name: self.pools.append((name, *a)), raising=False)
        monkeypatch.setattr(step_graphs, "undisturbed", lambda _: self._within(self.current))

    def _set(self, stream: _Stream) -> None:
        self.current = stream

    @contextmanager
    def _within(self, stream: _Stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextmanager
    def _graph(self, graph: object, *, pool: object, stream: _Stream, capture_error_mode: str):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            if self.end_fails:
                raise RuntimeError(SPOILT)
            self.current = before


def _run(monkeypatch: pytest.MonkeyPatch, error: Exception | None, *, end_fails: bool):
    cuda, step = _Cuda(monkeypatch, end_fails=end_fails), _Step(error)
    graphs = StepGraphs(step, torch.device("cuda", 0), asks_nothing=True)  # type: ignore[arg-type]
    return cuda, step, graphs


def test_a_recording_that_is_spoilt_says_by_what_and_leaves_torch_able_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait = RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
    cuda, step, graphs = _run(monkeypatch, wait, end_fails=True)
    with pytest.raises(NotRecordableError, match=r"operation not permitted when stream is capturing$"):
        graphs.run(8)
    assert cuda.current is cuda.before
    assert cuda.generator.state == "as before"
    assert cuda.pools == [("_cuda_endAllocateToPool", 0, (0, 1)), ("_cuda_releasePool", 0, (0, 1))]
    assert step.cleared


def test_a_lack_of_memory_is_one_though_the_recording_can_not_be_ended_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, _, graphs = _run(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"), end_fails=True)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.run(8)
    assert cuda.current is cuda.before


def test_a_recording_that_only_its_end_refuses_is_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, graphs = _run(monkeypatch, None, end_fails=True)
    with pytest.raises(NotRecordableError, match="previous error during capture"):
        graphs.run(8)


def test_a_lack_of_memory_of_another_allocator_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, graphs = _run(monkeypatch, RuntimeError("CUDA error: out of memory"), end_fails=True)
    with pytest.raises(RuntimeError, match=r"^CUDA error: out of memory$"):
        graphs.run(8)


@pytest.mark.parametrize("error", [None, torch.OutOfMemoryError("CUDA out of memory")])
def test_a_recording_that_ends_needs_no_mending(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, _, graphs = _run(monkeypatch, error, end_fails=False)
    if error is None:
        graphs.run(8)
    else:
        with pytest.raises(torch.OutOfMemoryError):
            graphs.run(8)
    assert cuda.generator.state == "in a recording"
    assert cuda.pools == []
