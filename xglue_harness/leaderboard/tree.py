"""The folder of contributions: what may lie in it, and reading it without trusting it.

.. code-block:: text

    leaderboard/
      backbones/<name>.yaml
      results/<name>/<recipe>/<seed>/<task>.json              one task in all of its languages
      results/<name>/<recipe>/<seed>/<task>.<language>.parquet
      reference/*.json                                        published numbers, never ranked
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.backbones import Backbone, read_backbone
from xglue_harness.leaderboard.results import TaskResult, predictions_path, read_result

PARTS = ("backbones", "results", "reference")


@dataclass(frozen=True)
class Tree:
    """What a folder of contributions holds.

    Attributes:
        folder: its path.
        backbones: by name.
        results: with the path of each one's file.
        problems: what could not be read, or should not be there.
    """

    folder: Path
    backbones: dict[str, Backbone]
    results: tuple[tuple[Path, TaskResult], ...]
    problems: tuple[str, ...]


def read_tree(folder: Path) -> Tree:
    """Read all backbones and results, and collect what is wrong instead of stopping at it.

    Raises:
        LeaderboardError: where there is no such folder, or it holds none of the parts.
    """
    if not folder.is_dir() or not any((folder / part).is_dir() for part in PARTS):
        raise LeaderboardError(
            f"{folder}: no leaderboard; expected a folder with {', '.join(PARTS)}: go to a checkout, or give --tree DIR"
        )
    problems: list[str] = []
    backbones: dict[str, Backbone] = {}
    results = []
    expected = set()
    for path in sorted(_files(folder / "backbones", problems)):
        try:
            _expect(path.parent == folder / "backbones" and path.suffix == ".yaml", path, "backbones/<name>.yaml")
            backbone = read_backbone(path)
            backbones[backbone.name] = backbone
        except LeaderboardError as error:
            problems.append(str(error))
    files = sorted(_files(folder / "results", problems))
    for path in (path for path in files if path.suffix == ".json"):
        try:
            result = read_result(path)
            _expect(path == folder / "results" / result.path, path, f"results/{result.path.as_posix()}, as it says")
            results.append((path, result))
        except LeaderboardError as error:
            problems.append(str(error))
        if path.stem in TASKS:  # whether or not it can be read, what lies beside it has a place
            expected |= {predictions_path(path, language) for language in TASKS[path.stem].languages}
    problems += [
        f"{path}: belongs to no result; expected <task>.json with <task>.<language>.parquet beside it"
        for path in files
        if path.suffix != ".json" and path not in expected
    ]
    return Tree(folder, backbones, tuple(results), tuple(problems))


def _expect(holds: bool, path: Path, place: str) -> None:
    if not holds:
        raise LeaderboardError(f"{path}: lies in the wrong place; expected {place}")


def _files(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Regular files below a folder; links are problems, and are not followed."""
    if folder.is_symlink():
        problems.append(f"{folder}: is a link; expected a folder")
        return
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink():
            problems.append(f"{path}: is a link; expected regular files and folders only")
        elif path.is_dir():
            yield from _files(path, problems)
        elif path.name != ".gitkeep":
            yield path
