"""Is a contribution what it says? Every score is computed again from its predictions; nothing of it is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.data import open_source
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.tree import read_tree
from xglue_harness.leaderboard.validation.agreement import (
    backbone_problems,
    disagreements,
    gold_problems,
    subwords_differ,
)
from xglue_harness.leaderboard.validation.change_checks import change_problems, check_amount
from xglue_harness.leaderboard.validation.changes import listing
from xglue_harness.leaderboard.validation.record_checks import record_problems
from xglue_harness.leaderboard.validation.rescoring import RescoredResult, rescore
from xglue_harness.untrusted.problems import collect_problems, shown

PROBLEMS_SHOWN = 60


@dataclass(frozen=True)
class ValidatedTree:
    """A tree without a problem.

    Attributes:
        folder: its path.
        example: whether it is made of the packaged toy, whose scores mean nothing.
        backbones: by name.
        results: of fine-tuned encoders, all of them.
        frozen: the same of frozen encoders, which are never ranked with those.
        changes: where it was compared with the tree before, what differs, in lines of text.
    """

    folder: Path
    example: bool
    backbones: dict[str, Backbone]
    results: tuple[RescoredResult, ...]
    changes: tuple[str, ...] = ()
    frozen: tuple[RescoredResult, ...] = ()


def validate(
    folder: Path, *, base: Path | None = None, data: str | None = None, example: bool = False
) -> ValidatedTree:
    """Check a tree.

    Args:
        folder: the tree.
        base: the tree as it was; then a change of what was there needs a reason.
        data: where the official data are, as `xglue_harness.data.open_source` takes it; then the gold labels are
            compared with theirs. By default only with each other's.
        example: take results on the packaged toy, and no others.

    Raises:
        LeaderboardError: listing every problem.
        DataError: where the data can't be read.
    """
    from tqdm import tqdm

    if base is not None:
        check_amount(folder, base)
    tree = read_tree(folder)
    problems = [*tree.problems, *backbone_problems(tree)]
    changes: list[str] = []
    if base is not None:
        before = read_tree(base)
        with collect_problems(folder, problems):
            problems += change_problems(tree, before)
            changes = listing(tree, before)
    rescored: list[RescoredResult] = []
    for path, result in tqdm(tree.results, unit="result", desc="checking", disable=None):
        with collect_problems(path, problems):
            if wrong := [*record_problems(result, tree, example)]:
                problems += [f"{path}: {problem}" for problem in wrong]
            else:
                rescored.append(rescore(path, result))
    with collect_problems(folder, problems):
        problems += [*disagreements(rescored), *subwords_differ(tree, rescored)]
    if data is not None:
        problems += gold_problems(rescored, open_source(data))
    if problems:
        raise LeaderboardError(_report(folder, problems, changes))
    tuned = tuple(item for item in rescored if not item.result.is_frozen)
    frozen = tuple(item for item in rescored if item.result.is_frozen)
    return ValidatedTree(folder, example, tree.backbones, tuned, tuple(changes), frozen)


def _report(folder: Path, problems: Sequence[str], changes: Sequence[str]) -> str:
    """All problems, then all changes, a line each, whatever is in them."""
    lines = [f"{folder}: {len(problems)} problem{'s' * (len(problems) > 1)}"]
    lines += [f"- {shown(problem)}" for each in problems[:PROBLEMS_SHOWN] for problem in each.split("\n- ")]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"- and {len(problems) - PROBLEMS_SHOWN} more")
    return "\n".join([*lines, *changes])
