"""Which engine is taken."""

from __future__ import annotations

import pytest

from xglue_harness.errors import SweepError
from xglue_harness.sweeps.engines import choice
from xglue_harness.sweeps.engines.choice import choose


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine that has some programs on its PATH, packages, and variables."""

    def make(programs=(), packages=(), **variables):
        for name in programs:
            (tmp_path / name).touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(choice, "find_spec", lambda name: object() if name in packages else None)
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return make


@pytest.mark.parametrize(
    ("programs", "packages", "variables", "engine"),
    [
        ((), (), {}, "local"),
        ((), ("ray",), {}, "ray"),
        (("sbatch",), ("ray", "submitit"), {}, "slurm"),
        (("sbatch",), ("ray", "submitit"), {"SLURM_JOB_ID": "7"}, "ray"),
        (("sbatch",), (), {"SLURM_JOB_ID": "7"}, "local"),
    ],
)
def test_the_machine_decides_where_nobody_does(machine, programs, packages, variables, engine):
    machine(programs, packages, **variables)
    assert choose().engine == engine


def test_what_is_asked_for_counts(machine):
    machine(("sbatch",), ("ray", "submitit"))
    assert choose("local").engine == "local"
    assert choose("ray").engine == "ray"
    assert choose(options={"address": "auto"}).engine == "ray"


def test_without_ray_it_says_how_to_have_several_workers(machine):
    machine()
    assert "pip install 'xglue-harness[cluster]'" in choose().why


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "ray"}, "engine ray .* needs ray: pip install"),
        ({"engine": "slurm"}, "engine slurm .* needs submitit: pip install"),
        ({"options": {"address": "auto"}}, "engine ray .* needs ray"),
        ({"engine": "slurm", "options": {"address": "auto"}}, "--address is no option of the engine slurm"),
        ({"engine": "ray", "options": {"time": "90"}}, "--time is no option of the engine ray"),
        ({"options": {"workers": 2, "time": None}}, "--workers is no option of the engine local .*pip install"),
    ],
)
def test_what_can_not_be_is_refused(machine, arguments, message):
    machine()
    with pytest.raises(SweepError, match=message):
        choose(**arguments)


def test_a_login_node_without_submitit_is_told_and_not_worked_on(machine):
    machine(("sbatch",), ("ray",))
    with pytest.raises(SweepError, match=r"sbatch is on the PATH.* needs submitit"):
        choose()
