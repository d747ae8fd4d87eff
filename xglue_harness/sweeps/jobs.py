"""The jobs of a sweep: one job is one training, of a backbone on a task from a seed, scored in all its languages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.errors import SweepError

if TYPE_CHECKING:  # pydantic takes a while, which what reads a queue's jobs need not wait for
    from xglue_harness.sweeps.file import Needs as NeedsInFile
    from xglue_harness.sweeps.file import SweepBackbone, SweepFile

WEIGHTS = ("*.safetensors", "*.bin")
"""Files of a checkpoint with weights, whose bytes say how large the model is."""

USUAL_BYTES = 1_000_000_000
"""Size of a model of which nothing is known: about that of XLM-R base, in fp32."""


@dataclass(frozen=True)
class Needs:
    """What a job needs; ``None`` leaves it to the engine (`xglue_harness.sweeps.file.Needs`)."""

    gpus: float | None = None
    cpus: int | None = None
    memory_gb: float | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Job:
    """One training and its evaluation: one run of lm_eval.

    Attributes:
        backbone: its name in the sweep's file.
        task: short name.
        languages: those to score, in the table's order.
        seed: of the training, lm_eval's ``--seed``.
        model: lm_eval's ``--model``.
        model_args: lm_eval's ``--model_args``; paths are absolute.
        metadata: lm_eval's ``--metadata``, the options of the run.
        device: lm_eval's ``--device``.
        needs: what it needs of a machine.
        stamps: of each file or folder that it reads, what tells whether its content has changed.
        weight: how long it takes, beside other jobs of the sweep: subwords of the training set times epochs times
            bytes of the model, or what the file says of its minutes in their place.
    """

    backbone: str
    task: str
    languages: tuple[str, ...]
    seed: int
    model: str
    model_args: Mapping[str, Any]
    metadata: Mapping[str, Any]
    device: str | None = None
    needs: Needs = field(default_factory=Needs)
    stamps: Mapping[str, str] = field(default_factory=dict)
    weight: float = 0.0

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits over all that decides its result; a changed file keeps the results of equal keys.

        Where it runs (``device``, `Needs`) and what its backbone is called decide nothing.
        """
        facts = {
            "task": self.task,
            "languages": list(self.languages),
            "seed": self.seed,
            "model": self.model,
            "model_args": dict(self.model_args),
            "metadata": {key: value for key, value in self.metadata.items() if key != "checkpoint_minutes"},
            "stamps": dict(self.stamps),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """For people: ``xlmr-base xnli seed 1``."""
        return f"{self.backbone} {self.task} seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Where its results appear, below the sweep's output; what ``lm_eval --output_path`` writes is in it."""
        return Path(self.backbone, f"{self.task}-seed{self.seed}-{self.key[:8]}")

    @property
    def tasks(self) -> list[str]:
        """lm_eval's ``--tasks``: the task's group, or some of its leaves."""
        spec = TASKS[self.task]
        whole = set(self.languages) == set(spec.languages)
        return [spec.group] if whole else [spec.leaf(language) for language in self.languages]

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Job:
        """A job that `as_json` wrote."""
        given = {**value, "languages": tuple(value["languages"]), "needs": Needs(**value["needs"])}
        return cls(**given)


def expand(sweep: SweepFile) -> list[Job]:
    """All jobs of a sweep, the longest first: backbone x task x seed; languages of a task share a job.

    Args:
        sweep: as `xglue_harness.sweeps.file.load` gives it, with absolute paths.

    Raises:
        SweepError: where two backbones of the file are the same, or a file that the sweep names can't be looked at.
    """
    from xglue_harness.recipe import with_recipe
    from xglue_harness.sweeps.file import leaves_of

    wanted = {leaf for name in sweep.tasks for leaf in leaves_of(name)}
    jobs: list[Job] = []
    sizes = _sizes(sweep.backbones)
    for name, backbone in sweep.backbones.items():
        arguments = _model_args(backbone)
        needs = _needs(sweep.needs, backbone.needs)
        for task, spec in TASKS.items():
            languages = tuple(language for language in spec.languages if (task, language) in wanted)
            if not languages:
                continue
            metadata = _metadata(sweep.metadata, task)
            stamps = _stamps([*_strings(arguments), *_strings(metadata)])
            settings = with_recipe(metadata, task)
            weight = _subwords(task, settings) * settings.get("epochs", 10) * sizes[name]
            facts = (backbone.model, arguments, metadata, sweep.device, needs, stamps, weight)
            jobs += [Job(name, task, languages, seed, *facts) for seed in sweep.seeds]
    names: dict[str, str] = {}
    for job in jobs:
        if (other := names.setdefault(job.key, job.backbone)) != job.backbone:
            raise SweepError(f"backbones.{job.backbone}: is the same as {other}; keep one of them")
    order = {task: place for place, task in enumerate(TASKS)}
    return sorted(jobs, key=lambda job: (-job.weight, job.backbone, order[job.task], job.seed))


def arguments(job: Job, output: Path) -> list[str]:
    """What plain ``lm_eval`` is given for this job.

    Args:
        job: the job.
        output: folder for its results.
    """
    given = ["--model", job.model, "--model_args", json.dumps(dict(job.model_args)), "--tasks", *job.tasks]
    given += ["--seed", str(job.seed), "--metadata", json.dumps(dict(job.metadata)), "--output_path", str(output)]
    return given if job.device is None else [*given, "--device", job.device]


# ---------------------------------------------------------------- parts of a job


def _model_args(backbone: SweepBackbone) -> dict[str, Any]:
    revision = {} if backbone.revision is None else {"revision": backbone.revision}
    return {"pretrained": backbone.pretrained, **revision, **backbone.model_args}


def _metadata(options: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The options of a job: of the data, its own task's, so that another's place does not change its key."""
    data = options["data"]
    if not isinstance(data, dict):
        return dict(options)
    return {**options, "data": {task: data[task]} if task in data else "hub"}


def _needs(common: NeedsInFile, own: NeedsInFile | None) -> Needs:
    chosen = {**common.model_dump(), **({} if own is None else own.model_dump(exclude_unset=True))}
    return Needs(**chosen)


def _subwords(task: str, metadata: Mapping[str, Any]) -> float:
    """Of the official training set, or of fewer rows where the recipe has a limit."""
    from xglue_harness.data.manifest import manifest_rows
    from xglue_harness.sweeps.amounts import USUAL_SUBWORDS

    official = manifest_rows(TASKS[task], "train", SOURCE_LANGUAGE) or 1
    rows = min(official, metadata.get("train_limit") or official)
    return float(rows * min(USUAL_SUBWORDS[task], metadata.get("max_length", 256)))


def _sizes(backbones: Mapping[str, SweepBackbone]) -> dict[str, float]:
    """By backbone, how long its jobs take beside those of others: its bytes, or as many as its minutes stand for."""
    sizes = {name: _bytes_of(backbone.pretrained) for name, backbone in backbones.items()}
    minutes = {name: given.needs.minutes for name, given in backbones.items() if given.needs and given.needs.minutes}
    if not minutes:
        return sizes
    bytes_a_minute = median(sizes[name] / known for name, known in minutes.items())
    return {**sizes, **{name: known * bytes_a_minute for name, known in minutes.items()}}


def _bytes_of(pretrained: str) -> float:
    """Bytes of a checkpoint's weights, where it is a folder or the leaderboard describes it; else `USUAL_BYTES`."""
    folder = Path(pretrained)
    if folder.is_absolute():
        return sum(path.stat().st_size for pattern in WEIGHTS for path in folder.glob(pattern)) or USUAL_BYTES
    return _described().get(pretrained, USUAL_BYTES)


@cache
def _described() -> dict[str, int]:
    """Bytes in fp32 of the encoders that the leaderboard describes, by their id on the Hub."""
    from xglue_harness.leaderboard.contributions.backbones import read_backbone
    from xglue_harness.resources import published_tree

    backbones = [read_backbone(path) for path in (published_tree() / "backbones").glob("*.yaml")]
    return {backbone.hub: 4 * backbone.parameters.encoder for backbone in backbones if backbone.hub}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for inner in value.values() for text in _strings(inner)] if isinstance(value, dict) else []


def _stamps(texts: list[str]) -> dict[str, str]:
    """By path, a hash over names, sizes and times of the files there: it changes when a checkpoint is saved again.

    Raises:
        SweepError: where one can't be looked at.
    """
    try:
        return {text: _stamp(Path(text)) for text in texts if Path(text).is_absolute() and Path(text).exists()}
    except OSError as error:
        raise SweepError(f"{error.filename}: {error.strerror}") from None


def _stamp(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        facts = file.stat()
        digest.update(f"{file.relative_to(path)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
