"""The folder of contributions: what may lie in it, and reading it without trusting it.

.. code-block:: text

    leaderboard/
      README.md
      changes.yaml                                            why files changed (`..validation.change_checks`)
      backbones/<name>.yaml
      results/<name>/<recipe>/<seed>/<task>.json              one task in all of its languages
      results/<name>/<recipe>/<seed>/<task>.<language>.parquet
      reference/*.json                                        published numbers, never ranked

Nothing else may: every file has a place, a size, and a name that all systems can check out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions import backbones as descriptions
from xglue_harness.leaderboard.contributions.backbones import Backbone, read_backbone
from xglue_harness.leaderboard.contributions.results import (
    PREDICTIONS_LIMIT,
    RESULT_LIMIT,
    TaskResult,
    predictions_path,
    read_result,
)
from xglue_harness.leaderboard.contributions.tree_files import PARTS, Entry, list_files
from xglue_harness.published.reference import REFERENCE_LIMIT, REFERENCES
from xglue_harness.records.parts import Sha256
from xglue_harness.untrusted.problems import collect_problems, problems_of
from xglue_harness.untrusted.text import Text, lines_seen
from xglue_harness.untrusted.values import read_limited, read_yaml

CHANGES = "changes.yaml"
"""Name of the file that says why others changed."""

_CHANGES_LIMIT = 500_000


class Reason(BaseModel):
    """Why a file is not what it was (an entry of ``changes.yaml``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    before: Sha256 | None
    after: Sha256 | None
    reason: Text


@dataclass(frozen=True)
class Tree:
    """What a folder of contributions holds.

    Attributes:
        folder: its path.
        files: every regular file, by its path in the folder with ``/`` between the parts.
        empty: folders that hold nothing, in the same form; Git keeps none, but a submodule looks like one.
        backbones: by name.
        results: with the path of each one's file.
        reasons: of ``changes.yaml``, oldest first.
        problems: what could not be read, or should not be there.
    """

    folder: Path
    files: Mapping[str, Entry]
    empty: tuple[str, ...]
    backbones: dict[str, Backbone]
    results: tuple[tuple[Path, TaskResult], ...]
    reasons: tuple[Reason, ...]
    problems: tuple[str, ...]


def read_tree(folder: Path) -> Tree:
    """Read all backbones and results, and collect what is wrong instead of stopping at it.

    Raises:
        LeaderboardError: as `list_files`.
    """
    problems: list[str] = []
    reasons: tuple[Reason, ...] = ()
    listed = list_files(folder, problems)
    files = {name: entry for name, entry in listed.items() if entry is not None}
    backbones: dict[str, Backbone] = {}
    results = []
    for name, entry in files.items():
        path = entry.path
        with collect_problems(path, problems):
            limit = _limit(name, path, files)
            if entry.size > limit:
                raise LeaderboardError(f"{path}: {entry.size:,} bytes; at most {limit:,} are allowed")
            part = PurePosixPath(name).parts[0]
            if name == CHANGES:
                reasons = _read_reasons(path)
            elif name == "README.md":
                _look_through(path, limit)
            elif path.suffix == ".yaml" and part == "backbones":
                backbone = read_backbone(path)
                backbones[backbone.name] = backbone
            elif path.suffix == ".json" and part == "results":
                result = read_result(path)
                if path != folder / "results" / result.path:
                    raise LeaderboardError(
                        f"{path}: lies in the wrong place; expected results/{result.path.as_posix()}, as it says"
                    )
                results.append((path, result))
            elif path.suffix == ".json":
                REFERENCES[path.name](path)
    if any(name.startswith("reference/") for name in files):
        problems += [
            f"{folder / 'reference' / name}: is missing; the pages need it"
            for name in REFERENCES
            if f"reference/{name}" not in files
        ]
    empty = tuple(name for name, entry in listed.items() if entry is None)
    return Tree(folder, files, empty, backbones, tuple(results), reasons, tuple(problems))


def _look_through(path: Path, limit: int) -> None:
    try:
        lines_seen(read_limited(path, limit).decode())
    except ValueError as error:
        raise LeaderboardError(f"{path}: {error}") from None


def _read_reasons(path: Path) -> tuple[Reason, ...]:
    try:
        reasons = TypeAdapter(list[Reason]).validate_python(read_yaml(path, _CHANGES_LIMIT), strict=True)
    except ValidationError as error:
        raise LeaderboardError(f"{path}: {problems_of(error)}") from None
    return tuple(reasons)


def _limit(name: str, path: Path, files: Mapping[str, Entry]) -> int:
    """Most bytes of the file in its place.

    Raises:
        LeaderboardError: where nothing belongs there.
    """
    match PurePosixPath(name).parts:
        case ("README.md",):
            return 20_000
        case ("changes.yaml",):
            return _CHANGES_LIMIT
        case (part, ".gitkeep") if part in PARTS:
            return 0
        case ("reference", known) if known in REFERENCES:
            return REFERENCE_LIMIT
        case ("backbones", _) if path.suffix == ".yaml":
            return descriptions.LIMIT
        case ("results", _, _, _, _) if path.suffix == ".json":
            return RESULT_LIMIT
        case ("results", _, _, _, last) if last in _beside(path, files):
            return PREDICTIONS_LIMIT
        case ("results", *_):
            raise LeaderboardError(
                f"{path}: belongs to no result; expected <task>.json with <task>.<language>.parquet beside it"
            )
        case ("backbones", *_):
            raise LeaderboardError(f"{path}: lies in the wrong place; expected backbones/<name>.yaml")
    raise LeaderboardError(
        f"{path}: belongs nowhere; expected backbones/<name>.yaml and results/<name>/<recipe>/<seed>/<task>.* (another "
        "file needs code that reads it, and so a pull request of its own)"
    )


def _beside(path: Path, files: Mapping[str, Entry]) -> set[str]:
    """Names of the predictions of the results that lie beside a file, whether or not those can be read."""
    folder = path.parent
    return {
        predictions_path(folder / f"{task}.json", language).name
        for task, spec in TASKS.items()
        if path.name.startswith(f"{task}.") and "/".join(("results", *folder.parts[-3:], f"{task}.json")) in files
        for language in spec.languages
    }
