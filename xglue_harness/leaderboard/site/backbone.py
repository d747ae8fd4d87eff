"""The page of a backbone: its card, scores, seeds, where they come from, and how to run it again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xglue_harness.benchmark import LANGUAGES, TASKS
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.site.backbone_tables import languages_table, seeds_table, tasks_table
from xglue_harness.leaderboard.site.cells import (
    Table,
)
from xglue_harness.leaderboard.site.commands import Command, commands
from xglue_harness.leaderboard.site.diagnostics import Diagnosis, diagnosis
from xglue_harness.leaderboard.site.origin import Origin
from xglue_harness.leaderboard.site.paths import page_of, result_path, track_page
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES, licence_in_words, millions, percent, recipe_in_words
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.published.families import FAMILIES
from xglue_harness.records.schema import RunRecord


@dataclass(frozen=True)
class Fact:
    """A line of a card.

    Attributes:
        name: what it is of.
        values: in words; several where they differ.
        href: where the first one leads.
    """

    name: str
    values: tuple[str, ...]
    href: str | None = None


@dataclass(frozen=True)
class Section:
    """A backbone's results under one recipe.

    Attributes:
        recipe: its name, and its track.
        tables: scores by task, by language, by seed.
        collapsed: runs that did not learn, with the signs, by task.
        changes: scores that were replaced, with the reason.
        diagnoses: measures beside the scores, by task.
        facts: where the results come from.
        commands: how to run them again.
    """

    recipe: str
    tables: tuple[Table, ...]
    collapsed: tuple[Fact, ...]
    changes: tuple[Fact, ...]
    diagnoses: tuple[Diagnosis, ...]
    facts: tuple[Fact, ...]
    commands: tuple[Command, ...]


def card(backbone: Backbone, validated: ValidatedTree, origin: Origin) -> list[Fact]:
    """All that its YAML says.

    Args:
        backbone: the backbone.
        validated: the tree, whose other backbones have pages.
        origin: where and since when the description is there.
    """
    file = origin.repository and f"{origin.repository}/blob/HEAD/leaderboard/backbones/{backbone.name}.yaml"
    hub = None if backbone.hub is None else f"https://huggingface.co/{backbone.hub}"
    if hub and backbone.revision:
        hub = f"{hub}/tree/{backbone.revision}"
    base = backbone.continued_from
    parent = validated.backbones[base].title if base in validated.backbones else base
    seen = backbone.pretraining.languages
    unseen = [language for language in LANGUAGES if language not in seen]
    sizes = backbone.parameters
    facts = [
        Fact("name", (backbone.name,)),
        Fact("family", (f"{backbone.family}: {FAMILIES[backbone.family]}",)),
        Fact("continued from", (parent or "–",), page_of(base) if base in validated.backbones else None),
        Fact("checkpoint on the Hub", (backbone.hub or "not on the Hub",), hub),
        Fact("revision", (backbone.revision or "not known",)),
        Fact("sha256 of the encoder's weights", (backbone.encoder_sha256 or "not given",)),
        *_origin_facts(backbone),
        Fact("architecture", (backbone.architecture,)),
        Fact(
            "parameters",
            (
                f"{millions(sizes.encoder)} in the encoder, of which {millions(sizes.embedding)} are embeddings",
                f"{millions(sizes.all)} in the whole checkpoint",
            ),
        ),
        Fact("layers × width", (f"{backbone.layers} × {backbone.width}",)),
        Fact("tokenizer", (backbone.tokenizer,)),
        Fact("pretraining data", (backbone.pretraining.data,)),
        Fact("languages seen", (_languages(seen),)),
        Fact("languages not seen", (_languages(unseen) or "none",)),
        Fact("source of the languages", (backbone.pretraining.languages_source,)),
        Fact("parallel data", (backbone.parallel_data,)),
        Fact("licence", (licence_in_words(backbone.licence),)),
        Fact("paper", (backbone.paper,), backbone.paper),
        Fact("sentence vector", (backbone.pooling,)),
        Fact("joins two texts with", (backbone.pairs,)),
        Fact("contributed by", (backbone.contributor,)),
        Fact("described", (origin.described(backbone.name) or "not known",), file),
    ]
    left_out = {"continued from"} if parent is None else set()
    return [fact for fact in facts if fact.name not in left_out | (set() if origin.dates or file else {"described"})]


def _origin_facts(backbone: Backbone) -> Iterator[Fact]:
    """The track, and the file that the checkpoint was converted from, where they are anything special."""
    if backbone.track != "main":
        yield Fact("track", (backbone.track,), track_page(backbone.track))
    if (original := backbone.converted_from) is not None:
        address = f"https://github.com/{original.repository}/blob/{original.commit}/{original.file}"
        yield Fact("converted from", (f"{original.repository}: {original.file}",), address)
        yield Fact("sha256 of that file", (original.sha256,))
        yield Fact("sha256 of its dictionary", (original.dictionary_sha256,))
        yield Fact("converter", (f"{original.converter}, version {original.version}",))


def _languages(languages: Sequence[str]) -> str:
    return ", ".join(f"{LANGUAGE_NAMES[language]} ({language})" for language in languages)


def sections(backbone: Backbone, boards: Sequence[Board], origin: Origin) -> Iterator[Section]:
    """Its results under each recipe that it has some of.

    Args:
        backbone: the backbone.
        boards: one for each recipe.
        origin: when results came.
    """
    for board in boards:
        row = next((row for row in board.overall if row.backbone.name == backbone.name), None)
        if row is None:
            continue
        results = [result for task_row in row.tasks.values() for result in task_row.results]
        yield Section(
            recipe_in_words(board.track, board.recipe),
            (tasks_table(board, row), languages_table(board, row), seeds_table(board, row)),
            tuple(
                Fact(TASKS[task].title, task_row.collapsed)
                for task, task_row in row.tasks.items()
                if task_row.collapsed
            ),
            tuple(_changes(results)),
            tuple(filter(None, (diagnosis(board.place, task_row.results) for task_row in row.tasks.values()))),
            (*_days(origin.results(backbone.name, board.recipe)), *_provenance(results)),
            tuple(commands(backbone, row.tasks)),
        )


def _days(days: tuple[str, str] | None) -> Iterator[Fact]:
    """When results came into the tree."""
    if days is not None:
        yield Fact("came here on", (days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}",))


def _changes(results: Sequence[TaskResult]) -> Iterator[Fact]:
    for result in results:
        if result.changes:
            reasons = tuple(
                f"{change.reason} (mean before: {percent(sum(change.previous.values()) / len(change.previous))})"
                for change in result.changes
            )
            yield Fact(f"{result.spec.title}, seed {result.seed}", reasons, result_path(result))


def _provenance(results: Sequence[TaskResult]) -> Iterator[Fact]:
    """Versions, hardware, commit, data and recipe; several values where runs differ."""
    facts: dict[str, dict[str, None]] = defaultdict(dict)
    for result in results:
        for item in result.languages.values():
            for name, value in _origins(item.run, result.spec.title):
                facts[name][value] = None
    for name, values in facts.items():
        yield Fact(name, tuple(values))


def _origins(record: RunRecord, title: str) -> Iterator[tuple[str, str]]:
    """Name and value of all that a reader would ask for."""
    trained = record.training.environment
    yield "encoder", record.backbone.name
    yield "weights (sha256)", record.backbone.encoder_sha256
    yield "tokenizer (sha256)", record.backbone.tokenizer_sha256
    for name, version in trained.versions.items():
        yield f"version of {name}", version
    yield "hardware", ", ".join(f"{key} {value}" for key, value in trained.hardware.items())
    yield "commit of the harness", trained.git_revision or "not known"
    yield "code (sha256)", trained.code_sha256
    yield "data", f"{record.data.source}: {record.data.description}"
    if record.target_language == record.source_language:
        yield "data fingerprint (sha256)", f"{title}, {record.target_language}: {record.data.fingerprint}"
    yield "weights of the epoch", record.selection.rule
    for key, value in record.recipe.items():
        if key not in ("task", "seed", "key"):
            yield f"recipe: {key}", json.dumps(value)
