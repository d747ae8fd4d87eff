"""From lm_eval's results to the tree: complete and checked, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from xglue_harness.atomic import replacing
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.results import (
    ONE_PROTOCOL,
    RECORDS,
    Change,
    TaskResult,
    predictions_path,
    read_result,
    render,
)
from xglue_harness.leaderboard.contributions.tree import read_tree
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.leaderboard.validation.written import WrittenResult, written_result
from xglue_harness.records.results_files import WrittenRun, read_runs
from xglue_harness.untrusted.problems import problems_of


@dataclass(frozen=True)
class Added:
    """What became of the results.

    Attributes:
        new: files that were not there.
        replaced: files whose scores or records changed.
        unchanged: files that already held the same.
    """

    new: tuple[Path, ...]
    replaced: tuple[Path, ...]
    unchanged: tuple[Path, ...]


def add(
    results: Sequence[Path],
    folder: Path,
    *,
    backbone: str | None = None,
    recipe: str | None = None,
    reason: str | None = None,
    example: bool = False,
) -> Added:
    """Put results into a tree.

    Args:
        results: lm_eval's results files, or folders of them.
        folder: the tree.
        backbone: name of the backbone; by default the one whose YAML tells of the checkpoint.
        recipe: a name for the recipe, where it is not the paper's; of frozen encoders, what follows ``frozen-``.
        reason: why scores that are there already change.
        example: the data are the packaged toy.

    Raises:
        LeaderboardError: where they are incomplete, don't fit the tree, or change scores without a reason; the tree
            then stays as it was.
        DataError: where they are no results, or their predictions are missing or not theirs.
    """
    backbones = read_tree(folder).backbones
    groups: dict[tuple[str, str, str, int], dict[str, WrittenRun]] = defaultdict(dict)
    for run in read_runs(results):
        if (protocol := run.record.get("protocol")) not in (*RECORDS,):
            raise LeaderboardError(f"{run}: protocol {protocol!r}: {ONE_PROTOCOL}")
        name = backbone or _backbone_of(run, backbones)
        group = groups[name, str(protocol), str(run.record.get("task")), run.record["recipe"]["seed"]]
        language = str(run.record.get("target_language"))
        if (other := group.setdefault(language, run)) is not run:
            raise LeaderboardError(
                f"{run}: {other} has the same backbone, protocol, task, seed and language: give one of them"
            )
    made = [written_result(name, runs, recipe) for (name, *_), runs in groups.items()]
    return _write(made, folder, reason, example)


def _backbone_of(run: WrittenRun, backbones: Mapping[str, Backbone]) -> str:
    """Name of the backbone that a run was of.

    By the hash of its weights where the YAML has it, else by the file that it was converted from, else by its commit.
    """
    recorded = run.record["backbone"]
    noted = recorded.get("converted_from") or {}
    on_hub = recorded["name"], recorded["revision"]
    what = f"{recorded['name']} at revision {recorded['revision']}"
    for name, backbone in backbones.items():
        if backbone.encoder_sha256 == recorded["encoder_sha256"]:
            return name
        if backbone.encoder_sha256 is not None:
            continue
        original = backbone.converted_from
        if (backbone.hub, backbone.revision) == on_hub or (
            original and original.sha256 == noted.get("checkpoint_sha256")
        ):
            return name
    others = [f"{name}.yaml has {other.revision}" for name, other in backbones.items() if other.hub == recorded["name"]]
    if others:
        raise LeaderboardError(
            f"{run}: {what}; {', '.join(others)}: run that one, or describe this one under a name of its own"
        )
    raise LeaderboardError(
        f"{run}: no backbone of the tree is {what}: describe it with 'xglue-harness backbone new NAME --model "
        f"{recorded['name']}', or name one with --backbone"
    )


def _write(made: Sequence[WrittenResult], folder: Path, reason: str | None, example: bool) -> Added:
    """Validate the tree as it would be, then write what is new."""
    outcomes: dict[str, list[Path]] = {"new": [], "replaced": [], "unchanged": []}
    writes: dict[Path, bytes] = {}  # predictions come before the result that refers to them
    for written in made:
        result = written.result
        path = folder / "results" / result.path
        old = read_result(path) if path.is_file() else None
        if old is None:
            outcome = "new"
        elif all(_predictions_sha256(old, lang) == _predictions_sha256(result, lang) for lang in result.languages):
            outcomes["unchanged"].append(path)
            continue
        elif reason is None:
            raise LeaderboardError(
                f"{path}: is there already, with mean score {old.mean:.4f}; now it is {result.mean:.4f}: say why with "
                "--reason TEXT"
            )
        else:
            outcome = "replaced"
            try:
                change = Change(reason=reason, previous=old.scores)
            except ValidationError as error:
                raise LeaderboardError(f"--reason: {problems_of(error)}") from None
            result = result.model_copy(update={"changes": (*old.changes, change)})
        outcomes[outcome].append(path)
        writes |= {predictions_path(path, language): content for language, content in written.predictions.items()}
        writes[path] = render(result).encode()
    if writes:
        _validate_copy(writes, folder, {written.result.task for written in made}, example)
    try:
        for path, content in writes.items():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise LeaderboardError(f"{folder} can't be written: {error}; the same command goes on from there") from error
    return Added(*(tuple(outcomes[outcome]) for outcome in ("new", "replaced", "unchanged")))


def _predictions_sha256(result: TaskResult, language: str) -> str | None:
    """Hash of the predictions of a language."""
    predictions = result.languages[language].record.predictions
    return predictions.sha256 if predictions else None


def _validate_copy(writes: Mapping[Path, bytes], folder: Path, tasks: set[str], example: bool) -> None:
    """Validate a copy of the tree with the new files: all backbones, and all results on the tasks concerned."""
    with tempfile.TemporaryDirectory(prefix="xglue-leaderboard-") as temporary:
        copy = Path(temporary)
        concerned = [path for task in tasks for path in (folder / "results").glob(f"*/*/*/{task}.*")]
        for path in [*(folder / "backbones").glob("*.yaml"), *concerned]:
            place = copy / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        for path, content in writes.items():
            place = copy / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        try:
            validate(copy, example=example)
        except LeaderboardError as error:
            raise LeaderboardError(str(error).replace(temporary, str(folder))) from None
