"""How many threads and how they wait: chosen before torch starts, never against the user, never for other programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xglue_harness import threads
from xglue_harness.threads import COUNTS, WAITING, limits


def _write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def eight(monkeypatch, tmp_path):
    """A machine of 8 cores, two hyper-threads each; this process may use all."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    _write(
        tmp_path,
        {f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 8},{n % 8 + 8}\n" for n in range(16)},
    )
    return tmp_path


def test_two_threads_of_a_core_are_one_core_and_the_affinity_counts(eight, monkeypatch):
    assert limits({}, eight) == {"cores here": 8}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 8, 9})
    assert limits({}, eight) == {"cores here": 3}


def test_without_affinity_or_topology_there_are_as_many_as_the_system_says(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)
    assert limits({}, tmp_path) == {"cores here": 2}
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert limits({}, tmp_path) == {"cores here": 6}


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 2),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/../a\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense"}, None),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/f00\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "500000\n",  # within a container its own is the top
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/job\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "60000",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "20000",
            },
            3,
        ),
        ({"proc/self/cgroup": "6:cpuset:/job\n", "sys/fs/cgroup/cpuset/job/cpu.max": "100000 100000"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_quota_of_a_cgroup_counts_rounded_down(eight, files, cpus):
    _write(eight, files)
    assert limits({}, eight) == {"cores here": 8} | ({} if cpus is None else {"cgroup": cpus})


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "4"}, {"slurm": 4}),
        ({"SLURM_CPUS_ON_NODE": "6"}, {"slurm": 6}),
        ({"SLURM_CPUS_ON_NODE": "6", "SLURM_STEP_TASKS_PER_NODE": "2(x3)"}, {"slurm": 3}),
        ({"SLURM_CPUS_ON_NODE": "6", "SLURM_CPUS_PER_TASK": "2"}, {"slurm": 2}),
        ({"SLURM_CPUS_PER_TASK": "many"}, {}),
        ({"LOCAL_WORLD_SIZE": "2"}, {"cores": 4}),
        ({"LOCAL_WORLD_SIZE": "16"}, {"cores": 1}),
        ({"LOCAL_WORLD_SIZE": "2", "SLURM_CPUS_PER_TASK": "6"}, {"cores": 4, "slurm": 3}),
        # srun has started each of the two: what it gives is one task's already
        ({"LOCAL_WORLD_SIZE": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "4"}, {"slurm": 4}),
    ],
)
def test_slurm_and_the_processes_beside_count(eight, variables, expected):
    assert limits(variables, eight) == {"cores here": 8, **expected}


def test_processes_beside_share_a_quota(eight):
    _write(eight, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "600000 100000"})
    assert limits({"LOCAL_WORLD_SIZE": "2"}, eight) == {"cores here": 8, "cores": 4, "cgroup": 3}


@pytest.fixture
def fresh(monkeypatch):
    """A process in which nothing has been chosen and torch is not loaded; its limits are what the test says."""
    for name in (*WAITING, *COUNTS):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever `settle` sets
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_settled", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(threads, "limits", lambda: {"cores here": 8})
    return monkeypatch


def _chosen():
    return {name: os.environ[name] for name in (*WAITING, *COUNTS) if name in os.environ}


def test_threads_sleep_and_torch_counts_the_cores_itself(fresh):
    threads.settle()
    assert _chosen() == {"GOMP_SPINCOUNT": "5000"}
    said = threads.line(8)
    assert said == (
        "8 threads on the CPU: the cores that this process may use; waiting, they soon sleep (GOMP_SPINCOUNT=5000)"
    )
    fresh.delenv("GOMP_SPINCOUNT")
    threads.settle()
    assert _chosen() == {}, "a second call does something"


def test_what_is_less_than_the_cores_is_set_and_said(fresh):
    fresh.setattr(threads, "limits", lambda: {"cores here": 8, "cgroup": 3, "slurm": 4})
    threads.settle()
    assert _chosen() == {"GOMP_SPINCOUNT": "5000", "OMP_NUM_THREADS": "3"}
    assert "its cgroup's quota" in threads.line(3)


@pytest.mark.parametrize("name", WAITING)
def test_a_users_way_of_waiting_stays(fresh, name):
    fresh.setenv(name, "active")
    threads.settle()
    assert _chosen() == {name: "active"}
    assert f"how they wait says {name}" in threads.line(8)


@pytest.mark.parametrize("name", COUNTS)
def test_a_users_number_of_threads_stays(fresh, name):
    fresh.setattr(threads, "limits", lambda: {"cores here": 8, "slurm": 2})
    fresh.setenv(name, "5")
    threads.settle()
    assert _chosen() == {name: "5", "GOMP_SPINCOUNT": "5000"}
    assert threads.line(5).startswith(f"5 threads on the CPU: {name} is set; ")


def test_once_torch_is_loaded_nothing_is_set_and_the_way_out_is_named(fresh):
    fresh.setitem(sys.modules, "torch", sys)
    threads.settle()
    assert _chosen() == {}
    assert "which spin while they wait" in threads.line(2)
    assert "GOMP_SPINCOUNT=5000" in threads.line(2)
    assert threads.line(1) == "1 thread on the CPU"
    fresh.setenv("GOMP_SPINCOUNT", "100")
    assert threads.line(2) == "2 threads on the CPU"


# ---------------------------------------------------------------- whose environment


def _process(arguments, cwd=None):
    """Standard output, and the log, of Python without the variables in question."""
    environment = {name: value for name, value in os.environ.items() if name not in {*WAITING, *COUNTS}}
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment, cwd=cwd
    )
    return done.stdout, done.stderr


PROGRAM = """
import os
before = dict(os.environ)
import xglue_harness.hook
from types import SimpleNamespace
from lm_eval.config.evaluate_config import EvaluatorConfig
EvaluatorConfig.process_tasks = lambda self: None  # without the scan of thousands of tasks
import lm_eval.evaluator, lm_eval.loggers.evaluation_tracker
from lm_eval.tasks import TaskManager
from xglue_harness.resources import tasks_folder
from xglue_harness.cli import main
from xglue_harness.harness.patches import MARK
assert hasattr(TaskManager.__init__, MARK)
assert TaskManager(include_path=str(tasks_folder()), include_defaults=False).match_tasks(["xglue_pos_zs"])
assert hasattr(EvaluatorConfig.process_tasks, MARK)
EvaluatorConfig.process_tasks(SimpleNamespace(tasks=["xglue_pos_zs"]))  # only lm_eval's own program settles threads
try: main(["schema"])
except SystemExit: pass
import xglue_harness.harness.demo, torch
print(*os.environ.items() - before.items())
"""


@pytest.mark.processes
def test_a_program_that_has_the_plug_in_keeps_its_environment():
    assert _process(["-c", "import os; b = dict(os.environ); import xglue_harness.hook; assert os.environ == b"])
    changed = _process(["-c", PROGRAM])[0].splitlines()[-1]
    assert not [name for name in (*WAITING, *COUNTS) if name in changed], "lm_eval, torch and others set their own"


COMMAND = """
import os, sys
sys.argv = ["lm_eval", "run", "--model", "hf-encoder", "--tasks", {tasks!r}]
import xglue_harness.hook
import lm_eval
from lm_eval.config.evaluate_config import EvaluatorConfig
EvaluatorConfig.process_tasks = lambda self, *_: None  # without the scan of thousands of tasks
def stop(*_, **__):
    print("torch" in sys.modules, os.environ.get("GOMP_SPINCOUNT"))
    sys.exit()
lm_eval.simple_evaluate = stop
{start}
"""
SCRIPT = "from lm_eval.__main__ import cli_evaluate; cli_evaluate()"
MODULE = "import runpy; runpy.run_module('lm_eval', run_name='__main__', alter_sys=True)"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("start", "tasks", "policy"),
    [
        (SCRIPT, "arc_easy,xglue_qam_zs_de", "5000"),
        (MODULE, "xglue_qam_zs_de", "5000"),
        (SCRIPT, "arc_easy", None),
    ],
)
def test_lm_evals_command_line_chooses_before_torch_for_our_tasks_alone(start, tasks, policy):
    """The whole command: `tests.harness.test_command_line`."""
    printed, _ = _process(["-c", COMMAND.format(start=start, tasks=tasks)])
    assert printed.splitlines()[-1] == f"False {policy}"
