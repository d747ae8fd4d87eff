"""Where a number comes from: versions, hardware and the harness's own revision."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from xglue_harness.encoders.cpu_precision import known_bf16_gain, processor
from xglue_harness.files import file_sha256
from xglue_harness.records.parts import Environment
from xglue_harness.resources import PACKAGE

PACKAGES = (
    "xglue-harness",
    "lm-eval",
    "torch",
    "transformers",
    "tokenizers",
    "sentencepiece",
    "safetensors",
    "peft",
    "accelerate",
    "datasets",
    "numpy",
)

_DECIDING = ("encoders", "kinds", "prediction", "probing", "store", "training")
_RECORDS = ("records/parts.py", "records/schema.py", "records/training_schema.py")
_DECIDING_FILES = ("benchmark.py", "data/official.py", "metrics.py", "recipe.py", *_RECORDS, "scoring.py")
_GIT_SECONDS = 5
_REPOSITORY_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""Set by git while it runs a hook; they would point at the hook's repository instead of the package's."""


def environment(device: Any, packages: Sequence[str] = ()) -> Environment:
    """Software and hardware of this process.

    Args:
        device: the torch device that the work runs on.
        packages: those that can move the score beside the ones that can move any.
    """
    return Environment(
        versions=versions() | {package: _version(package) for package in packages},
        hardware=hardware(device),
        git_revision=git_revision(),
        code_sha256=code_sha256(),
    )


@cache
def code_sha256(package: Path = PACKAGE) -> str:
    """Hash (hex) of the code that decides a score: it reads, trains, predicts and scores.

    It is for people who compare two records: any edit changes it, a comment's too, so that no key has it in it.
    """
    sources = [package / name for name in _DECIDING_FILES]
    for folder in _DECIDING:
        sources.extend(sorted((package / folder).glob("*.py")))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.relative_to(package).as_posix()}\0{file_sha256(source)}\n".encode())
    return digest.hexdigest()


@cache
def git_revision(package: Path = PACKAGE) -> str | None:
    """The commit that the harness runs from.

    Args:
        package: folder of the harness's code.

    Returns:
        40 hex digits (of the checkout, or of the commit that pip installed from, PEP 610), with ``-dirty`` behind them
        where tracked files of the package were changed since; ``None`` where no commit is known, as for a release.
    """
    # A virtual environment may lie inside somebody's repository: it counts only where it tracks the package's files.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return _installed_commit()
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", ".")
    if commit is None or changed is None:
        return None
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; ``None`` where it fails, takes too long, or is not installed."""
    settings = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_OF_A_HOOK}
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]  # no lock: a look must not disturb others
    try:
        done = subprocess.run(  # noqa: S603
            command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _installed_commit() -> str | None:
    try:
        origin = metadata.distribution("xglue-harness").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    commit = json.loads(origin or "{}").get("vcs_info", {}).get("commit_id")
    return str(commit) if commit else None


@cache
def versions() -> dict[str, str]:
    """Version of Python and of each package that can move a score (``absent`` where it is not installed)."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def hardware(device: Any) -> dict[str, Any]:
    """The processor, the GPU if the run uses one, and the threads of torch.

    On a CPU also what bf16 gains there, once that was measured: where the precision is ``auto``.
    """
    import torch

    hardware: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": str(device),
    }
    if device.type == "cpu" and (gain := known_bf16_gain()):
        hardware["bf16_products"] = str(gain)
    if device.type == "cuda":
        hardware["gpu"] = torch.cuda.get_device_name(device)
        hardware["cuda"] = torch.version.cuda
    return hardware
