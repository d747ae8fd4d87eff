"""May a pull request change what it changes under ``leaderboard/``, and does it say why?

What it adds under ``backbones/`` and ``results/`` is its own. All else that was there before, or lies elsewhere, is
somebody's: a change of it needs a reason. New scores have it in the result's own ``changes``, written by ``leaderboard
add --reason``; anything else in ``changes.yaml``, written by ``leaderboard explain``, which only ever grows:

.. code-block:: yaml

    - file: backbones/mbert.yaml
      before: sha256 of the file before; null where it was not there
      after: sha256 of the file now; null where it is removed
      reason: the paper's appendix lists Thai, too
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from xglue_harness.atomic import replacing
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.tree import CHANGES, Reason, Tree, read_tree
from xglue_harness.leaderboard.contributions.tree_files import list_files
from xglue_harness.leaderboard.validation.changes import file_changes
from xglue_harness.leaderboard.validation.reasons import reasons_grow, unexplained_scores
from xglue_harness.untrusted.problems import problems_of

FILES_LIMIT = 2000
BYTES_LIMIT = 10_000_000
"""Most files and bytes that a change may add; a seed of all tasks is 67 files and 1 MB."""


def check_amount(folder: Path, base: Path) -> None:
    """Whether a change is small enough to be looked at; nothing is read for that.

    Raises:
        LeaderboardError: where it is not.
    """
    before = list_files(base)
    sizes = [
        entry.size
        for name, entry in list_files(folder).items()
        if entry and not ((old := before.get(name)) and old.size == entry.size)
    ]
    if len(sizes) > FILES_LIMIT or sum(sizes) > BYTES_LIMIT:
        raise LeaderboardError(
            f"{folder}: {len(sizes):,} files of {sum(sizes):,} bytes are new; at most {FILES_LIMIT:,} of "
            f"{BYTES_LIMIT:,} are taken at once: make several pull requests of it"
        )


def change_problems(tree: Tree, base: Tree) -> Iterator[str]:
    """What of a change can't be taken: others' files without a reason, reasons that are gone, what may run."""
    if not reasons_grow(tree, base):
        yield f"{tree.folder / CHANGES}: reasons that were given before are gone; new ones go below them"
    unexplained = {*unexplained_scores(tree, base)}
    yield from unexplained
    for change in file_changes(tree, base):
        path = tree.folder / change.file
        now, old = tree.files.get(change.file), base.files.get(change.file)
        if now and now.executable and not (old and old.executable):
            yield f"{path}: is executable, and nothing here is run; expected mode 100644 (chmod -x)"
        if change.what == "removed" and change.file.startswith("reference/"):
            yield f"{path}: removed; the pages need it"
        elif not change.own and change.reason is None and not any(line.startswith(f"{path}: ") for line in unexplained):
            why = f" ({change.detail})" if change.detail else ""
            hint = (
                "; replace a result that was wrong, with the reason, or"
                if change.what == "removed"
                else "; put it back, or"
            )
            yield (
                f"{path}: {change.what}{why} without a reason, and not yours: it was there before, or is no backbone "
                f"or result{hint} say why with 'leaderboard explain --base DIR --reason TEXT'"
            )
    for name in tree.empty:
        if name not in base.empty and not any(file.startswith(f"{name}/") for file in base.files):
            yield f"{tree.folder / name}: an empty folder, as a submodule is; expected files"


def explain(folder: Path, base: Path, reason: str) -> list[str]:
    """Write a reason for everything that needs one into ``changes.yaml``.

    Args:
        folder: the tree.
        base: the tree as it was.
        reason: why.

    Returns:
        The files.

    Raises:
        LeaderboardError: for a reason that is no line of plain text, and where nothing needs one.
    """
    tree, before = read_tree(folder), read_tree(base)
    unexplained = [change for change in file_changes(tree, before) if not change.own and change.reason is None]
    if not unexplained:
        raise LeaderboardError(f"{folder}: nothing needs a reason")
    try:
        added = [
            Reason(file=change.file, before=change.before, after=change.after, reason=reason) for change in unexplained
        ]
    except ValidationError as error:
        raise LeaderboardError(f"--reason: {problems_of(error)}") from None
    reasons = [entry.model_dump() for entry in [*tree.reasons, *added]]
    try:
        with replacing(folder / CHANGES) as temporary:
            temporary.write_text(
                yaml.safe_dump(reasons, sort_keys=False, allow_unicode=True, width=1000), encoding="utf-8"
            )
    except OSError as error:
        raise LeaderboardError(f"{folder / CHANGES}: can't be written: {error.strerror or error}") from error
    return [change.file for change in unexplained]
