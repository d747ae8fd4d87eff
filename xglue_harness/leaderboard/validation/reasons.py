"""The reasons that a change gives: in ``changes.yaml``, or in the file of a result for its new scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.contributions.tree import Tree


def reasons_grow(tree: Tree, base: Tree) -> bool:
    """Whether the reasons that were given before stand where they stood."""
    return tree.reasons[: len(base.reasons)] == base.reasons


def reason_of_result(name: str, tree: Tree, base: Tree) -> str | None:
    """The reason that a result gives for itself and its predictions: one that tells of the scores before."""
    parts = PurePosixPath(name)
    path = str(parts.with_name(f"{parts.name.partition('.')[0]}.json"))
    old, new = _result(path, base), _result(path, tree)
    if old is None or new is None:
        return None
    added = new.changes[len(old.changes) :]
    return next((change.reason for change in added if change.previous == old.scores), None)


def _result(path: str, tree: Tree) -> TaskResult | None:
    return next((result for place, result in tree.results if place == tree.folder / path), None)


def unexplained_scores(tree: Tree, base: Tree) -> Iterator[str]:
    """Scores that are not what they were, without a reason in their own file."""
    new = {result.path: result for _, result in tree.results}
    for _, old in base.results:
        where = tree.folder / "results" / old.path
        if (result := new.get(old.path)) is None:
            continue  # removed, or there with a problem of its own
        if result.changes[: len(old.changes)] != old.changes:
            yield f"{where}: changes: reasons that were given before are gone"
        elif result.scores != old.scores and not reason_of_result(f"results/{old.path.as_posix()}", tree, base):
            yield (
                f"{where}: scores differ from those before, and changes gives no reason; replace them with "
                "'leaderboard add --reason TEXT'"
            )
