"""Which engine starts the workers, where the user has not said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal, NamedTuple

from xglue_harness.errors import SweepError

Engine = Literal["local", "ray", "slurm"]

SLURM = "slurm"
"""Folder of Slurm's scripts and logs, within the queue's."""

PACKAGES = {"ray": "ray", "slurm": "submitit"}
"""What an engine needs installed, all of it in the extra ``cluster``."""

OPTIONS: Mapping[Engine, tuple[str, ...]] = {
    "local": (),
    "ray": ("workers", "address"),
    "slurm": ("workers", "partition", "account", "gres", "time", "setup"),
}
"""Options of the command line that mean something to an engine."""


class Choice(NamedTuple):
    """An engine, and why it is this one, for people."""

    engine: Engine
    why: str


def choose(engine: Engine | None = None, options: Mapping[str, object] | None = None) -> Choice:
    """The engine that was asked for, else the one that fits the machine.

    Args:
        engine: asked for.
        options: of the command line, by name; those of value ``None`` were not given.

    Raises:
        SweepError: where the package of an engine is missing, or an option is none of the engine's.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    choice = _choice(engine, given.get("address"))
    if others := [name for name in given if name not in OPTIONS[choice.engine]]:
        raise SweepError(
            f"--{others[0]} is no option of the engine {choice.engine} ({choice.why}); --engine changes it"
        )
    package = PACKAGES.get(choice.engine)
    if package is not None and find_spec(package) is None:
        raise SweepError(
            f"engine {choice.engine} ({choice.why}) needs {package}: pip install 'xglue-harness[cluster]', or choose "
            "--engine local"
        )
    return choice


def _choice(engine: Engine | None, address: object) -> Choice:
    if engine is not None:
        return Choice(engine, "as asked for")
    if address is not None:
        return Choice("ray", f"on the cluster at {address}")
    in_a_job = "SLURM_JOB_ID" in os.environ
    if shutil.which("sbatch") is not None and not in_a_job:
        return Choice("slurm", "sbatch is on the PATH; --engine ray or local for this machine alone")
    if find_spec("ray") is not None:
        return Choice("ray", "on this machine" + (", in a job of Slurm" if in_a_job else ""))
    return Choice("local", "one worker in this process; for several at once: pip install 'xglue-harness[cluster]'")
