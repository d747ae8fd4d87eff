"""Plain lm_eval finds us in wheel and editable installs, survives a broken plug-in, and forgets us afterwards.

Each test installs into an environment of its own that sees this one's packages, but not its ``.pth`` files.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from xglue_harness.benchmark import TASKS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"xglue_zs", *(spec.group for spec in TASKS.values())} | {
    spec.leaf(language) for spec in TASKS.values() for language in spec.languages
}
LIST = """
from lm_eval.tasks import TaskManager
from lm_eval.api.registry import model_registry
manager = TaskManager()
models = [name for name in model_registry if name == "hf-encoder"]
print(*(name for name in manager.all_tasks if name.startswith("xglue_")), *models)
print(len(manager.all_tasks))
"""


class Environment:
    """A virtual environment beside the running one."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        (self.packages / "parent.pth").write_text(sysconfig.get_path("purelib"))

    def pip(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "--quiet", *arguments]
        subprocess.run(command, check=True, capture_output=True, text=True)

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), "-c", code], check=True, capture_output=True, text=True, cwd=self.packages.anchor
        )

    def listed(self) -> tuple[set[str], str]:
        done = self.run(LIST)
        names, count = done.stdout.splitlines()[-2:]
        assert int(count) > 1000, "lm_eval's own tasks are gone"
        return set(names.split()), done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
        check=True,
    )
    [built] = folder.glob("xglue_harness-*.whl")
    return built


def test_a_wheel_is_found_a_broken_one_warns_and_an_uninstalled_one_is_gone(wheel, tmp_path):
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", "--no-index", str(wheel))
    names, _ = environment.listed()
    assert names == NAMES | {"hf-encoder"}

    heavy = environment.run(
        "import sys; print([n for n in ('typing', 'torch', 'lm_eval', 'yaml') if n in sys.modules])"
    )
    assert heavy.stdout.strip() == "[]", "the interpreter's start got slower"

    register = environment.packages / "xglue_harness" / "harness" / "plugin.py"
    register.write_text("raise OSError('no space left')")
    names, warned = environment.listed()
    assert not names
    assert "xglue-harness can't be registered, so lm_eval has no xglue_* tasks: OSError: no space left" in warned

    environment.pip("uninstall", "--yes", "xglue-harness")
    names, _ = environment.listed()
    assert not names
    left = [path for path in environment.packages.rglob("*") if "xglue" in path.name]
    assert not left


def test_an_editable_install_is_found_and_reads_the_yaml_of_the_checkout(tmp_path):
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(ROOT))
    names, _ = environment.listed()
    assert names == NAMES | {"hf-encoder"}
    folder = environment.run("from xglue_harness.resources import tasks_folder; print(tasks_folder())")
    assert Path(folder.stdout.strip()) == ROOT / "tasks"


FORKED = """
import os, sys
import torch, transformers  # once for all: they know nothing of the hook
code, *firsts = sys.argv[1:]
for first in firsts:
    child = os.fork()
    if child == 0:
        exec(code)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, first
"""


def test_the_hook_waits_at_the_head_of_the_path_and_leaves_when_done():
    """Whatever of lm_eval is imported first."""
    firsts = ["lm_eval.tasks.manager", "lm_eval.models.huggingface", "lm_eval.evaluator"]
    code = (
        "import sys, importlib, xglue_harness.hook as hook; assert hook._Finder in sys.meta_path;"
        "assert 'lm_eval' not in sys.modules; importlib.import_module(first);"
        "from lm_eval.tasks.manager import TaskManager; assert TaskManager.__init__._xglue_harness;"
        "from lm_eval.api.model import LM; assert callable(LM.xglue_transfer);"
        "from lm_eval.models.huggingface import HFLM; assert HFLM.__init__._xglue_harness;"
        "from lm_eval import evaluator; assert evaluator.evaluate._xglue_harness;"
        "from lm_eval.loggers import EvaluationTracker;"
        "assert EvaluationTracker.save_results_aggregated._xglue_harness;"
        "assert hook._Finder not in sys.meta_path; hook.install(); assert hook._Finder not in sys.meta_path;"
        "once = HFLM.__init__, evaluator.evaluate, EvaluationTracker.save_results_aggregated; hook.register_or_warn();"
        "assert (HFLM.__init__, evaluator.evaluate, EvaluationTracker.save_results_aggregated) == once"
    )
    subprocess.run([sys.executable, "-c", FORKED, code, *firsts], check=True)


def test_models_are_taught_where_no_hook_is_read():
    """As in ``xglue-harness run``: the last chance is the making of the model. So it is for lm-eval's evaluator."""
    code = (
        "import sys; sys.modules['xglue_harness.hook'] = None;"
        "sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, '__module__', '') != 'xglue_harness.hook'];"
        "from xglue_harness.harness.plugin import register; register();"
        "from lm_eval.api.registry import get_model; model = get_model('hf');"
        "assert not hasattr(model.__init__, '_xglue_harness');\n"
        "try: model.create_from_arg_string('pretrained=./nowhere,device=cpu')\n"
        "except Exception: pass\n"
        "assert model.__init__._xglue_harness\n"
        "from lm_eval import evaluator; assert not hasattr(evaluator.evaluate, '_xglue_harness')\n"
        "try: model.create_from_arg_string('pretrained=./nowhere,device=cpu')\n"
        "except Exception: pass\n"
        "assert evaluator.evaluate._xglue_harness"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tasks_that_are_reached_by_include_path_alone_register_themselves():
    """As where no ``.pth`` is read and lm_eval's own command line is called."""
    code = (
        "import sys; sys.modules['xglue_harness.hook'] = None;"
        "sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, '__module__', '') != 'xglue_harness.hook'];"
        "from lm_eval import evaluator; from lm_eval.api.model import LM; from lm_eval.tasks import TaskManager;"
        "from xglue_harness.resources import tasks_folder; import xglue_harness.harness.task;"
        "assert not hasattr(LM, 'xglue_transfer'), 'an import registers';"
        "folder = str(tasks_folder()); options = {'data': 'sample'};"
        "manager = TaskManager(include_path=folder, include_defaults=False, metadata=options);"
        "manager.load(['xglue_xnli_zs_de']);"
        "assert callable(LM.xglue_transfer); assert evaluator.evaluate._xglue_harness"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
