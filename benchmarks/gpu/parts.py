"""All parts in order of worth, with how long each is thought to take on a CUDA machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.runner import Part
from benchmarks.workload import Setting

WORKLOADS = ("XNLI", "POS", "NC")
PROFILED = ("XNLI", "NC")
TASKS = {"XNLI": "xnli", "POS": "pos", "NC": "nc"}
SIDES = ("ours", "ours compiled", "Trainer", "Trainer at its best", "Trainer compiled", "Trainer with cuDNN")
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "fp32 without dropout": {"precision": "fp32", "dropout": 0.0},
    "fp32 with dropout": {"precision": "fp32", "dropout": None},
    "bf16 with dropout": {"precision": "bf16", "dropout": None},
}
CORES = os.cpu_count() or 1
BESIDE = {"OMP_NUM_THREADS": str(max(1, CORES // 5))}
"""For parts that run beside others, and mostly wait for the card."""
PLAIN = {"TORCH_CUDNN_SDPA_DEPRIORITIZED": "1"}
"""For the `Trainer`: cuDNN's attention, which torch 2.11 takes first on an H100, plans anew for every new shape of a
batch, up to a second each; by itself that would be most of what is measured."""
ON_CPU = {"OMP_NUM_THREADS": str(max(1, CORES // 2)), "CUDA_VISIBLE_DEVICES": ""}
CHECKS = {
    "equal": ("graphs = eager", "eager = CPU", "predictions = CPU"),
    "arithmetic": ("nothing waits", "attention dropout", "fp32 is fp32", "TF32 by recipe", "weights are fp32"),
    "memory": ("out of memory",),
}
"""Checks of single steps by process; the last one wants the card for itself."""


@dataclass(frozen=True)
class Scale:
    """How much is done: on a card, or in a rehearsal on a CPU.

    Attributes:
        shapes: of the random encoder.
        steps: in an epoch of each workload; the last of `benchmarks.gpu.speed.EPOCHS` is measured.
        eval_rows: rows of each language that are predicted.
        check_steps: steps of the trainings that are compared weight by weight.
        check_rows: training rows of the checks.
        seed_rows: training rows of the comparison with the CPU.
        seed_epochs: its passes over them.
        seed_eval_rows: rows of each of its languages.
        seeds: its seeds.
        variants: of the run that is killed.
        run_rows: training rows of the run that is killed.
        kill: the step at whose end it is.
        counts: trainings at the same time.
        seconds: that they are measured for.
        sizes: of the matrix products.
        numbers: of the copies.
    """

    shapes: str
    steps: Mapping[str, int]
    eval_rows: int
    check_steps: int
    check_rows: int
    seed_rows: int
    seed_epochs: float
    seed_eval_rows: int
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    run_rows: int
    kill: int
    counts: tuple[int, ...]
    seconds: float
    sizes: tuple[int, ...]
    numbers: int


ON_A_CARD = Scale(
    shapes="xlm-r-base",
    steps={"XNLI": 100, "POS": 100, "NC": 50},
    eval_rows=5010,
    check_steps=50,
    check_rows=1600,
    seed_rows=1600,
    seed_epochs=2,
    seed_eval_rows=400,
    seeds=(1, 2, 3),
    variants=tuple(VARIANTS),
    run_rows=384,
    kill=8,
    counts=(1, 2, 4),
    seconds=4,
    sizes=(4096, 8192, 12288),
    numbers=1 << 29,
)
REHEARSED = Scale(
    shapes="rehearsed",
    steps={"XNLI": 4, "POS": 4, "NC": 3},
    eval_rows=40,
    check_steps=4,
    check_rows=128,
    seed_rows=64,
    seed_epochs=1,
    seed_eval_rows=8,
    seeds=(1, 2),
    variants=("fp32 with dropout",),
    run_rows=128,
    kill=2,
    counts=(1, 2),
    seconds=1,
    sizes=(256, 512),
    numbers=1 << 20,
)


def all_parts(encoder: str, data: str, folder: Path, scale: Scale) -> dict[str, list[Part]]:
    """Parts by group, in order of worth; a group's name is what ``--only`` takes.

    Args:
        encoder: the real encoder.
        data: real text, as in ``--metadata``.
        folder: where the random encoder and the long texts are written.
        scale: how much is done.
    """
    real, shapes = encoder, str(folder / "shapes")
    kinds = Parts(data, folder, scale)

    def speeds(*sides: str, of: str = "shapes", precision: str = "bf16") -> list[Part]:
        return [kinds.speed(of, real if of == "real" else shapes, side, precision) for side in sides]

    return {
        "facts": [kinds.facts()],
        "checks": [kinds.steps(real, "equal"), kinds.steps(real, "arithmetic"), kinds.runs(real), kinds.whole(real)],
        "seeds": [kinds.seeds(real, "cuda", "bf16"), kinds.seeds(real, "cpu", "fp32")],
        "memory": [kinds.steps(real, "memory")],
        "material": [kinds.material(real)],
        "speed": speeds("ours", "Trainer", "Trainer at its best"),
        "profile": [kinds.profile(shapes, "ours", workload) for workload in PROFILED],
        "compiled": [
            kinds.speed("shapes", shapes, "Trainer with cuDNN", "bf16", ("NC", "XNLI")),
            *(
                kinds.speed("shapes", shapes, side, "bf16", (rows,))
                for rows in ("NC", "XNLI")  # NC has one length; for each of XNLI's ours compiles anew
                for side in ("ours compiled", "Trainer compiled")
            ),
        ],
        "together": [kinds.together(shapes, mps=False), kinds.together(shapes, mps=True)],
        "e5": speeds("ours", "Trainer", of="real"),
        "fp32": speeds("ours", "Trainer", precision="fp32"),
        "more": [
            kinds.seeds(real, "cuda", "fp32"),
            kinds.speed("eager", shapes, "ours", "bf16", ("XNLI", "NC")),
            *(kinds.profile(shapes, "Trainer", workload) for workload in PROFILED),
            *speeds("ours", "Trainer", of="again"),
        ],
    }


class Parts:
    """Parts of each kind."""

    def __init__(self, data: str, folder: Path, scale: Scale) -> None:
        """Take what they share."""
        self._data, self._long, self._scale, self._folder = data, str(folder / "long"), scale, folder

    def facts(self) -> Part:
        """Card, versions, and what the card can do at most."""
        keys = ("card", "bf16 products", "fp32 products", "copies", "launches", "a graph", "our steps")
        arguments = {"sizes": self._scale.sizes, "numbers": self._scale.numbers}
        return Part("facts", "benchmarks.gpu.facts", arguments, 25, 90, tuple(f"facts/{key}" for key in keys))

    def material(self, encoder: str) -> Part:
        """The random encoder, with this one's tokenizer, and the long texts."""
        arguments = {
            "encoder": encoder,
            "data": self._data,
            "folder": str(self._folder),
            "shapes": self._scale.shapes,
            "rows": 32 * self._scale.steps["NC"],
        }
        keys = ("material/encoder", "material/long texts")
        return Part("material", "benchmarks.gpu.material", arguments, 20, 90, keys)

    def steps(self, encoder: str, kind: str) -> Part:
        """Checks of single steps; `CHECKS` has their kinds."""
        setting = Setting(encoder, self._data, "pos", rows=self._scale.check_rows, eval_rows=16)
        arguments = {"setting": asdict(setting), "steps": self._scale.check_steps, "checks": CHECKS[kind]}
        keys = tuple(f"checks/{key}" for key in CHECKS[kind])
        return Part(f"checks, {kind}", "benchmarks.gpu.step_checks", arguments, 40, 150, keys, BESIDE)

    def runs(self, encoder: str) -> Part:
        """Trainings that are killed and resumed."""
        variants = {name: VARIANTS[name] for name in self._scale.variants}
        setting = Setting(encoder, self._data, "pos", rows=self._scale.run_rows, eval_rows=0)
        arguments = {"setting": asdict(setting), "variants": variants, "kill": self._scale.kill, "epochs": 2}
        keys = tuple(f"checks/resumed = unbroken, {name}" for name in variants)
        return Part("killed and resumed", "benchmarks.gpu.run_checks", arguments, 45, 150, keys, BESIDE)

    def whole(self, encoder: str) -> Part:
        """lm_eval as a user starts it, with diagnostics."""
        setting = Setting(encoder, self._data, "xnli", rows=self._scale.run_rows)
        arguments = {"setting": asdict(setting), "limit": 64}
        key = "checks/a whole run"
        return Part("a whole run", "benchmarks.gpu.whole_run", arguments, 45, 150, (key,), BESIDE)

    def seeds(self, encoder: str, device: str, precision: Any) -> Part:
        """The real encoder on POS, some seeds."""
        scale, key = self._scale, f"seeds/{device} {precision}"
        setting = Setting(encoder, self._data, "pos", scale.seed_rows, eval_rows=scale.seed_eval_rows,
                          precision=precision, learning_rate=1e-4)  # fmt: skip
        arguments = {"key": key, "setting": asdict(setting), "epochs": scale.seed_epochs, "seeds": scale.seeds}
        estimate, limit, environment = (90.0, 240.0, ON_CPU) if device == "cpu" else (30.0, 100.0, BESIDE)
        return Part(f"seeds, {device} {precision}", "benchmarks.gpu.seeds", arguments, estimate, limit, (key,),
                    environment)  # fmt: skip

    def speed(
        self, encoder_name: str, encoder: str, side: str, precision: Any, workloads: tuple[str, ...] = WORKLOADS
    ) -> Part:
        """Training and evaluation of one side."""
        compiled, evaluates = side.endswith("compiled"), side in ("ours", "Trainer", "Trainer at its best")
        jobs = [
            {"key": f"speed/{encoder_name}/{precision}/{workload}/{side}",
             "setting": asdict(self._setting(encoder, workload, precision, evaluates=evaluates))}
            for workload in workloads
        ]  # fmt: skip
        arguments = {
            "side": side.split()[0],
            "best": side.startswith("Trainer "),
            "compile": compiled,
            "graphs": encoder_name != "eager",
            "jobs": jobs,
        }
        estimate = {"ours": 65.0, "Trainer": 60.0, "Trainer at its best": 55.0}.get(side, 70.0)
        name = f"speed, {encoder_name}, {side}, {precision}, {' '.join(workloads)}"
        environment = PLAIN if side in ("Trainer", "Trainer at its best", "Trainer compiled") else {}
        keys = tuple(job["key"] for job in jobs)
        return Part(name, "benchmarks.gpu.speed", arguments, estimate, 230 if compiled else 170, keys, environment)

    def profile(self, encoder: str, side: str, workload: str) -> Part:
        """Where the time of a step goes. A process traces once: a second trace may be a wrong one."""
        key, setting = f"profile/{workload}/{side}", self._setting(encoder, workload, "bf16", evaluates=False)
        arguments = {"side": side, "graphs": True, "jobs": [{"key": key, "setting": asdict(setting)}]}
        environment = PLAIN if side == "Trainer" else {}
        return Part(f"profile, {side}, {workload}", "benchmarks.gpu.profiles", arguments, 22, 80, (key,), environment)

    def together(self, encoder: str, *, mps: bool) -> Part:
        """Several trainings on one card."""
        counts = self._scale.counts
        setting = asdict(self._setting(encoder, "XNLI", "bf16", evaluates=False))
        arguments = {"setting": setting, "counts": counts, "seconds": self._scale.seconds, "between": 20, "mps": mps}
        keys = tuple(f"together/{count}{' with MPS' if mps else ''}" for count in counts)
        name = "together, with MPS" if mps else "together"
        return Part(name, "benchmarks.gpu.together", arguments, 50, 150, keys)

    def _setting(self, encoder: str, workload: str, precision: Any, *, evaluates: bool) -> Setting:
        data = self._long if workload == "NC" else self._data
        eval_rows = self._scale.eval_rows if evaluates and workload != "NC" else 0
        rows = 32 * self._scale.steps[workload]
        return Setting(encoder, data, TASKS[workload], rows, eval_rows=eval_rows, precision=precision)
