"""What the plug-in costs at a start: of the interpreter, of lm_eval, and of its own command line.

python -m benchmarks.startup
python -m benchmarks.startup --rounds 60 --scans 5

Makes two environments in a temporary folder that see the packages of this one: one with the plug-in as a wheel
installs it (byte code, tasks and .pth file), one without. The same commands run in both in turn; "again" is the side
without the plug-in a second time, so its ratio says how far chance reaches. A ratio is given of the medians and of the
fastest runs, by the wall clock and by the processor's time. Neither tells one per cent of ``lm_eval --help`` from
chance on a busy machine, so where valgrind is installed the instructions of one run are counted, too: they are nearly
the same each time. The last table is measured inside one process: of a start of lm_eval's ``TaskManager``, which reads
all of its YAML, the part that is ours.
"""

from __future__ import annotations

import compileall
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sysconfig
import tempfile
import time
import venv
from collections.abc import Mapping
from pathlib import Path

import xglue_harness
from benchmarks.rounds import in_turn, parser_of, spread
from xglue_harness.resources import tasks_folder

LM_EVAL = {"python -c pass": ["-c", "pass"], "lm_eval --help": ["-m", "lm_eval", "--help"]}
SCAN = {"TaskManager()": ["-c", "from lm_eval.tasks import TaskManager; TaskManager()"]}
OURS = {
    "python -c pass": ["-c", "pass"],
    "import typer": ["-c", "import typer"],
    "xglue-harness --help": ["-c", "from xglue_harness.cli import main; main(['--help'])"],
}
INSIDE = """
import json, time
from collections import Counter
import xglue_harness.hook as hook

seconds = Counter()
register = hook.register_or_warn

def timed_register():
    began = time.perf_counter()
    register()
    seconds["registering"] += time.perf_counter() - began

hook.register_or_warn = timed_register
began = time.perf_counter()
from lm_eval.tasks._index import TaskIndex
from lm_eval.tasks.manager import TaskManager
from xglue_harness.resources import tasks_folder

files = TaskIndex._iter_yaml_files

def timed_files(folder):
    began = time.perf_counter()
    yield from files(folder)  # until the last of them has been read
    seconds["our YAML" if folder == tasks_folder() else "lm_eval's YAML"] += time.perf_counter() - began

TaskIndex._iter_yaml_files = staticmethod(timed_files)
TaskManager()
print(json.dumps({**seconds, "all": time.perf_counter() - began}))
"""


def environment(folder: Path, *, plugin: bool) -> Path:
    """Make a virtual environment that sees this one's packages, but not its ``.pth`` files; its interpreter."""
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "parent.pth").write_text(sysconfig.get_path("purelib"))
    if plugin:
        source, target = Path(xglue_harness.__file__).parent, packages / "xglue_harness"
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tasks"))
        shutil.copytree(tasks_folder(), target / "tasks")
        shutil.copy(source.parent / "xglue_harness.pth", packages)
        compileall.compile_dir(target, quiet=1)
    return folder / "bin" / "python"


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run a command to its end, outside of the checkout and offline; what it printed."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", **variables}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=variables).stdout


def times(commands: Mapping[str, list[str]], folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Of each command, the milliseconds of each round; the commands in turn, every second round backwards."""
    milliseconds: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in commands}
    for number in range(-1, rounds):
        for name in in_turn(commands, number):
            began, before = time.perf_counter(), _children()
            run(commands[name], folder)
            if number >= 0:  # the round before only fills the page cache
                milliseconds[name]["wall"].append(1000 * (time.perf_counter() - began))
                milliseconds[name]["cpu"].append(1000 * (_children() - before))
    return milliseconds


def _children() -> float:
    """Processor seconds of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(name: str, arguments: list[str], pythons: Mapping[str, Path], folder: Path, rounds: int) -> None:
    """Print one command with the plug-in, without it and without it again."""
    sides = times({side: [str(python), *arguments] for side, python in pythons.items()}, folder, rounds)
    print(f"{name}, {rounds} rounds")
    for clock in ("wall", "cpu"):
        base = sides["without"][clock]
        for side, clocks in sides.items():
            values = clocks[clock]
            medians, fastest = statistics.median(values) / statistics.median(base), min(values) / min(base)
            shown = f"{spread(values, '.1f')} ms"
            print(f"  {clock:4} {side:8} {shown:38} ratio of medians {medians:.4f}, of the fastest {fastest:.4f}")


def instructions(command: list[str], folder: Path) -> float:
    """Millions of instructions that a command executes, by valgrind."""
    log = folder / "valgrind.txt"
    count = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={log}"]
    run([*count, *command], folder, PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1")
    [total] = re.findall(r"I +refs: +([\d,]+)", log.read_text())
    return int(total.replace(",", "")) / 1e6


def main() -> None:
    """Make the environments, run everything and print the tables."""
    parser = parser_of(__doc__, rounds=30)
    parser.add_argument("--scans", type=int, default=3, help="rounds of TaskManager(), which takes many seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ours, without = (environment(folder / name, plugin=name == "with") for name in ("with", "without"))
        measured = times({name: [str(ours), *command] for name, command in OURS.items()}, folder, given.rounds)
        print(f"our command line, {given.rounds} rounds")
        for name, clocks in measured.items():
            print(f"  {name:21} wall {spread(clocks['wall'], '.1f') + ' ms':30} cpu {spread(clocks['cpu'], '.1f')} ms")
        pythons = {"with": ours, "without": without, "again": without}
        for commands, rounds in ((LM_EVAL, given.rounds), (SCAN, given.scans)):
            for name, command in commands.items() if rounds else ():
                compare(name, command, pythons, folder, rounds)
        if shutil.which("valgrind"):
            print("millions of instructions, one run")
            for name, command in OURS.items():
                print(f"  {name:21} {instructions([str(ours), *command], folder):9.1f}")
            for name, command in LM_EVAL.items():
                one, other = (instructions([str(python), *command], folder) for python in (ours, without))
                print(f"  {name:21} with {one:9.1f}, without {other:9.1f}, ratio {one / other:.4f}")
        for number in range(given.scans):
            parts = json.loads(run([str(ours), "-c", INSIDE], folder))
            if number == 0:
                print("inside TaskManager(), seconds")
            share = (parts["registering"] + parts["our YAML"]) / parts["all"]
            print("  " + ", ".join(f"{part} {value:.4f}" for part, value in parts.items()) + f"; ours {share:.2%}")


if __name__ == "__main__":
    main()
