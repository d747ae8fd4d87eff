"""A stand-in for Slurm on one machine: ``sbatch``, ``srun``, ``squeue``, ``sacct``, ``scancel`` and ``scontrol``.

A task of an array is a process of this file (`_Task`), which runs the batch script as slurmd would: with Slurm's
variables, the signal before the time limit, the kill after it, requeues, preemption, and nodes that are lost. All else
talks to it through files in the folder that ``STAND_IN_SLURM`` names: ``<job>/state.json`` is what it says, a file in
``<job>/orders`` what it is told. A minute of the time limit takes ``STAND_IN_MINUTE`` seconds.

What Slurm does where sites differ is done in the harsher way: a signal goes to all processes of a step (proctrack
plug-ins other than cgroup's do that), and a preempted job is not requeued by Slurm itself (``PreemptMode=CANCEL`` with
a grace time).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol")
FOLDER, MINUTE = "STAND_IN_SLURM", "STAND_IN_MINUTE"
KILL_WAIT = 0.5
"""Minutes between the terminating signal and SIGKILL, as in Slurm's default."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL")
_POLL = 0.02


@dataclass(frozen=True)
class Cluster:
    """What a test does to the cluster.

    Attributes:
        folder: of its state.
        minute: seconds that a minute of a time limit takes.
    """

    folder: Path
    minute: float = 60.0

    def environment(self) -> dict[str, str]:
        """Variables under which the commands are this cluster's; they are made where they are not there yet."""
        commands = self.folder / "bin"
        commands.mkdir(parents=True, exist_ok=True)
        for name in COMMANDS:
            command = commands / name
            command.write_text(
                f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S {shlex.quote(__file__)} {name} "$@"\n'
            )
            command.chmod(0o755)
        path = f"{commands}{os.pathsep}{os.environ['PATH']}"
        return {FOLDER: str(self.folder), MINUTE: str(self.minute), "PATH": path}

    def jobs(self) -> dict[str, dict[str, Any]]:
        """State of every task, by ``<array>_<task>``."""
        return {path.parent.name: json.loads(path.read_text()) for path in sorted(self.folder.glob("*/state.json"))}

    def script(self, array: int | str) -> Path:
        """What was submitted."""
        return self.folder / f"{array}.sh"

    def preempt(self, job: str) -> None:
        """Take a task's node for somebody else, after a grace time of `KILL_WAIT`."""
        _tell(self.folder / job, "preempt")

    def lose_node(self, job: str) -> None:
        """Kill whatever a task runs, without a word."""
        _tell(self.folder / job, "lose_node")

    def kill_all(self) -> None:
        """End what is left of all tasks at once."""
        for name, state in self.jobs().items():
            if state["state"] not in ENDED:
                _tell(self.folder / name, "kill")
        self.wait(20)

    def wait(self, seconds: float) -> dict[str, dict[str, Any]]:
        """Wait until all tasks have ended; returns their states."""
        end = time.monotonic() + seconds
        while not all(state["state"] in ENDED for state in self.jobs().values()):
            assert time.monotonic() < end, self.jobs()
            time.sleep(0.1)
        return self.jobs()


class _Task:
    """One task of an array, as its node sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        self.minute = float(os.environ[MINUTE])

    def run(self) -> None:
        """Run the script, and again as often as it is requeued."""
        while self.attempt():
            self.note("PENDING", restarts=self.state["restarts"] + 1)
            end = time.monotonic() + 2 * self.minute / 60
            while time.monotonic() < end:
                if {"cancel", "kill"} & set(self.orders()):
                    self.note("CANCELLED")
                    return
                time.sleep(_POLL)

    def attempt(self) -> bool:
        """Run the script until it ends or is ended; returns whether it was requeued."""
        options = self.state["options"]
        limit = _minutes(options.get("time", "1440")) * self.minute
        name, _, ahead = options.get("signal", "TERM@0").partition("@")
        warned, grace = False, float("inf")
        started = time.monotonic()
        script = subprocess.Popen(
            ["bash", str(self.folder / "script.sh")],
            env={**os.environ, **self.variables()},
            cwd=self.state["cwd"],
            stdout=self.log("output"),
            stderr=self.log("error"),
            start_new_session=True,
        )
        self.note("RUNNING")
        while script.poll() is None:
            time.sleep(_POLL)
            now = time.monotonic()
            if now - started > limit:
                return self.end(script, "TIMEOUT")
            if now > grace:
                return self.kill(script, "PREEMPTED")
            if not warned and now - started > limit - int(ahead) * self.minute / 60:
                warned = True
                self.signal(signal.Signals[f"SIG{name}"])
            for order in self.orders():
                if order == "preempt":
                    grace = now + KILL_WAIT * self.minute
                    self.signal(signal.SIGCONT, signal.SIGTERM)
                elif order == "lose_node":
                    return self.kill(script, "NODE_FAIL") or "requeue" in options
                elif order == "requeue":
                    return not self.end(script, "REQUEUED")
                elif order == "cancel":
                    return self.end(script, "CANCELLED")
                elif order == "kill":
                    return self.kill(script, "CANCELLED")
                else:
                    self.signal(signal.Signals[order])
        if "requeue" in self.orders():  # told in its last moment
            self.note("REQUEUED")
            return True
        self.note("COMPLETED" if script.returncode == 0 else "FAILED", status=script.returncode)
        return False

    def variables(self) -> dict[str, str]:
        array, _, task = self.state["job"].partition("_")
        found = {
            "SLURM_JOB_ID": str(int(array) + int(task or 0)),
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_JOB_NODELIST": f"node{task or 0}",
            "SLURM_RESTART_COUNT": str(self.state["restarts"]),
            "STAND_IN_JOB": str(self.folder),
        }
        if task:
            found |= {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task}
        if "cpus-per-task" in self.state["options"]:
            found["SLURM_CPUS_PER_TASK"] = self.state["options"]["cpus-per-task"]
        return found

    def log(self, name: str) -> Any:
        array, _, task = self.state["job"].partition("_")
        path = self.state["options"].get(name, os.devnull)
        return Path(path.replace("%A", array).replace("%a", task).replace("%j", array)).open("ab")

    def note(self, state: str, **more: Any) -> None:
        self.state.update(more, state=state)
        self.state.setdefault("history", []).append(state)
        _write(self.folder / "state.json", self.state)

    def orders(self) -> list[str]:
        found = sorted((self.folder / "orders").iterdir(), key=lambda path: path.stat().st_mtime)
        texts = [path.read_text() for path in found]
        for path in found:
            path.unlink()
        return texts

    def signal(self, *signals: signal.Signals) -> None:
        """To all processes of the step, never to the batch script."""
        for one in signals:
            for process in _processes(self.folder, step=True):
                _send(process, one)

    def end(self, script: subprocess.Popen[bytes], state: str) -> bool:
        """As Slurm ends what it has decided to end."""
        self.note("COMPLETING")
        self.signal(signal.SIGCONT, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            script.wait(KILL_WAIT * self.minute)
        return self.kill(script, state)

    def kill(self, script: subprocess.Popen[bytes], state: str) -> bool:
        """All that the script has started, whatever sessions it is in."""
        while processes := _processes(self.folder):
            for process in processes:
                _send(process, signal.SIGKILL)
            script.poll()
            time.sleep(_POLL)
        script.wait()
        self.note(state)
        return False


def sbatch(arguments: list[str]) -> None:
    """Submit a script: its ``#SBATCH`` lines, no options on the command line."""
    root, script = Path(os.environ[FOLDER]), Path(arguments[0])
    text = script.read_text()
    options = dict(_option(line) for line in text.splitlines() if line.startswith("#SBATCH "))
    number = 1000
    while True:
        with contextlib.suppress(FileExistsError):
            (root / f"{number}.sh").open("x").write(text)
            break
        number += 1000
    tasks = [""]
    if "array" in options:
        first, last = re.fullmatch(r"(\d+)-(\d+)(?:%\d+)?", options["array"]).groups()
        tasks = [f"_{task}" for task in range(int(first), int(last) + 1)]
    for task in tasks:
        folder = root / f"{number}{task}"
        (folder / "orders").mkdir(parents=True)
        (folder / "script.sh").write_text(text)
        state = {"job": folder.name, "state": "PENDING", "restarts": 0, "options": options, "cwd": str(Path.cwd())}
        _write(folder / "state.json", state)
        subprocess.Popen(
            [sys.executable, "-S", __file__, "task", str(folder)],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "task.log").open("ab"),
        )
    print(f"Submitted batch job {number}")


def srun(arguments: list[str]) -> None:
    """Run a step's one task; its options come before its command."""
    options = {}
    while arguments[0].startswith("--"):
        name, _, value = arguments.pop(0)[2:].partition("=")
        options[name] = value or (arguments.pop(0) if name in ("output", "error") else "")
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID", ""), os.environ.get("SLURM_ARRAY_TASK_ID", "")
    place = {"%A": array, "%a": task, "%j": array or os.environ["SLURM_JOB_ID"], "%t": "0"}
    files = [re.sub("%[Aajt]", lambda match: place[match[0]], options[name]) for name in ("output", "error")]
    ranks = {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    with Path(files[0]).open("ab") as output, Path(files[1]).open("ab") as errors:
        status = subprocess.call(arguments, env={**os.environ, **ranks}, stdout=output, stderr=errors)
    sys.exit(status if status >= 0 else 128 - status)


def squeue(arguments: list[str]) -> None:
    """Of ``--jobs`` that have not ended, what ``--format`` asks for; one that a signal ends still counts as running."""
    form = arguments[arguments.index("--format") + 1]
    for name, state in _selected(arguments[arguments.index("--jobs") + 1]):
        if state["state"] in ("PENDING", "RUNNING", "COMPLETING"):
            print(form.replace("%i", name).replace("%T", state["state"]))


def sacct(arguments: list[str]) -> None:
    """States of the jobs after each ``-j``."""
    print("JobID|State|NodeList")
    for place, argument in enumerate(arguments):
        if argument == "-j":
            for name, state in _selected(arguments[place + 1]):
                print(f"{name}|{state['state']}|node0")


def scancel(arguments: list[str]) -> None:
    """Cancel jobs, or send them the ``--signal``."""
    order, states = "cancel", ("PENDING", "RUNNING")
    if "--state" in arguments:
        place = arguments.index("--state")
        states = (arguments[place + 1],)
        del arguments[place : place + 2]
    if "--signal" in arguments:
        place = arguments.index("--signal")
        order = f"SIG{arguments[place + 1].removeprefix('SIG')}"
        del arguments[place : place + 2]
    for argument in arguments:
        for name, state in _selected(argument):
            if state["state"] in states:
                _tell(Path(os.environ[FOLDER], name), order)


def scontrol(arguments: list[str]) -> None:
    """Only ``scontrol requeue JOB``, and ``scontrol show job JOB`` with its state."""
    if arguments[0] == "show":
        for name, state in _selected(arguments[2]):
            print(f"JobId={name} Restarts={state['restarts']}\n   JobState={state['state']} Reason=None")
        return
    for name, state in _selected(arguments[1]):
        if "requeue" not in state["options"]:
            sys.exit("Requested operation is presently disabled")
        _tell(Path(os.environ[FOLDER], name), "requeue")


def _selected(jobs: str) -> Iterator[tuple[str, dict[str, Any]]]:
    wanted = jobs.split(",")
    for name, state in Cluster(Path(os.environ[FOLDER])).jobs().items():
        if name in wanted or name.partition("_")[0] in wanted:
            yield name, state


def _option(line: str) -> tuple[str, str]:
    (text,) = shlex.split(line.removeprefix("#SBATCH "))
    name, _, value = text.removeprefix("--").partition("=")
    return name, value


def _minutes(text: str) -> float:
    """Of Slurm's forms those that are used: minutes, hours:minutes:seconds, days-hours:minutes:seconds."""
    days, _, rest = text.rpartition("-")
    parts = [float(part) for part in rest.split(":")]
    parts = [0.0, *parts, 0.0] if len(parts) == 1 else parts
    return 1440 * float(days or 0) + 60 * parts[0] + parts[1] + parts[2] / 60


def _processes(job: Path, *, step: bool = False) -> list[int]:
    """All that a task has started, known by their environment, or those below srun alone."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            variables = environment.read_bytes().split(b"\0")
            if f"STAND_IN_JOB={job}".encode() in variables and (not step or b"SLURM_PROCID=0" in variables):
                found.append(int(environment.parent.name))
    return found


def _send(process: int, one: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, one)


def _tell(job: Path, order: str) -> None:
    _write(job / "orders" / uuid.uuid4().hex, order)


def _write(path: Path, content: Any) -> None:
    """All at once; what is half-written lies in no folder that is listed."""
    aside = Path(os.environ.get(FOLDER, path.parent), f".{uuid.uuid4().hex}")
    aside.write_text(content if isinstance(content, str) else json.dumps(content))
    aside.replace(path)


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if name == "task":
        _Task(Path(rest[0])).run()
    else:
        {"sbatch": sbatch, "srun": srun, "squeue": squeue, "sacct": sacct, "scancel": scancel, "scontrol": scontrol}[
            name
        ](rest)
