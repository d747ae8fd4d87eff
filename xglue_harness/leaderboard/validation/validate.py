"""Is a contribution what it says? Every score is computed again from its predictions; nothing of it is trusted."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.data import Source, open_source
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.backbones import Backbone, missing_inherited_languages
from xglue_harness.leaderboard.contributions.results import compared
from xglue_harness.leaderboard.contributions.tree import Tree, read_tree
from xglue_harness.leaderboard.validation import guard
from xglue_harness.leaderboard.validation.record_checks import problems_alone
from xglue_harness.leaderboard.validation.rescoring import RescoredResult, gold_sha256, scored
from xglue_harness.records.schema import RunRecord
from xglue_harness.scoring import queries
from xglue_harness.untrusted import net, shown

if TYPE_CHECKING:
    from datasets import Dataset


PROBLEMS_SHOWN = 60


@dataclass(frozen=True)
class ValidatedTree:
    """A tree without a problem.

    Attributes:
        folder: its path.
        example: whether it is made of the packaged toy, whose scores mean nothing.
        backbones: by name.
        results: all of them.
        changes: where it was compared with the tree before, what is other, in lines of text.
    """

    folder: Path
    example: bool
    backbones: dict[str, Backbone]
    results: tuple[RescoredResult, ...]
    changes: tuple[str, ...] = ()


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
        guard.check_amount(folder, base)
    tree = read_tree(folder)
    problems = [*tree.problems, *_backbones(tree)]
    changes: list[str] = []
    if base is not None:
        before = read_tree(base)
        with net(folder, problems):
            problems += guard.problems(tree, before)
            changes = guard.listing(tree, before)
    found: list[RescoredResult] = []
    for path, result in tqdm(tree.results, unit="result", desc="checking", disable=None):
        with net(path, problems):
            if own := [*problems_alone(result, tree, example)]:
                problems += [f"{path}: {problem}" for problem in own]
            else:
                found.append(scored(path, result))
    with net(folder, problems):
        problems += _together(found)
    if data is not None:
        problems += _official(found, open_source(data))
    if problems:
        raise LeaderboardError(_told(folder, problems, changes))
    return ValidatedTree(folder, example, tree.backbones, tuple(found), tuple(changes))


def _told(folder: Path, problems: Sequence[str], changes: Sequence[str]) -> str:
    """All problems, then all changes, a line each, whatever is in them."""
    lines = [f"{folder}: {len(problems)} problem{'s' * (len(problems) > 1)}"]
    lines += [f"- {shown(problem)}" for each in problems[:PROBLEMS_SHOWN] for problem in each.split("\n- ")]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"- and {len(problems) - PROBLEMS_SHOWN} more")
    return "\n".join([*lines, *changes])


def _backbones(tree: Tree) -> Iterator[str]:
    """What is wrong between backbones."""
    where = tree.folder / "backbones"
    for name, backbone in tree.backbones.items():
        if backbone.continued_from is None:
            continue
        parent = tree.backbones.get(backbone.continued_from)
        if parent is None:
            yield f"{where / name}.yaml: continued_from: there is no {backbone.continued_from}.yaml"
        elif problem := missing_inherited_languages(backbone, parent):
            yield f"{where / name}.yaml: {problem}"
    identities: dict[Any, str] = {}
    titles: dict[str, str] = {}
    for name, backbone in tree.backbones.items():
        keys = [backbone.hub and (backbone.hub, backbone.revision), backbone.encoder_sha256]
        for key in filter(None, keys):
            if (other := identities.setdefault(key, name)) != name:
                yield f"{where / name}.yaml: duplicate: the same checkpoint as {other}.yaml"
        for title in {name, unicodedata.normalize("NFKC", backbone.title).casefold()}:
            other = titles.setdefault(title, name)
            if other == name:
                continue
            yield f"{where / name}.yaml: title: duplicate: {other}.yaml has it, too; nobody could tell them apart"


def _together(found: Sequence[RescoredResult]) -> Iterator[str]:
    """What is wrong between results."""
    yield from _agree(found, "recipe", lambda item: (item.result.recipe, item.result.task), _terms)
    yield from _agree(found, "record.backbone", lambda item: item.result.backbone, _identity)
    yield from _agree(
        found, "record.data.files (the training set)", lambda item: item.result.task, lambda item: _files(item, "train")
    )
    yield from _agree(
        found, "record.data.files (the test sets)", lambda item: item.result.task, lambda item: _files(item, "test")
    )
    yield from _agree(
        found, "gold labels and queries of the predictions", lambda item: item.result.task, lambda item: item.labels
    )
    seen: dict[Any, RescoredResult] = {}
    for item in found:
        records = [*_records(item)]
        if any(record.flags.collapsed for record in records):  # which may well give the same answers
            continue
        key = (item.result.task, *(record.predictions and record.predictions.sha256 for record in records))
        if (other := seen.setdefault(key, item)) is not item:
            yield f"{item.file}: duplicate: every prediction equals those of {other.file}"


def _records(item: RescoredResult) -> Iterable[RunRecord]:
    return (language.record for language in item.result.languages.values())


def _identity(item: RescoredResult) -> dict[str, str]:
    """Which encoder it was."""
    first = next(iter(_records(item))).backbone
    return {key: getattr(first, key) for key in ("encoder_sha256", "config_sha256", "tokenizer_sha256")}


def _terms(item: RescoredResult) -> dict[str, Any]:
    """What all results of a recipe have in common, task by task."""
    first = next(iter(_records(item)))
    return {**compared(first.recipe), "selection rule": first.selection.rule}


def _files(item: RescoredResult, split: str) -> dict[str, str]:
    """sha256 of the files of a split, by their official path; ports on the Hub have other files."""
    spec = item.result.spec
    found = {}
    for record in _records(item):
        path = spec.path(split, record.source_language if split == "train" else record.target_language)
        if path in record.data.files:
            found[path] = record.data.files[path]
    return found


def _agree(
    found: Sequence[RescoredResult],
    what: str,
    group: Callable[[RescoredResult], Any],
    facts: Callable[[RescoredResult], Mapping[str, Any]],
) -> Iterator[str]:
    """Within each group, the facts that two results both have are the same."""
    groups: dict[Any, list[RescoredResult]] = defaultdict(list)
    for item in found:
        groups[group(item)].append(item)
    for first, *others in groups.values():
        expected = facts(first)
        for other in others:
            own = facts(other)
            if wrong := [key for key in own.keys() & expected.keys() if own[key] != expected[key]]:
                key = min(wrong)
                yield f"{other.file}: {what}: {key} is {own[key]}; {first.file} has {expected[key]}"


def _gold(spec: TaskSpec, dataset: Dataset) -> str:
    """Hash of the gold labels and queries of a test set."""
    groups = queries(spec, dataset) if spec.kind is Kind.RANKING else [range(i, i + 1) for i in range(len(dataset))]
    return gold_sha256(dataset[spec.label_column][:], [number for number, rows in enumerate(groups) for _ in rows])


def _official(found: Sequence[RescoredResult], source: Source) -> Iterator[str]:
    """Gold labels that are not those of the data."""
    known: dict[tuple[str, str], str] = {}
    for item in found:
        spec = item.result.spec
        for language, own in item.labels.items():
            key = (spec.name, language)
            if key not in known:
                known[key] = _gold(spec, source.load(spec, "test", language).dataset)
            if own != known[key]:
                what = f"gold labels and queries of the predictions: {language}"
                yield f"{item.file}: {what}: not those of {source.description}"
