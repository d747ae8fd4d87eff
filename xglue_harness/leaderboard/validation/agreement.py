"""Do backbones, results and the official data agree with each other?"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.data import Source
from xglue_harness.kinds import kind_of
from xglue_harness.leaderboard.contributions.backbones import unlike_base
from xglue_harness.leaderboard.contributions.recipes import probe_terms, recipe_terms
from xglue_harness.leaderboard.contributions.tree import Tree
from xglue_harness.leaderboard.validation.rescoring import RescoredResult, gold_sha256
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.schema import RunRecord

if TYPE_CHECKING:
    from datasets import Dataset


def backbone_problems(tree: Tree) -> Iterator[str]:
    """What is wrong between backbones."""
    where = tree.folder / "backbones"
    for name, backbone in tree.backbones.items():
        if backbone.continued_from is None:
            continue
        parent = tree.backbones.get(backbone.continued_from)
        if parent is None:
            yield f"{where / name}.yaml: continued_from: there is no {backbone.continued_from}.yaml"
        elif problem := unlike_base(backbone, parent):
            yield f"{where / name}.yaml: {problem}"
    identities: dict[Any, str] = {}
    titles: dict[str, str] = {}
    for name, backbone in tree.backbones.items():
        original = backbone.converted_from
        keys: list[Any] = [backbone.hub and (backbone.hub, backbone.revision), backbone.encoder_sha256]
        keys += [original.sha256, (original.repository, original.commit, original.file)] if original else []
        for key in filter(None, keys):
            if (other := identities.setdefault(key, name)) != name:
                yield f"{where / name}.yaml: duplicate: the same checkpoint as {other}.yaml"
        for title in {name, unicodedata.normalize("NFKC", backbone.title).casefold()}:
            other = titles.setdefault(title, name)
            if other == name:
                continue
            yield f"{where / name}.yaml: title: duplicate: {other}.yaml has it, too; nobody could tell them apart"


def disagreements(results: Sequence[RescoredResult]) -> Iterator[str]:
    """What is wrong between results."""
    yield from incomparable(results)
    yield from _duplicates(results)


def subwords_differ(tree: Tree, results: Sequence[RescoredResult]) -> Iterator[str]:
    """Backbones of one study whose text was cut by different sentencepiece models: one of these is not the study's."""
    by_study = {
        name: (original.repository, original.commit)
        for name, backbone in tree.backbones.items()
        if (original := backbone.converted_from) is not None
    }
    converted = [item for item in results if item.result.backbone in by_study]
    what = "record.backbone.converted_from"
    yield from _agree(converted, what, lambda item: by_study[item.result.backbone], _sentencepiece)


def _sentencepiece(item: RescoredResult) -> dict[str, str]:
    noted = next(iter(_records(item))).backbone.converted_from
    return {} if noted is None else {"sentencepiece_sha256": noted.sentencepiece_sha256}


def incomparable(results: Sequence[RescoredResult]) -> Iterator[str]:
    """Why results can't stand in one table: other recipes under one name, other encoders, other data."""
    for what, group, facts in (
        ("recipe", lambda item: (item.result.recipe, item.result.task), _terms),
        ("record.backbone", lambda item: item.result.backbone, _identity),
        ("record.data.files (the training set)", _task, lambda item: _files(item, "train")),
        ("record.data.files (the test sets)", _task, lambda item: _files(item, "test")),
        ("gold labels and queries of the predictions", _task, lambda item: item.labels),
    ):
        yield from _agree(results, what, group, facts)


def _duplicates(results: Sequence[RescoredResult]) -> Iterator[str]:
    seen: dict[Any, RescoredResult] = {}
    for item in results:
        records = [*_records(item)]
        if any(record.flags.collapsed for record in records):  # collapsed runs may well give the same answers
            continue
        key = (item.result.task, *(record.predictions and record.predictions.sha256 for record in records))
        if (other := seen.setdefault(key, item)) is not item:
            yield f"{item.file}: duplicate: every prediction equals those of {other.file}"


def _task(item: RescoredResult) -> str:
    return item.result.task


def _records(item: RescoredResult) -> Iterable[RunRecord | ProbeRecord]:
    return (language.record for language in item.result.languages.values())


def _identity(item: RescoredResult) -> dict[str, str]:
    """Which encoder it was."""
    first = next(iter(_records(item))).backbone
    return {key: getattr(first, key) for key in ("encoder_sha256", "config_sha256", "tokenizer_sha256")}


def _terms(item: RescoredResult) -> dict[str, Any]:
    """What all results of a recipe have in common, task by task."""
    first = next(iter(_records(item)))
    if isinstance(first, ProbeRecord):
        return probe_terms(first.recipe)
    return {**recipe_terms(first.recipe), "selection rule": first.selection.rule}


def _files(item: RescoredResult, split: str) -> dict[str, str]:
    """sha256 of the files of a split, by their official path; ports on the Hub have other files."""
    spec = item.result.spec
    files = {}
    for record in _records(item):
        path = spec.path(split, record.source_language if split == "train" else record.target_language)
        if path in record.data.files:
            files[path] = record.data.files[path]
    return files


def _agree(
    results: Sequence[RescoredResult],
    what: str,
    group: Callable[[RescoredResult], Any],
    facts: Callable[[RescoredResult], Mapping[str, Any]],
) -> Iterator[str]:
    """Within each group, the facts that two results both have are the same."""
    groups: dict[Any, list[RescoredResult]] = defaultdict(list)
    for item in results:
        groups[group(item)].append(item)
    for first, *others in groups.values():
        expected = facts(first)
        for other in others:
            actual = facts(other)
            if wrong := [key for key in actual.keys() & expected.keys() if actual[key] != expected[key]]:
                key = min(wrong)
                yield f"{other.file}: {what}: {key} is {actual[key]}; {first.file} has {expected[key]}"


def _gold(spec: TaskSpec, dataset: Dataset) -> str:
    """Hash of the gold labels and queries of a test set."""
    documents = kind_of(spec).rows_of_documents(dataset)
    return gold_sha256(dataset[spec.label_column][:], [number for number, rows in enumerate(documents) for _ in rows])


def gold_problems(results: Sequence[RescoredResult], source: Source) -> Iterator[str]:
    """Gold labels that are not those of the data."""
    known: dict[tuple[str, str], str] = {}
    for item in results:
        spec = item.result.spec
        for language, labels in item.labels.items():
            key = (spec.name, language)
            if key not in known:
                known[key] = _gold(spec, source.load(spec, "test", language).dataset)
            if labels != known[key]:
                what = f"gold labels and queries of the predictions: {language}"
                yield f"{item.file}: {what}: not those of {source.description}"
