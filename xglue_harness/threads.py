"""How many threads torch may use, and how they wait for one another: chosen before torch starts.

OpenMP's threads spin for milliseconds while they wait. Where other processes use the same cores, that takes time from
the very thread that is waited for, and a training step takes many times as long. Threads that sleep at once make a step
up to half as long again on free cores; threads that spin a little first cost a tenth, and do as well on busy cores
(`python -m benchmarks.threads`). OpenMP reads its variables when torch is loaded, so this runs before that, and only in
processes of ours: our command line, or lm_eval's with a task of ours. What the user has set stays.

Imports nothing heavy: the command line starts with it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Variables by which a user says how threads wait, to GNU's OpenMP (torch's on Linux) or to LLVM's and Intel's."""

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
"""Variables by which a user, or a launcher such as torchrun, says how many threads there are."""

SPIN = {"GOMP_SPINCOUNT": "5000"}
"""How long a thread spins before it sleeps: GNU's OpenMP alone was measured, and other runtimes don't read it."""

_SPIN = " ".join(f"{name}={value}" for name, value in SPIN.items())

_settled: list[str] = []
"""What was said last, for `line`."""


def settle() -> None:
    """Choose for this process, unless torch is loaded already or the user has chosen; a second call does nothing."""
    if _settled or "torch" in sys.modules:
        return
    reasons = []
    if given := [name for name in COUNTS if name in os.environ]:
        reasons.append(f"{given[0]} is set")
    else:
        counts = limits()
        allowed, why = min((count, name) for name, count in counts.items())
        if allowed < counts["cores here"]:  # else torch finds them itself
            os.environ["OMP_NUM_THREADS"] = str(allowed)
        reasons.append(_WORDS[why])
    if given := [name for name in WAITING if name in os.environ]:
        reasons.append(f"how they wait says {given[0]}")
    else:
        os.environ |= SPIN
        reasons.append(f"waiting, they soon sleep ({_SPIN})")
    _settled.append("; ".join(reasons))


_WORDS = {
    "cores": "this process's share of the cores",
    "cores here": "the cores that this process may use",
    "cgroup": "this process's share of its cgroup's quota",
    "slurm": "this process's share of what Slurm has given",
}


def line(threads: int) -> str:
    """What was chosen and why, or what could be chosen, in one line for the log.

    Args:
        threads: those that torch has now.
    """
    count = f"{threads} thread{'s' if threads != 1 else ''}"
    if _settled:
        return f"{count} on the CPU: {_settled[-1]}"
    if threads == 1 or any(name in os.environ for name in WAITING):
        return f"{count} on the CPU"
    return (
        f"{count} on the CPU, which spin while they wait: on cores that others use, too, start Python with "
        f"{_SPIN} in its environment"
    )


def is_lm_eval() -> bool:
    """Whether this process is lm_eval's command line, not some other program that imports lm_eval."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "lm_eval.__main__" in sys.modules or getattr(spec, "name", None) == "lm_eval.__main__"


def limits(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> dict[str, int]:
    """CPUs that this process may keep busy, by what limits them; each at least 1.

    Args:
        environment: of the process; by default this one's.
        root: of the file system, another one in tests.

    Returns:
        ``cores here``, the cores of its affinity (two hyper-threads are one core); ``cores``, its share of them among
        the processes that a launcher has started beside it; and its share of ``cgroup`` (quota of CPU time, rounded
        down) and ``slurm`` where there are such.
    """
    environment = os.environ if environment is None else environment
    tasks = _first_number(environment.get("SLURM_STEP_TASKS_PER_NODE")) or 1  # started by srun on this node
    local = _first_number(environment.get("LOCAL_WORLD_SIZE")) or 1  # started by torchrun or accelerate
    beside = max(1, local // tasks)  # if srun started them all, each has its share already
    cores = _cores(root)
    counts = {"cores here": cores}
    if beside > 1:
        counts["cores"] = cores // beside
    if quota := min(_quotas(root), default=None):
        counts["cgroup"] = int(quota / beside)
    if given := _first_number(environment.get("SLURM_CPUS_PER_TASK")):
        counts["slurm"] = given // beside
    elif given := _first_number(environment.get("SLURM_CPUS_ON_NODE")):
        counts["slurm"] = given // tasks // beside
    return {name: max(1, count) for name, count in counts.items()}


def _first_number(text: str | None) -> int | None:
    """Of ``4``, ``4(x2)`` and ``4,2``: 4."""
    match = re.match(r"\d+", text or "")
    return int(match[0]) if match and int(match[0]) > 0 else None


def _cores(root: Path) -> int:
    """Cores of this process's affinity, as torch counts them: threads of one core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cpus = os.sched_getaffinity(0)
    siblings = (_read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus)
    return len({threads or f"{cpu}" for cpu, threads in zip(cpus, siblings, strict=True)})


def _quotas(root: Path) -> Iterator[float]:
    """CPUs' worth of time that each cgroup above this process grants, in either version of cgroups."""
    for entry in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*entry.split(":", 2), "", "")[:3]
        if number == "0":
            mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            mounts = [f"sys/fs/cgroup/{name}" for name in (controllers, "cpu", "cpu,cpuacct")]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            # Inside a container the path may be the host's: then only the top is there.
            for depth in range(len(parts) + 1):
                folder = root.joinpath(mount, *parts[:depth])
                quota, period = (*_read(folder / "cpu.max").split(), "", "")[:2]
                if not quota:
                    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
                if quota.isdecimal() and period.isdecimal() and int(period):  # else max, or -1: no limit
                    yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
