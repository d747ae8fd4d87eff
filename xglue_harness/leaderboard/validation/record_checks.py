"""Does a result's record fit its folder, its backbone, its recipe and the official data?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xglue_harness.benchmark import TaskSpec
from xglue_harness.data import fingerprint
from xglue_harness.data.manifest import manifest_rows
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.recipes import FROZEN, packaged_recipe
from xglue_harness.leaderboard.contributions.results import TOLERANCE, TaskResult
from xglue_harness.leaderboard.contributions.tree import Tree
from xglue_harness.leaderboard.validation.probe_checks import probe_problems
from xglue_harness.recipe_files import recipe_names
from xglue_harness.records.parts import BackboneRecord
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.schema import RunRecord


def record_problems(result: TaskResult, tree: Tree, example: bool) -> Iterator[str]:
    """What is wrong with a result by itself, before its predictions are read.

    Args:
        result: the result.
        tree: where it lies.
        example: whether the tree is made of the packaged toy.
    """
    spec = result.spec
    backbone = tree.backbones.get(result.backbone)
    if backbone is None:
        yield f"backbone: there is no {tree.folder / 'backbones' / result.backbone}.yaml that can be read"
        return
    if missing := [language for language in spec.languages if language not in result.languages]:
        yield f"languages: {', '.join(missing)} missing; a result has all {len(spec.languages)} of {spec.title}"
    if unknown := [language for language in result.languages if language not in spec.languages]:
        yield f"languages: {', '.join(unknown)}: {spec.title} has no such language"
    if missing or unknown:
        return
    for language, item in result.languages.items():
        for problem in _record(item.record, result, language, backbone, example):
            yield f"languages.{language}.record.{problem}"
        if isinstance(item.record, RunRecord):
            selection = item.record.selection
            selected = selection.scores.get(selection.rule)
            if selected is None or (selected.score is not None and abs(selected.score - item.score) > TOLERANCE):
                there = None if selected is None else selected.score
                yield f"languages.{language}.score: {item.score}; its record has {there} for the rule {selection.rule}"
    first = next(iter(result.languages.values())).record
    expected = _shared(first)
    for language, item in result.languages.items():
        for key, value in _shared(item.record).items():
            if value != expected[key]:
                yield f"languages.{language}.record.{key}: {value}, but {first.target_language} has {expected[key]}"
    if isinstance(first, ProbeRecord):
        yield from probe_problems(first, result)
        return
    if result.recipe.startswith(FROZEN):
        yield f"recipe: {result.recipe!r}, which is a name for frozen encoders, and this one was fine-tuned"
    packaged = packaged_recipe(spec, first.recipe, first.selection.rule)
    if packaged is not None and result.recipe != packaged:
        yield f"recipe: {result.recipe!r}, but the options are those of {packaged!r}"
    elif packaged is None and result.recipe in recipe_names():
        yield f"recipe: {result.recipe!r}, but the options are not those of the recipe of that name"


def _shared(record: RunRecord | ProbeRecord) -> dict[str, Any]:
    """What the records of all languages have in common, by key."""
    shared = {"recipe": record.recipe, "backbone": record.backbone}
    if isinstance(record, ProbeRecord):
        return {**shared, "probe": record.probe}
    return {**shared, "selection.rule": record.selection.rule, "training.store_key": record.training.store_key}


def _record(
    record: RunRecord | ProbeRecord, result: TaskResult, language: str, backbone: Backbone, example: bool
) -> Iterator[str]:
    """What is wrong with one language's record."""
    if (record.task, record.target_language) != (result.task, language):
        yield f"task: of {record.task} in {record.target_language}"
    if record.sample and not example:
        yield "SAMPLE: the data are the packaged toy; expected XGLUE"
    if example and not record.sample:
        yield "SAMPLE: real data in an example tree, which holds the packaged toy only"
    if record.recipe.get("seed") != result.seed:
        yield f"recipe.seed: {record.recipe.get('seed')}; expected {result.seed}, as the folder says"
    if record.data.fingerprint != fingerprint(record.data.files):
        expected_fingerprint = fingerprint(record.data.files)
        yield f"data.fingerprint: {record.data.fingerprint}; expected {expected_fingerprint}, that of the files"
    claimed = record.backbone
    yield from (f"backbone.{problem}" for problem in _origin(claimed, backbone))
    if backbone.encoder_sha256 is not None and claimed.encoder_sha256 != backbone.encoder_sha256:
        yield f"backbone.encoder_sha256: {claimed.encoder_sha256}; expected {backbone.encoder_sha256}, as the YAML says"
    if backbone.hub is not None and (claimed.revision is not None or backbone.encoder_sha256 is None):
        if (claimed.name, claimed.revision) != (backbone.hub, backbone.revision) or claimed.revision is None:
            yield (
                f"backbone.revision: {claimed.name} at {claimed.revision}; expected {backbone.hub} at "
                f"{backbone.revision}, as the YAML says (a result from a folder is taken where the YAML has "
                "encoder_sha256)"
            )
    elif backbone.hub is None and backbone.encoder_sha256 is None and backbone.converted_from is None:
        yield (
            "backbone: the YAML has neither hub and revision nor encoder_sha256 nor converted_from: nothing says which "
            "weights these are"
        )
    for key, got, expected in (
        ("backbone.model_type", claimed.model_type, backbone.architecture),
        ("backbone.encoder_parameters", claimed.encoder_parameters, backbone.parameters.encoder),
        ("recipe.pooling", record.recipe.get("pooling"), backbone.pooling),
    ):
        if key == "recipe.pooling" and isinstance(record, ProbeRecord):
            continue  # a probe pools as the checkpoint does, which need not be what suits a fine-tuning
        if got != expected:
            yield f"{key}: {got}; expected {expected}, as the YAML says"
    if not example:
        yield from _rows(record, result.spec, language)


def _origin(claimed: BackboneRecord, backbone: Backbone) -> Iterator[str]:
    """What is wrong with what a checkpoint says of the file that it was converted from."""
    noted, original = claimed.converted_from, backbone.converted_from
    if original is not None:
        yield from original.problems(claimed)
    elif noted is not None:
        yield (
            f"converted_from: the checkpoint was made of a file of {noted.converter} with sha256 "
            f"{noted.checkpoint_sha256}; expected null, as the YAML says"
        )
    if noted is not None and noted.encoder_sha256 != claimed.encoder_sha256:
        yield (
            f"encoder_sha256: {claimed.encoder_sha256}; the converter made {noted.encoder_sha256}, so the weights were "
            "changed since"
        )


def _rows(record: RunRecord | ProbeRecord, spec: TaskSpec, language: str) -> Iterator[str]:
    """Whether all rows of the official data were used; the manifest's loader dropped a last sentence here and there."""
    for line in record.data.unofficial:
        yield f"data.unofficial: {line}"
    expected = manifest_rows(spec, "test", language)
    total = record.predictions.total if record.predictions else None
    if expected is not None and total is not None and total not in (expected, expected + 1):
        yield f"predictions.total: {total} test rows; the official data have {expected}"
    train = manifest_rows(spec, "train", record.source_language)
    if isinstance(record, ProbeRecord):
        key, there = "probe.train_rows_there", record.probe.train_rows_there
    else:
        key, there = "training.train_rows", record.training.train_rows
    read_all = isinstance(record, ProbeRecord) or record.recipe.get("train_limit") is None
    if read_all and train is not None and there not in (train, train + 1):
        yield f"{key}: {there}; the official data have {train}"
