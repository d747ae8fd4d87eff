"""Workers as Ray's actors: what is killed costs no job, and whoever is gone leaves nobody at work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.stubs import Stub
from xglue_harness.errors import SweepError
from xglue_harness.sweeps.attempts import content
from xglue_harness.sweeps.engines.local import run_here
from xglue_harness.sweeps.jobs import Needs
from xglue_harness.sweeps.worker import Stop

pytestmark = pytest.mark.processes

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'xglue-harness[cluster]'")

NODE = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture
def two_nodes(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes, each with a core and what Ray takes for a GPU; they can be killed one by one."""
    monkeypatch.setenv("STUB_STEPS", "60")
    stub.queue.add([replace(job, needs=Needs(gpus=0.5)) for job in stub.queue.jobs()])
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


def _descendants(process: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
        except OSError:
            continue
    found = [process]
    for one in found:
        found.extend(parents.get(one, []))
    return found


def _kill_second_node(cluster: Any) -> None:
    """By SIGKILL: its raylet and all that this has started."""
    (node,) = cluster.worker_nodes
    for raylet in node.all_processes["raylet"]:
        for process in _descendants(raylet.process.pid):
            os.kill(process, signal.SIGKILL)


def _refusal(stub: Stub, address: str) -> str:
    from xglue_harness.sweeps.engines.ray import run

    with pytest.raises(SweepError) as error:
        run(stub.queue, Stop(), address=address)
    return str(error.value)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is not asked: it tries for over a minute, and ends the process then."""
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was asked"))


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "auto"])
def test_an_address_where_nothing_answers_is_named(form: str, stub: Stub, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as bound:  # nobody else gets the port, and nobody listens there
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        said = _refusal(stub, form.format(port))
    address = f"127.0.0.1:{port}" if form == "auto" else form.format(port)
    assert said.startswith(f"no Ray at {address}: nothing answers there")
    assert f"may reach port {port}; --address is auto" in said


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("address", ["nonsense", "ray://head", "head:port", "ray://:10001", "head:99999", "[::1:6379"])
def test_what_is_no_address_is_named(address: str, stub: Stub):
    assert _refusal(stub, address).startswith(
        f"no Ray at {address}: that is no address of a cluster: --address is auto"
    )


def test_a_stop_gives_jobs_back_and_a_lost_node_costs_none(two_nodes: Any, stub: Stub):
    from xglue_harness.sweeps.engines.ray import run

    def beside(act: Callable[[], None]) -> None:
        """Run workers, and meanwhile do something, once they are at work."""

        def wait_and_act() -> None:
            stub.wait_for("running", 2, 120)
            stub.wait_for_checkpoint()
            act()

        thread = threading.Thread(target=wait_and_act)
        thread.start()
        run(stub.queue, stop, address=two_nodes.address)
        thread.join()

    stop = Stop()
    beside(lambda: os.kill(os.getpid(), signal.SIGTERM))
    states = stub.queue.states().values()
    assert {state.status for state in states} <= {"waiting", "done"}
    assert len([state for state in states if state.attempt and state.status == "waiting"]) >= 1
    assert sum(state.failures for state in states) == 0

    stop = Stop()
    beside(lambda: _kill_second_node(two_nodes))
    stub.check()
    assert any(not line.endswith(" from 0") for line in stub.finished())
    assert sum(state.failures for state in stub.queue.states().values()) == 1  # the claim that was lost with the node
    assert {json.loads(text)["gpus"] for text in stub.results().values()} == {"0"}
    assert not ray.is_initialized()


def _holders(stub: Stub) -> set[int]:
    """Processes that have claimed what is not done."""
    claims = stub.queue.folder / "claims"
    held = [content(path) for path in claims.glob("*.?") if not [*claims.glob(f"{path.name}.*")]]
    return {owner["pid"] for owner in held if owner}


def _at_work(stub: Stub) -> list[str]:
    """Workers of a sweep and the processes beside them; Ray's own agents take a minute to see that it is gone."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"STUB_FOLDER={stub.folder}".encode() in environment.read_bytes().split(b"\0"):
                found.append(environment.with_name("cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [program for program in found if "RayWorker" in program or "sweeps.runner" in program]


def _wait_until(what: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_killed_workers_start_again_and_a_killed_driver_leaves_nobody_behind(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = "from xglue_harness.cli import main; main()"
    command = [sys.executable, "-c", code, "sweep", "run", str(stub.file), "--engine", "ray", "--workers", "2"]
    monkeypatch.setenv("STUB_STEPS", "60")
    with (tmp_path / "log").open("ab") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log)
        stub.wait_for("running", 2, 120)
        killed = _holders(stub)
        for process in killed:
            os.kill(process, signal.SIGKILL)
        _wait_until(lambda: len(_holders(stub) - killed) == 2)
        stub.wait_for_checkpoint()
        _wait_until(lambda: len(_at_work(stub)) >= 4)
        driver.kill()
        driver.wait()
        _wait_until(lambda: not _at_work(stub))
    assert len(stub.finished()) < 3
    assert run_here(stub.queue).ending == "finished"
    stub.check()


def test_a_sweep_runs_through_rays_client(stub: Stub):
    """`ray://` needs grpcio on both sides, which `ray` alone does not bring."""
    pytest.importorskip("grpc", reason="Ray's client is not installed: pip install 'xglue-harness[cluster]'")
    from ray.cluster_utils import Cluster

    from xglue_harness.sweeps.engines.ray import run

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    head = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**head, "ray_client_server_port": port})

    def answers() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        _wait_until(answers)
        run(stub.queue, Stop(), address=f"ray://127.0.0.1:{port}", workers=2)
    finally:
        cluster.shutdown()
    stub.check()
    assert not ray.is_initialized()
