"""What is patched in lm_eval stands in one table, is patched once, and is what the documentation shows."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from xglue_harness import hook
from xglue_harness.harness import patches
from xglue_harness.harness.patches import MARK, PATCHES, Patch, apply_patches, as_markdown, wrap_once
from xglue_harness.resources import tasks_folder

ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def _function(patch: Patch):
    target = importlib.import_module(patch.module)
    for name in patch.target.split("."):
        target = getattr(target, name)
    return target


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.target)
def test_each_target_is_there_and_patched(patch):
    if patch.module == hook.PARSER:
        hook._refuse_depth(importlib.import_module(patch.module))  # where lm_eval was loaded before the hook
    apply_patches()
    assert getattr(_function(patch), MARK)
    assert patch.why
    assert patch.upstream
    assert patch.until


def test_nothing_is_patched_twice_even_by_a_module_that_was_loaded_again():
    apply_patches()
    before = [_function(patch) for patch in PATCHES]
    importlib.reload(patches).apply_patches()
    hook._refuse_depth(importlib.import_module(hook.PARSER))
    assert [_function(patch) for patch in PATCHES] == before


def test_a_method_a_class_method_and_one_that_is_not_there():
    class Owner:
        def method(self):
            """What it does."""
            return 1

        @classmethod
        def made(cls):
            return cls.__name__

    for _ in range(2):
        wrap_once(Owner, "method", lambda original: lambda self: original(self) + 1)
        wrap_once(Owner, "made", lambda original: lambda cls: f"{original(cls)}!")
        wrap_once(Owner, "nothing", lambda original: lambda self: original(self))
        wrap_once(Owner, "new", lambda original: lambda self: original, adds=True)
    assert (Owner().method(), Owner.method.__doc__, Owner.made()) == (2, "What it does.", "Owner!")
    assert not hasattr(Owner, "nothing")
    assert Owner().new() is None


def test_the_documentation_shows_the_table():
    assert as_markdown() in ARCHITECTURE.read_text(encoding="utf-8")


def test_tasks_are_not_included_where_lm_eval_finds_them_itself(monkeypatch):
    """By the entry point ``lm_eval.tasks``, as in lm-eval's pull request 4015."""
    from lm_eval.tasks import manager

    seen = []
    init = patches._including_tasks(lambda self, verbosity, include_path, *rest: seen.append(include_path))
    init(None, include_path="mine")
    monkeypatch.setattr(manager, "discover_plugin_task_paths", lambda: [tasks_folder()], raising=False)
    init(None, include_path="mine")
    assert seen == [[tasks_folder(), "mine"], "mine"]
