"""Which engine starts the workers, where the user has not said."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Literal, NamedTuple

from xglue_harness.errors import SweepError

Engine = Literal["local", "ray", "slurm"]

PACKAGES = {"ray": "ray", "slurm": "submitit"}
"""What an engine needs installed, all of it in the extra ``cluster``."""


class Choice(NamedTuple):
    """An engine, and why it is this one, for people."""

    engine: Engine
    why: str


def choose(engine: Engine | None = None, address: str | None = None) -> Choice:
    """The engine that was asked for, else the one that fits the machine.

    Args:
        engine: asked for.
        address: of a Ray cluster.

    Raises:
        SweepError: where the package of an engine that was asked for, or that this machine calls for, is missing.
    """
    choice = _choice(engine, address)
    package = PACKAGES.get(choice.engine)
    if package is not None and find_spec(package) is None:
        raise SweepError(
            f"engine {choice.engine} ({choice.why}) needs {package}: pip install 'xglue-harness[cluster]', or choose "
            "--engine local"
        )
    return choice


def _choice(engine: Engine | None, address: str | None) -> Choice:
    if address is not None and engine not in (None, "ray"):
        raise SweepError(f"--address is a Ray cluster's, and the engine is {engine}: leave one of them out")
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
