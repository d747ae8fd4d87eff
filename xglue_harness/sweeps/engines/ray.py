"""Workers as actors of Ray: one for each GPU, a share of one, or a part of the cores; on one machine or on a cluster.

Nothing else imports Ray. An actor runs `work` in its own process; when its node goes, Ray starts it again where there
is room, and it takes what the queue has left. The actors belong to this process: when it ends, in whatever way, Ray
ends them, so that nobody trains unseen. What was claimed goes on from its checkpoint when the sweep is run again.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from tqdm import tqdm

from xglue_harness.errors import SweepError
from xglue_harness.sweeps.begin import open_queue
from xglue_harness.sweeps.engines.environment import captured
from xglue_harness.sweeps.engines.shares import Machine, Shares, share
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.status import standing
from xglue_harness.sweeps.worker import GRACE, Stop, work
from xglue_harness.threads import COUNTS, limits

OBJECT_STORE_BYTES = 80 * 2**20
"""Of Ray on this machine: the least there is, since nothing travels through it. By default it is a third of memory."""

POLL_SECONDS = 1.0

CONNECT_SECONDS = 10.0
"""That a cluster's address gets to answer. Ray itself tries for over a minute, and then ends the process."""

PARTING_SECONDS = 5.0
"""That workers get to end by themselves once all is done; one that waits for room has none to wait for."""


class RayWorker:
    """A worker in an actor's process, where two threads are: one works, one can be told to stop."""

    def __init__(self) -> None:
        """Nobody has asked it to stop."""
        self._stop = Stop()

    def work(self, output: str, name: str, environment: Mapping[str, str]) -> None:
        """Take jobs until all is done; others' jobs, too, if those are lost.

        Args:
            output: of the sweep, on a file system that all nodes have.
            name: of this worker.
            environment: variables that its trainings get.
        """
        work(open_queue(Path(output)), name=name, stop=self._stop, wait=True, environment=environment)

    def stop(self, reason: str) -> None:
        """Let a training write a checkpoint, and end."""
        self._stop.reason = reason


def run(queue: Queue, stop: Stop, *, address: str | None = None, workers: int | None = None) -> None:
    """Start workers, and wait until all is done.

    Args:
        queue: of the sweep.
        stop: asks all workers to stop.
        address: of a Ray cluster, ``auto`` or ``ray://<host>:10001``; ``None``: this machine alone.
        workers: how many; by default as many as there is room for.

    Raises:
        SweepError: where there is no such cluster, or no room for a worker, or none is left and not all is done.
    """
    errors: list[str] = []
    with _connected(address), stop.heeding_signals():  # again: Ray has a handler of its own, which ends the process
        shares = share(queue.jobs(), _machines(ray.nodes()), workers)
        tqdm.write(f"Ray: {shares}")
        running = _start(queue, shares)
        with tqdm(total=len(queue.jobs()), desc="sweep", unit="job", dynamic_ncols=True) as bar:
            while running and stop.why() is None and not queue.is_finished():
                errors += _ended(running, POLL_SECONDS)
                _show(queue, bar)
            for worker in running.values() if stop.reason is not None else ():
                worker.stop.remote(stop.reason)
            errors += _ended(running, GRACE if stop.reason else PARTING_SECONDS)
            _show(queue, bar)
    if errors and stop.reason is None and not queue.is_finished():
        raise SweepError(errors[-1])


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """A cluster of this machine's own, or a connection to one that is there."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody has to be told of this
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        _check_answers(address)
    try:
        if address is None:
            cores = min(limits().values())
            ray.init("local", num_cpus=cores, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, **quiet)
        else:
            ray.init(address, namespace="xglue-harness", **quiet)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        raise SweepError(f"no Ray at {address or 'this machine'}: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Try the port of a cluster's address.

    Args:
        address: as `run` takes it; ``auto`` is the environment's ``RAY_ADDRESS``, where that is set, as for Ray.

    Raises:
        SweepError: where it is no address, or nothing answers at it.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if address == "auto":
        return  # Ray looks for a cluster on this machine, and says at once where there is none
    ways_out = (
        "--address is auto (on a node of the cluster), HOST:6379 or ray://HOST:10001; without it, Ray is started here"
    )
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise SweepError(f"no Ray at {address}: that is no address of a cluster: {ways_out}")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise SweepError(
            f"no Ray at {address}: nothing answers there ({error}): see that `ray start --head` runs on {host} and "
            f"that this machine may reach port {port}; {ways_out}"
        ) from None


def _machines(nodes: Sequence[Mapping[str, Any]]) -> list[Machine]:
    """What Ray's nodes have to give."""
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    return [
        Machine(int(node.get("CPU", 0)), int(node.get("GPU", 0)), node.get("memory", 0) / 1e9) for node in resources
    ]


def _start(queue: Queue, shares: Shares) -> dict[Any, Any]:
    """Workers by what says that they have ended."""
    given = {name: os.environ[name] for name in COUNTS if name in os.environ}
    environment = {**captured(), **(given or {"OMP_NUM_THREADS": str(shares.cpus)})}
    actor = ray.remote(RayWorker).options(
        num_cpus=shares.cpus,
        num_gpus=shares.gpus,
        memory=int(shares.memory_gb * 1e9) or None,
        max_concurrency=2,
        max_restarts=-1,
        max_task_retries=-1,
    )
    workers = [actor.remote() for _ in range(shares.workers)]
    output = str(queue.output)
    return {worker.work.remote(output, f"ray-{place}", environment): worker for place, worker in enumerate(workers, 1)}


def _ended(running: dict[Any, Any], seconds: float) -> list[str]:
    """Wait for workers that end, and let go of what they hold: one whose node was lost may wait for it.

    Returns:
        Why some have ended that should not; the others go on.
    """
    if not running:
        return []
    ended, _ = ray.wait(list(running), num_returns=len(running), timeout=seconds)
    errors = []
    for reference in ended:
        try:
            ray.get(reference)
        except ray.exceptions.RayError as error:
            errors.append(f"a worker has ended: {getattr(error, 'cause', None) or error}")
            tqdm.write(errors[-1])
        ray.kill(running.pop(reference))
    return errors


def _show(queue: Queue, bar: tqdm) -> None:
    found = standing(queue)
    bar.n = found.counts.get("done", 0)
    bar.set_postfix_str(found.line())
