"""Kill a run with SIGKILL at random moments, start it again, and compare: same results, sound store.

python -m benchmarks.crash_recovery --kills 20

A run is lm_eval on the sample with the demonstration's encoder: two tasks, eight epochs, dev sets of all languages, a
checkpoint before each step. Each round has a store of its own: the run is killed at a random moment between the
beginning of the first training and its end, started again with the same command, and must give the record and the
predictions of the unbroken run (apart from times), with no damaged file in the store. Printed is the state that each
kill left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rounds import parser_of

SMALL = {
    "train_limit": 96,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "max_length": 64,
    "checkpoint_minutes": 0,
    "dropout": 0.1,
}
"""Of trainings that are killed: few steps, with a checkpoint before each, and with what is drawn at random."""

RECIPE = {"data": "sample", "epochs": 8, **SMALL}
TASKS = ["xglue_pos_zs_en", "xglue_pos_zs_th", "xglue_wpr_zs_de"]


def run(encoder: Path, output: Path) -> None:
    """What is killed: one evaluation, its results and records written to ``output``."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    import xglue_harness.hook  # noqa: F401
    from xglue_harness.records.parts import comparable
    from xglue_harness.resources import tasks_folder

    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=RECIPE)
    results: dict[str, Any] = simple_evaluate(
        model="hf-encoder", model_args={"pretrained": str(encoder)}, tasks=TASKS, task_manager=manager
    )
    records = {name: config["metadata"]["xglue"] for name, config in results["configs"].items()}
    facts = {
        "results": results["results"],
        "predictions": {name: [sample["resps"] for sample in results["samples"][name]] for name in TASKS},
        "records": {name: comparable(record) for name, record in records.items()},
    }
    sessions = {name: record["session"] for name, record in records.items()}
    output.write_text(json.dumps({"facts": facts, "sessions": sessions}, sort_keys=True))


def start(encoder: Path, store: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start a run and wait until its work on the first task begins."""
    command = [sys.executable, "-m", "benchmarks.crash_recovery", "--run", str(encoder), str(output)]
    environment = {**os.environ, "XGLUE_STORE": str(store), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (store / "locks").exists():  # the first training begins
        if process.poll() is not None:
            raise SystemExit(f"the run failed: {' '.join(command)}")
        time.sleep(0.01)
    return process


def state(store: Path) -> str:
    """What a kill left behind, in words."""
    finished = len(list(store.glob("entries/*")))
    writing = list(store.glob("working/*/.*.tmp"))
    steps = [
        json.loads(path.read_text())["counters"]["step"]
        for path in store.glob("working/*/progress.json")  # it is whole, or it is not there
    ]
    parts = [f"{finished} of 2 tasks in the store"]
    parts += [f"checkpoint at step {step}" for step in steps]
    parts += [f"while {path.name.split('.')[1]} was written" for path in writing]
    return ", ".join(parts)


def damaged(store: Path) -> list[str]:
    """What `xglue-harness store verify` finds."""
    from xglue_harness.housekeeping import training_problems
    from xglue_harness.store.trainings import Store

    return [problem for folder in Store(store).folders("entries") for problem in training_problems(folder)]


def main() -> None:
    """Run, kill, run again, compare."""
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(*given.run)
        return
    from xglue_harness.harness.demo import build_encoder

    moments = random.Random(given.seed)
    equal = resumed = from_checkpoint = broken = 0
    with tempfile.TemporaryDirectory(prefix="xglue-kills-") as temporary:
        folder = Path(temporary)
        encoder = folder / "encoder"
        build_encoder(encoder)
        began = start(encoder, folder / "unbroken", folder / "unbroken.json")
        clock = time.perf_counter()
        if began.wait():
            raise SystemExit("the unbroken run failed")
        whole = time.perf_counter() - clock
        expected = json.loads((folder / "unbroken.json").read_text())["facts"]
        print(f"unbroken run: {whole:.1f} s from the beginning of the first training")
        for number in range(1, given.kills + 1):
            store, output = folder / f"store-{number}", folder / f"results-{number}.json"
            process = start(encoder, store, output)
            moment = moments.uniform(0, whole)
            try:
                process.wait(timeout=moment)
                left = "it had ended before"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                left = state(store)
            problems = damaged(store)
            output.unlink(missing_ok=True)
            if start(encoder, store, output).wait() == 0:
                resumed += 1
                again = json.loads(output.read_text())
                same = again["facts"] == expected
                equal += same
                sessions = again["sessions"].values()
                went_on = any(s["from_store"] or s["resumed_from_step"] is not None for s in sessions)
                from_checkpoint += went_on
                outcome = f"{'equal' if same else 'DIFFERENT'}, {'went on' if went_on else 'began anew'}"
            else:
                outcome = "FAILED"
            problems += damaged(store)
            broken += bool(problems)
            print(f"{number:3}. killed at {moment:5.1f} s: {left}; run again: {outcome}; {len(problems)} damaged files")
    print(
        f"{given.kills} kills: {resumed} resumed ({from_checkpoint} from a checkpoint or the store), {equal} equal "
        f"results, {broken} corrupt stores"
    )
    if not given.kills == resumed == equal or broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
