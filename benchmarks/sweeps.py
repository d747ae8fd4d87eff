"""What a sweep's queue bears, what killed workers do to it, and what starting lm_eval once is worth.

python -m benchmarks.sweeps queue --jobs 1000 --workers 16
python -m benchmarks.sweeps faults --seeds 3
python -m benchmarks.sweeps startup --jobs 6

``queue``: processes take jobs that sleep 10 ms. Printed are claims a second, jobs that two have had (there may be none)
and how long `sweep status` takes.

``faults``: all eight tasks on the sample with the demonstration's encoder, once undisturbed; and once where the driver
and two workers are killed by SIGKILL in turn, each in the middle of a job, before the last run ends it. Results,
records and predictions must be those of the undisturbed sweep, and no training may have been finished twice.

``startup``: the same jobs by one worker, and one after another by plain ``lm_eval``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.crash_recovery import SMALL
from benchmarks.rounds import clock, parser_of, spread
from xglue_harness.benchmark import TASKS
from xglue_harness.records.parts import comparable
from xglue_harness.sweeps.jobs import Job, arguments
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.status import standing

RECIPE = {"epochs": 4, "dev": "en", **SMALL}
CHANGING = {"date", "total_evaluation_time_seconds", "start_time", "end_time"}
"""Of lm_eval's results: times."""

SLEEP = 0.01


def facts(folder: Path) -> dict[str, Any]:
    """What the results of two equal runs have in common, hashes of their predictions among it.

    Args:
        folder: what lm_eval got as ``--output_path``.
    """
    [path] = folder.glob("*/results_*.json")
    results = {key: value for key, value in json.loads(path.read_text()).items() if key not in CHANGING}
    for config in results["configs"].values():
        config["metadata"]["xglue"] = comparable(config["metadata"]["xglue"])
    files = sorted(path.parent.glob("*.parquet"))
    predictions = {file.name.rpartition("_")[0]: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return {**results, "predictions": predictions}


# ---------------------------------------------------------------- queue


def take(output: Path, name: str) -> None:
    """What each process of ``queue`` does: print the key of each job that it has had, and when."""
    queue = Queue(output)
    while (claim := queue.claim(name)) is not None:
        print(claim.job.key, time.time(), flush=True)
        claim.workspace.mkdir(parents=True)
        time.sleep(SLEEP)
        claim.finish(claim.workspace)


def measure_queue(folder: Path, jobs: int, workers: int) -> bool:
    """Let processes take jobs; whether each was had once."""
    queue = Queue(folder)
    names = [*TASKS]
    queue.add(
        [
            Job(
                f"backbone-{number % 7}",
                names[number % 8],
                ("en",),
                number,
                "hf",
                {"pretrained": "x"},
                {"data": "sample"},
            )
            for number in range(jobs)
        ]
    )
    began = time.perf_counter()
    running = [_python("queue", "--take", str(folder), f"worker-{number}") for number in range(workers)]
    looks = []
    while any(process.poll() is None for process in running):
        looks.append(clock(lambda: standing(queue))[0])
        time.sleep(0.2)
    wall = time.perf_counter() - began
    lines = [line.split() for process in running for line in process.communicate()[0].splitlines()]
    moments = sorted(float(when) for _, when in lines)
    twice = sum(count > 1 for count in Counter(key for key, _ in lines).values())
    command = [str(Path(sys.executable).parent / "xglue-harness"), "sweep", "status", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = [clock(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))[0] for _ in range(3)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(whole)
    print(
        f"{jobs} jobs, {workers} processes: {len(lines)} claims in {moments[-1] - moments[0]:.1f} s "
        f"({len(lines) / (moments[-1] - moments[0]):.0f} a second; {wall:.1f} s with the processes' start), "
        f"{twice} jobs had twice, {standing(queue).line()}"
    )
    print(
        f"the look at all jobs while they ran: {spread(looks, '.3f')} s; `sweep status` whole: {spread(whole)} s, of "
        f"which {processor:.2f} s on a processor"
    )
    return twice == 0 and len(lines) == jobs


# ---------------------------------------------------------------- faults


def measure_faults(folder: Path, seeds: int) -> bool:
    """Kill what runs, again and again, and compare; whether all was as it should be."""
    from xglue_harness.harness.demo import build_encoder

    build_encoder(folder / "encoder")
    files = {name: _sweep(folder, name, ["xglue_zs"], range(1, seeds + 1)) for name in ("undisturbed", "disturbed")}
    seconds, _ = clock(lambda: _run("run", files["undisturbed"]))
    print(f"undisturbed: {standing(Queue(folder / 'undisturbed')).line()} in {seconds:.0f} s")
    began = time.perf_counter()
    queue = Queue(folder / "disturbed")
    for kind, jobs in (("run", 3), ("work", 9), ("work", 15)):
        _kill_in_a_job(kind, files["disturbed"], queue, jobs)
    _run("run", files["disturbed"])
    print(f"disturbed: {standing(queue).line()} in {time.perf_counter() - began:.0f} s")
    return _compared(Queue(folder / "undisturbed"), queue)


def _kill_in_a_job(kind: str, file: Path, queue: Queue, jobs: int) -> None:
    """Start the driver or a worker, and kill it in its training once so many jobs are done."""
    process = _start(kind, file)
    job: Job | None = None
    while job is None:
        if process.poll() is not None:
            raise SystemExit(f"sweep {kind} ended by itself: {process.communicate()[1]}")
        job = _in_training(queue, jobs) if (queue.folder / "jobs.json").exists() else None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    print(f"SIGKILL to `sweep {kind}` in {job.name}: {standing(queue).line()}")


def _in_training(queue: Queue, jobs: int) -> Job | None:
    """The job that runs and has written a checkpoint, once so many are done."""
    states = queue.states()
    if sum(state.status == "done" for state in states.values()) < jobs:
        return None
    running = [job for job in queue.jobs() if states[job.key].status == "running"]
    checkpoints = list((queue.folder / "store" / "working").glob("*/progress.json"))
    return running[0] if running and checkpoints else None


def _compared(undisturbed: Queue, disturbed: Queue) -> bool:
    same = {
        job.name: facts(undisturbed.output / job.folder) == facts(disturbed.output / job.folder)
        for job in disturbed.jobs()
    }
    logs = {job.name: "".join(_logs(disturbed, job)) for job in disturbed.jobs()}
    trained = [text.count(": kept in the store: ") for text in logs.values()]
    resumed = sum(": goes on from step " in text for text in logs.values())
    ends = Counter(path.suffix for path in (disturbed.folder / "claims").iterdir() if path.suffix == ".done")
    print(
        f"{sum(same.values())} of {len(same)} jobs equal; {ends['.done']} noted as done; {sum(trained)} trainings "
        f"ended, {sum(count > 1 for count in trained)} of them twice; {resumed} went on from a checkpoint"
    )
    return all(same.values()) and set(trained) == {1} and ends[".done"] == len(same)


def _logs(queue: Queue, job: Job) -> list[str]:
    return [path.read_text(errors="replace") for path in sorted((queue.folder / "logs").glob(f"{job.key}.*"))]


# ---------------------------------------------------------------- start-up


def measure_startup(folder: Path, jobs: int) -> bool:
    """The same jobs by one worker, and one after another by plain lm_eval."""
    from xglue_harness.harness.demo import build_encoder

    build_encoder(folder / "encoder")
    file = _sweep(folder, "swept", [*TASKS][: max(1, jobs // 2)], (1, 2))
    swept, _ = clock(lambda: _run("run", file))
    queue = Queue(folder / "swept")
    lm_eval = str(Path(sys.executable).parent / "lm_eval")
    environment = {**os.environ, "XGLUE_STORE": str(folder / "plain-store")}
    each = []
    for job in queue.jobs():
        command = [lm_eval, *arguments(job, folder / "plain" / job.folder)]
        each.append(clock(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))[0])  # noqa: B023
    notes = queue.facts()
    took = [notes[job.key]["seconds"] for job in queue.jobs()]
    same = [facts(folder / "plain" / job.folder) == facts(queue.output / job.folder) for job in queue.jobs()]
    print(f"{len(each)} jobs with plain lm_eval: {sum(each):.0f} s, {spread(each, '.1f')} each")
    print(f"by one worker: {swept:.0f} s; the first {took[0]:.1f} s, the others {spread(took[1:], '.1f')} each")
    print(f"ratio {sum(each) / swept:.1f}; {sum(same)} of {len(same)} equal")
    return all(same)


# ---------------------------------------------------------------- processes


def _sweep(folder: Path, name: str, tasks: Sequence[str], seeds: Sequence[int]) -> Path:
    file = folder / f"{name}.yaml"
    content = {"backbones": {"tiny": {"pretrained": "./encoder"}}, "data": "sample", "recipe": RECIPE, "device": "cpu"}
    file.write_text(yaml.safe_dump({"output": name, "tasks": [*tasks], "seeds": [*seeds], **content}))
    return file


def _start(kind: str, file: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.pop("XGLUE_STORE", None)
    command = [str(Path(sys.executable).parent / "xglue-harness"), "sweep", kind, str(file)]
    command += ["--engine", "local"] if kind == "run" else []  # one worker, whatever else is installed
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _run(kind: str, file: Path) -> None:
    process = _start(kind, file)
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"sweep {kind} failed: {said}")


def _python(*given: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sweeps", *given], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )


def main() -> None:
    """Measure what was asked for; exit status 1 where something is not as it should be."""
    parser = parser_of(__doc__)
    parser.add_argument("what", choices=("queue", "faults", "startup"))
    parser.add_argument("--jobs", type=int, help="of queue (1000) and startup (6)")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--take", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.take:
        take(Path(given.take[0]), given.take[1])
        return
    measures: dict[str, Callable[[Path], bool]] = {
        "queue": lambda folder: measure_queue(folder, given.jobs or 1000, given.workers),
        "faults": lambda folder: measure_faults(folder, given.seeds),
        "startup": lambda folder: measure_startup(folder, given.jobs or 6),
    }
    with tempfile.TemporaryDirectory(prefix="xglue-sweeps-") as temporary:
        is_well = measures[given.what](Path(temporary))
    raise SystemExit(not is_well)


if __name__ == "__main__":
    main()
