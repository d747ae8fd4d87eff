"""Flip single bits of the files that a run reads, and compare: no other score, no traceback, every damage named.

python -m benchmarks.flips --flips 500 2> /dev/null

A run is two leaves of the sample, packed as an archive, with the demonstration's encoder. It finds a cache and a store
that are either complete or those of a training that was killed. Before each run one bit of one file in them is flipped:
a parsed split, tokens, a file of the unpacked archive, the archive itself, an entry of the store, its weights, the
progress, checkpoint or kept weights of the killed training. The outcome is one of

rebuilt   the log names the file, and scores and predictions are those of a run on sound files
refused   one error names the file
unread    the run did not need the file; ``store verify`` or ``cache verify`` names it
equal     the bit says nothing about the data (a header of gzip), so that the result is the same and nothing is damaged

or else a fault: WRONG (another result), TRACEBACK, SILENT (damaged, and nobody says so).
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rounds import parser_of

RECIPE = {
    "dev": "all",
    "epochs": 3,
    "train_limit": 32,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "max_length": 64,
    "checkpoint_minutes": 0,
    "dropout": 0.1,
}
LEAVES = {"ner": "de", "pawsx": "fr"}
TASKS = [f"xglue_{task}_zs_{language}" for task, language in LEAVES.items()]
KINDS = {
    "parsed split": "cache/arrow/*.arrow",
    "tokens": "cache/tokens/*.safetensors",
    "unpacked file": "cache/archives/*/*/**/*",
    "archive": "archive.tar.gz",
    "entry.json": "store/entries/*/entry.json",
    "trained weights": "store/entries/*/*.safetensors",
    "progress.json": "store/working/*/progress.json",
    "checkpoint": "store/working/*/checkpoint-*.safetensors",
    "kept weights": "store/working/*/epoch-*.safetensors",
}
FAULTS = ("WRONG", "TRACEBACK", "SILENT")


class Killed(BaseException):
    """In the place of SIGKILL."""


class Ground:
    """A folder with an encoder, an archive, a cache and a store, and what a run on it gives."""

    def __init__(self, folder: Path) -> None:
        """Run once as a whole, and once until it is killed; both states are kept."""
        from xglue_harness.data.folder import ARCHIVE_FOLDER, SAMPLE
        from xglue_harness.harness.demo import build_encoder
        from xglue_harness.harness.encoder_lm import EncoderLM
        from xglue_harness.training.train_step import TrainStep

        self.live, self._folder = folder / "live", folder
        os.environ["XGLUE_CACHE"] = str(folder / "other")
        build_encoder(folder / "encoder", width=32)  # it reads the whole sample
        os.environ["XGLUE_CACHE"], os.environ["XGLUE_STORE"] = str(self.live / "cache"), str(self.live / "store")
        self.live.mkdir()
        with tarfile.open(self.live / "archive.tar.gz", "w:gz") as tar:
            tar.add(SAMPLE, ARCHIVE_FOLDER)
        self._model = EncoderLM(str(folder / "encoder"), device="cpu")
        step = TrainStep.step

        def die(train_step: Any, batch: Any) -> None:
            if train_step.counters.step == 5:
                raise Killed
            step(train_step, batch)

        TrainStep.step = die  # type: ignore[method-assign]
        try:
            self.run()
        except Killed:
            pass
        finally:
            TrainStep.step = step  # type: ignore[method-assign]
        shutil.copytree(self.live, folder / "killed")
        self.expected, _ = self.run()
        shutil.copytree(self.live, folder / "complete")

    def restore(self, state: str) -> None:
        """Bring back ``killed`` or ``complete``."""
        shutil.rmtree(self.live)
        shutil.copytree(self._folder / state, self.live)

    def run(self) -> tuple[Any, str]:
        """Scores and predictions of one run, and what it says."""
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        from xglue_harness.resources import tasks_folder

        said: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("xglue_harness")
        logger.addHandler(handler)
        try:
            metadata = {**RECIPE, "data": str(self.live / "archive.tar.gz")}
            manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata)
            results: dict[str, Any] = simple_evaluate(model=self._model, tasks=TASKS, task_manager=manager)  # type: ignore[assignment]
        finally:
            logger.removeHandler(handler)
        predictions = {name: [sample["resps"] for sample in results["samples"][name]] for name in TASKS}
        return (results["results"], predictions), "\n".join(said)

    def verified(self) -> str:
        """What ``cache verify`` and ``store verify`` print."""
        from typer.testing import CliRunner

        from xglue_harness.cli.app import app

        return "".join(CliRunner().invoke(app, [group, "verify"]).output for group in ("cache", "store"))


def flip(path: Path, bit: int) -> None:
    """Flip a bit of a file that may be mapped into memory."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.unlink()
    path.write_bytes(content)


def outcome(ground: Ground, path: Path) -> tuple[str, str]:
    """What becomes of a run, and its words."""
    from xglue_harness.errors import XGlueError

    names = (str(path), path.name, path.parent.name)
    listed = any(name in ground.verified() for name in names)
    try:
        result, said = ground.run()
    except XGlueError as error:
        return ("refused" if any(name in str(error) for name in names) else "SILENT"), str(error)
    except Exception as error:
        return "TRACEBACK", f"{type(error).__name__}: {error}"
    if result != ground.expected:
        return "WRONG", said
    if any(name in said for name in names):
        return "rebuilt", said
    if path.name == "archive.tar.gz":
        return "equal", said
    return ("unread" if listed else "SILENT"), said


def measure(flips: int, seed: int, folder: Path, tell: Callable[[str], None] = print) -> Counter[tuple[str, str]]:
    """Count outcomes by kind of file.

    Args:
        flips: how many bits, each in a run of its own.
        seed: of files and bits.
        folder: an empty folder for all that is written.
        tell: told of each fault.
    """
    import xglue_harness.hook  # noqa: F401
    from xglue_harness import benchmark

    chance, ground = random.Random(seed), Ground(folder)
    counted: Counter[tuple[str, str]] = Counter()
    read = {
        path
        for task, tested in LEAVES.items()
        for split, language, path in benchmark.TASKS[task].files()
        if split != "test" or language == tested
    }
    places = [
        (
            kind,
            state,
            sorted(
                path.relative_to(folder / state)
                for path in (folder / state).glob(pattern)
                if kind != "unpacked file" or path.as_posix().endswith(tuple(read))
            ),
        )
        for kind, pattern in KINDS.items()
        for state in ("killed", "complete")
    ]
    places = [(kind, state, files) for kind, state, files in places if files]
    for number in range(flips):
        kind, state, files = places[number % len(places)]
        ground.restore(state)
        files = [path for path in files if (ground.live / path).is_file() and (ground.live / path).stat().st_size]
        path = ground.live / chance.choice(files)
        bit = chance.randrange(8 * path.stat().st_size)
        flip(path, bit)
        fate, said = outcome(ground, path)
        counted[kind, fate] += 1
        if fate in FAULTS:
            tell(f"{number}: {fate}: bit {bit} of {path.relative_to(ground.live)} ({state}): {said}")
    return counted


def main() -> None:
    """Flip, run, compare, print a table."""
    parser = parser_of(__doc__)
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="xglue-flips-") as temporary:
        counted = measure(given.flips, given.seed, Path(temporary))
    columns = ("rebuilt", "refused", "unread", "equal", *FAULTS)
    print(f"{'':<16}" + "".join(f"{column:>10}" for column in columns))
    for kind in KINDS:
        print(f"{kind:<16}" + "".join(f"{counted[kind, column]:>10}" for column in columns))
    faults = sum(counted[kind, fault] for kind in KINDS for fault in FAULTS)
    print(f"{counted.total()} flips in {time.perf_counter() - began:.0f} s: {faults} faults")
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
