"""No start imports what it does not use. Only the imports are looked at, never the time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import xglue_harness
from xglue_harness.data.folder import SAMPLE

pytestmark = pytest.mark.processes

HEAVY = {
    *("torch", "transformers", "datasets", "lm_eval", "pydantic", "numpy", "pyarrow", "sklearn", "seqeval"),
    *("accelerate", "evaluate", "huggingface_hub", "safetensors", "filelock", "tqdm"),
}
HOOK = {"xglue_harness", "xglue_harness.hook"}
REGISTERING = HOOK | {
    *(f"xglue_harness.harness.{name}" for name in ("plugin", "patches", "hf", "processes", "evaluation", "showing")),
    *(f"xglue_harness.{name}" for name in ("harness", "resources", "exclusive", "interrupt", "threads", "bars")),
}
"""What registers the tasks with lm_eval."""
_CLI = ("cli", "cli.app", "cli.listing", "cli.options", "cli.plan", "cli.probe", "cli.run", "cli.submission")
ENGINES = {"xglue_harness.sweeps.engines", "xglue_harness.sweeps.engines.choice"}
COMMAND_LINE = HOOK | {f"xglue_harness.{name}" for name in (*_CLI, "errors", "threads")}


def _imported(code: str) -> set[str]:
    """All modules of an interpreter that ends after the code, hook included."""
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{code}"
    command = [sys.executable, "-c", f"import xglue_harness.hook\n{code}"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()[-1].split())


def _imported_by(*arguments: str) -> set[str]:
    """All modules of ``xglue-harness`` with these arguments."""
    return _imported(f"from xglue_harness.cli import main; main({[*arguments]!r})")


SCHEMAS = ("parts", "training_schema", "schema", "json_schema", "prompt_schema", "probe_schema")


def _ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "xglue_harness"}


def test_the_hook_imports_nothing_but_itself():
    """In an interpreter without ``site``, where nothing else has been imported yet."""
    checkout = str(Path(xglue_harness.__file__).parents[1])
    code = (
        f"import sys; sys.path.append({checkout!r}); before = set(sys.modules); import xglue_harness.hook as hook;"
        "assert hook._Finder in sys.meta_path; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == HOOK


def test_the_interpreter_starts_without_heavy_modules():
    imported = _imported("import xglue_harness")
    assert not imported & HEAVY
    assert _ours(imported) == HOOK


def test_help_imports_the_command_line_only():
    imported = _imported_by("--help")
    assert "typer" in imported
    assert not imported & HEAVY
    assert _ours(imported) == COMMAND_LINE


@pytest.mark.processes
def test_the_version_imports_what_looks_it_up_only():
    imported = _imported_by("--version")
    assert not imported & HEAVY
    assert _ours(imported) == COMMAND_LINE


@pytest.mark.parametrize(
    ("arguments", "theirs"),
    [
        (["schema"], {"xglue_harness.records", *(f"xglue_harness.records.{name}" for name in SCHEMAS)}),
        (["store", "--help"], {"xglue_harness.cli.store", "xglue_harness.cli.store_export"}),
        (["cache", "--help"], {"xglue_harness.cli.cache"}),
        (["demo", "--help"], set()),
        (["leaderboard", "--help"], {"xglue_harness.cli.leaderboard"}),
        (["leaderboard", "build", "--help"], {"xglue_harness.cli.leaderboard"}),
        (["backbone", "--help"], {"xglue_harness.cli.backbone"}),
        (["results", "--help"], {"xglue_harness.cli.results", "xglue_harness.cli.results_export"}),
        (["results", "compare", "--help"], {"xglue_harness.cli.results", "xglue_harness.cli.results_export"}),
        (
            ["sweep", "run", "--help"],
            {"xglue_harness.cli.sweep", "xglue_harness.cli.sweep_plan", "xglue_harness.sweeps", *ENGINES},
        ),
    ],
)
def test_a_command_imports_only_its_own_modules(arguments, theirs):
    imported = _imported_by(*arguments)
    assert imported & HEAVY <= {"pydantic"}  # which typer imports for options
    assert _ours(imported) == COMMAND_LINE | theirs


@pytest.mark.parametrize("arguments", [["data", "--help"], ["data", "check", str(SAMPLE), "--allow-partial"]])
def test_looking_at_data_imports_the_data_layer_only(arguments):
    imported = _imported_by(*arguments)
    assert imported & HEAVY <= {"pydantic"}
    layers = {name.split(".")[1] for name in _ours(imported) - COMMAND_LINE}
    ground = {"atomic", "exclusive", "files", "resources", "seal"}
    shapes = {"kinds", "metrics", "official_metrics"}  # what a task's shape decides, its score included
    assert layers <= {"benchmark", "cli", "data"} | shapes | ground


def test_the_help_of_lm_eval_gets_the_hook_only():
    imported = _imported("from lm_eval.__main__ import cli_evaluate; sys.argv = ['lm_eval', '--help']; cli_evaluate()")
    assert "lm_eval._cli.harness" in imported
    assert _ours(imported) == HOOK


def test_discovering_tasks_imports_what_registers_them_only():
    imported = _imported("import lm_eval.tasks.manager")
    assert not imported & {"torch", "transformers", "lm_eval.models.huggingface"}
    assert _ours(imported) == REGISTERING


def test_an_evaluation_without_our_tasks_imports_none_of_them():
    imported = _imported(
        "from lm_eval.evaluator import evaluate; from lm_eval.models.dummy import DummyLM;"
        "assert evaluate._xglue_harness; evaluate(DummyLM(), {'tasks': {}, 'groups': {}})"
    )
    assert _ours(imported) == REGISTERING


@pytest.mark.parametrize("command", ["ls", "du"])
def test_looking_at_the_store_does_not_wait_for_torch(command):
    assert not _imported_by("store", command) & {"torch", "numpy", "transformers", "datasets", "lm_eval"}


def test_a_sweeps_worker_imports_nothing_heavy():
    """It watches; what it watches loads lm_eval in a process of its own."""
    modules = ("begin", "worker", "status")
    imported = _imported("; ".join(f"import xglue_harness.sweeps.{name}" for name in modules))
    assert not imported & HEAVY
