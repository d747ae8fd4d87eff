"""What both sides of `benchmarks.transfer` do: the same rows, steps and recipe; each side in a process of its own."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from benchmarks.rounds import parser_of
from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, TaskSpec
from xglue_harness.data import open_source
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from torch import nn

WARM_UP = 2
"""Steps of a training that comes before the measured one, from the same pretrained weights."""


@dataclass(frozen=True)
class Setting:
    """What is trained and how.

    Attributes:
        encoder: Hub id or folder.
        data: as in ``--metadata``.
        task: short name.
        rows: the first English training rows.
        epochs: passes over them.
        eval_rows: rows of each language's test set; ``None``: all of them, 0: no evaluation.
        precision: of the arithmetic; weights are fp32.
    """

    encoder: str
    data: str
    task: str = "pos"
    rows: int = 640
    epochs: float = 1
    eval_rows: int | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    learning_rate: float = 5e-5
    warmup_ratio: float = 0.1
    batch_size: int = 32
    max_length: int = 256
    seed: int = 1

    @classmethod
    def of(cls, given: argparse.Namespace, **others: Any) -> Setting:
        """The options of a command line; ``others`` add to them, or take their place."""
        said = {field.name: getattr(given, field.name) for field in fields(cls) if hasattr(given, field.name)}
        return cls(**said | others)

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return TASKS[self.task]

    def steps(self, rows: int, epochs: float) -> int:
        """Steps of a training."""
        return math.ceil(round(math.ceil(rows / self.batch_size) * epochs, 6))


@dataclass(frozen=True)
class Trained:
    """One training. Times are in s; `seconds` is that of the steps alone."""

    steps: int
    seconds: float
    tokenising_seconds: float
    real_tokens: int
    padded_tokens: int
    trainable_parameters: int
    losses: tuple[float, float]
    """Loss of the last step, and the mean over the last quarter of the steps."""


@dataclass(frozen=True)
class Evaluated:
    """Predictions of all test sets. `seconds` is that of predicting alone."""

    sentences: int
    seconds: float
    tokenising_seconds: float
    accuracy: float
    """Share of right classes, mean over the languages."""


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser of the options that all benchmarks of training and evaluation have."""
    parser = parser_of(description)
    parser.add_argument("--encoder", required=True, help="Hub id or folder")
    parser.add_argument("--data", default="sample", help="as in --metadata (default: sample)")
    tasks = [name for name, spec in TASKS.items() if not kind_of(spec).several_rows]
    parser.add_argument("--task", default="pos", choices=tasks)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--json", type=Path, help="file for all raw figures, versions and hardware")
    return parser


def default_device() -> torch.device:
    """A GPU where there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def write_figures(path: Path, benchmark: str, figures: Mapping[str, Any], device: torch.device) -> None:
    """Write raw figures, and with what they were measured."""
    from xglue_harness.records.provenance import git_revision, hardware, versions

    facts = {"benchmark": benchmark, **figures, "hardware": hardware(device), "versions": versions()}
    path.write_text(json.dumps({**facts, "git_revision": git_revision()}, indent=2), encoding="utf-8")


class Side(Protocol):
    """A program that fine-tunes and predicts."""

    device: torch.device

    def encoder(self) -> nn.Module:
        """The encoder that was trained last, or the pretrained one."""

    def train(self, rows: Dataset, epochs: float) -> Trained:
        """Fine-tune the pretrained encoder."""

    def evaluate(self, tests: Mapping[str, Dataset]) -> Evaluated:
        """Predict test sets by language with what was trained last."""


def last_steps(steps: int) -> int:
    """How many steps the mean of the last losses is over."""
    return max(1, steps // 4)


def load(setting: Setting) -> tuple[Dataset, dict[str, Dataset]]:
    """The first training rows, and the first rows of each language's test set."""
    source = open_source(setting.data)
    train = source.load(setting.spec, "train", SOURCE_LANGUAGE).dataset
    languages = () if setting.eval_rows == 0 else source.available(setting.spec, "test")
    tests = {language: source.load(setting.spec, "test", language).dataset for language in languages}
    return _first(train, setting.rows), {lang: _first(test, setting.eval_rows) for lang, test in tests.items()}


def _first(dataset: Dataset, rows: int | None) -> Dataset:
    return dataset if rows is None else dataset.select(range(min(rows, len(dataset))))


def measure(side: Side, setting: Setting) -> dict[str, float]:
    """The figures of one side. Called once in a process, since memory is that of the whole process."""
    from benchmarks.roofline import body_parameters, matmul_peak
    from xglue_harness.records.cost_meter import memory_peak

    train, tests = load(setting)
    flops = [matmul_peak(side.device, setting.precision)]
    held = [memory_peak(side.device)]  # noted now and then, for our side sets the system's mark back
    side.train(_first(train, WARM_UP * setting.batch_size), epochs=1)
    held.append(memory_peak(side.device))
    gc.collect()
    trained = side.train(train, setting.epochs)
    held.append(memory_peak(side.device))
    flops.append(matmul_peak(side.device, setting.precision))
    speed, body = trained.real_tokens / trained.seconds, body_parameters(side.encoder())
    figures = {
        "training, real tokens/s": speed,
        "training, s a step": trained.seconds / trained.steps,
        "training, padded/real": trained.padded_tokens / trained.real_tokens,
        "training, peak memory MB": max(held) / 1e6,
        f"training, share of {setting.precision} peak": speed * 6 * body / max(flops),
        "matmul peak, GFLOP/s": max(flops) / 1e9,
        "encoder without tables, millions": body / 1e6,
        "trainable parameters, millions": trained.trainable_parameters / 1e6,
        "steps": trained.steps,
        "real tokens": trained.real_tokens,
        "training set tokenised, s": trained.tokenising_seconds,
        "loss, last step": trained.losses[0],
        "loss, mean of last steps": trained.losses[1],
    }
    if tests:
        side.evaluate({language: _first(rows, 1) for language, rows in tests.items()})  # a warm-up
        evaluated = side.evaluate(tests)
        figures |= {
            "evaluation, sentences/s": evaluated.sentences / evaluated.seconds,
            "evaluation, s": evaluated.seconds,
            "test sets tokenised, s": evaluated.tokenising_seconds,
            "accuracy, mean of languages": evaluated.accuracy,
        }
    return figures


def answer(side: type[Any]) -> None:
    """Measure as a process of its own: the setting is the argument, the figures are the last line printed."""
    setting = Setting(**json.loads(sys.argv[1]))
    built = side(setting)
    print(json.dumps({"figures": measure(built, setting)}))


def ask(module: str, setting: Setting) -> dict[str, Any]:
    """Run one side in a process; its messages are shown where it fails."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {"CUDA_VISIBLE_DEVICES": "0", **os.environ, "PYTHONPATH": path}  # a Trainer takes all GPUs it sees
    command = [sys.executable, "-m", module, json.dumps(asdict(setting))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{module} failed:\n{done.stderr}")
    answered: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answered
