"""What lm-eval shows of a run of ours on the terminal (see `xglue_harness.harness.patches`).

A run without a task of ours is let alone and imports nothing. Imports nothing heavy: it is imported with the tasks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness import bars

if TYPE_CHECKING:
    from xglue_harness.harness.language_model import Function


def is_task_loaded() -> bool:
    """Whether a task of ours can be among those of a run."""
    return "xglue_harness.harness.leaf_task" in sys.modules


def printing_tables(original: Function) -> Function:
    """Of ``make_table``: of our tasks each number once, and a table of ours, with a column for each language."""

    def make_table(result_dict: Any, column: str = "results", sort_results: bool = False) -> Any:
        if not is_task_loaded():
            return original(result_dict, column, sort_results)
        from xglue_harness.harness.tables import printed

        return printed(original, result_dict, column, sort_results)

    return make_table


def showing_long_bars(original: Function) -> Function:
    """Of ``tqdm``, as requests are built: a bar of what takes no second is not shown, where a task is ours."""

    def tqdm(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **({"delay": bars.PATIENCE, **kwargs} if is_task_loaded() else kwargs))

    return tqdm


def asking_git_quietly(original: Function) -> Function:
    """Of ``get_git_commit_hash``: outside a repository git is not asked, which would say so on the terminal."""

    def get_git_commit_hash() -> Any:
        here = Path.cwd()
        if not any((folder / ".git").exists() for folder in (here, *here.parents)) and "GIT_DIR" not in os.environ:
            return None  # as lm-eval has it there
        return original()

    return get_git_commit_hash
