"""What stands on the page of a backbone: its card, scores, seeds, where they come from, and how to run it again."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xglue_harness.benchmark import ALL_GROUP, LANGUAGES, TASKS
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.rows import OverallRow, TaskRow
from xglue_harness.leaderboard.site.cells import (
    LANGUAGE_NAMES,
    NONE,
    Cell,
    Head,
    Table,
    collapsed_in_words,
    estimate_cell,
    percent,
    rank_cell,
    share_cell,
)
from xglue_harness.leaderboard.site.data import page_of, result_path, summary_path
from xglue_harness.leaderboard.site.diagnostics import Diagnosis, diagnosis
from xglue_harness.leaderboard.site.pages import GAP, RANK, changed_options, legend_of, metric_of
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
class Command:
    """A command to run results again.

    Attributes:
        text: to be copied.
        note: what it is for.
    """

    text: str
    note: str


@dataclass(frozen=True)
class Section:
    """A backbone's results under one recipe.

    Attributes:
        recipe: its name.
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


def card(backbone: Backbone, checked: ValidatedTree) -> list[Fact]:
    """All that its YAML says.

    Args:
        backbone: the backbone.
        checked: the tree, whose other backbones have pages.
    """
    hub = None if backbone.hub is None else f"https://huggingface.co/{backbone.hub}"
    if hub and backbone.revision:
        hub = f"{hub}/tree/{backbone.revision}"
    origin = backbone.continued_from
    parent = checked.backbones[origin].title if origin in checked.backbones else origin
    seen = backbone.pretraining.languages
    unseen = [language for language in LANGUAGES if language not in seen]
    sizes = backbone.parameters
    facts = [
        Fact("name", (backbone.name,)),
        Fact("family", (f"{backbone.family}: {FAMILIES[backbone.family]}",)),
        Fact("continued from", (parent or "–",), page_of(origin) if origin in checked.backbones else None),
        Fact("checkpoint on the Hub", (backbone.hub or "not on the Hub",), hub),
        Fact("revision", (backbone.revision or "not known",)),
        Fact("sha256 of the encoder's weights", (backbone.encoder_sha256 or "not given",)),
        Fact("architecture", (backbone.architecture,)),
        Fact(
            "parameters", (f"{sizes.all:,} in all, {sizes.encoder:,} of the encoder, {sizes.embedding:,} embeddings",)
        ),
        Fact("layers × width", (f"{backbone.layers} × {backbone.width}",)),
        Fact("tokenizer", (backbone.tokenizer,)),
        Fact("pretraining data", (backbone.pretraining.data,)),
        Fact("languages seen", (_languages(seen),)),
        Fact("languages not seen", (_languages(unseen) or "none",)),
        Fact("source of the languages", (backbone.pretraining.languages_source,)),
        Fact("parallel data", (backbone.parallel_data,)),
        Fact("licence", (backbone.licence,)),
        Fact("paper", (backbone.paper,), backbone.paper),
        Fact("sentence vector", (backbone.pooling,)),
        Fact("joins two texts with", (backbone.pairs,)),
        Fact("contributed by", (backbone.contributor,)),
    ]
    return [fact for fact in facts if fact.name != "continued from" or origin is not None]


def _languages(languages: Sequence[str]) -> str:
    return ", ".join(f"{LANGUAGE_NAMES[language]} ({language})" for language in languages)


def sections(backbone: Backbone, boards: Sequence[Board]) -> Iterator[Section]:
    """Its results under each recipe that it has some of.

    Args:
        backbone: the backbone.
        boards: one for each recipe.
    """
    for board in boards:
        row = next((row for row in board.overall if row.backbone.name == backbone.name), None)
        if row is None:
            continue
        results = [result for own in row.tasks.values() for result in own.results]
        yield Section(
            board.recipe,
            (_tasks_table(board, row), _languages_table(board.recipe, row), _seeds_table(board.recipe, row)),
            tuple(Fact(TASKS[task].title, own.collapsed) for task, own in row.tasks.items() if own.collapsed),
            tuple(_changes(results)),
            tuple(filter(None, (diagnosis(board.recipe, own.results) for own in row.tasks.values()))),
            tuple(_provenance(results)),
            tuple(_commands(backbone, row.tasks)),
        )


def _tasks_table(board: Board, row: OverallRow) -> Table:
    heads = (
        Head("task", kind=""),
        RANK,
        Head("seeds"),
        Head("score", "mean over languages, in %"),
        Head("gap", GAP),
        Head("seen", "mean of the languages but English that it has seen in pretraining"),
        Head("unseen", "mean of the languages that it has not seen"),
        Head("official", "the mean by XGLUE's own evaluator"),
        Head("over seeds", "95% interval over trainings alone, on these very test rows"),
    )
    rows: list[tuple[Cell, ...]] = []
    for task, own in row.tasks.items():
        href, seeds = summary_path(board.recipe, row.backbone.name, task), len(own.results)
        ranks = [other.rank for other in board.tasks[task].rows]
        over = own.over_seeds
        rows.append(
            (
                Cell(TASKS[task].title, f"task-{task}.html", note=metric_of(TASKS[task]), kind="name", head=True),
                rank_cell(own.rank, ranks, href),
                Cell(str(seeds), href, order=seeds),
                estimate_cell(
                    own.score, href, seeds=seeds, more=True, kind="main", warning=collapsed_in_words(own.collapsed)
                ),
                estimate_cell(own.gap, href, seeds=seeds, more=True),
                estimate_cell(own.seen, href, seeds=seeds, more=True),
                estimate_cell(own.unseen, href, seeds=seeds, more=True),
                share_cell(own.official, href),
                NONE if over is None else Cell(f"{percent(over[0])} to {percent(over[1])}", href, order=over[0]),
            )
        )
    if row.score is not None:
        href = summary_path(board.recipe, row.backbone.name)
        rows.append(
            (
                Cell("all eight", "index.html", kind="name", head=True),
                rank_cell(row.rank, [other.rank for other in board.overall], href),
                Cell(str(row.seeds), href, order=row.seeds),
                estimate_cell(row.score, href, seeds=row.seeds, more=True, kind="main"),
                estimate_cell(row.gap, href, seeds=row.seeds, more=True),
                *[NONE] * 4,
            )
        )
    legend = tuple(legend_of([*row.tasks.values()]))
    return Table(f"Scores by task, recipe {board.recipe}, in %", heads, tuple(rows), False, True, legend)


def _languages_table(recipe: str, row: OverallRow) -> Table:
    seen = row.backbone.pretraining.languages
    used = [lang for lang in LANGUAGES if any(lang in own.languages for own in row.tasks.values())]
    heads = (
        Head("task", kind=""),
        *(Head(lang, LANGUAGE_NAMES[lang] + ("" if lang in seen else ", not seen in pretraining")) for lang in used),
    )
    rows = []
    for task, own in row.tasks.items():
        href = summary_path(recipe, row.backbone.name, task)
        cells = (
            estimate_cell(
                own.languages.get(lang), href, seeds=len(own.results), kind="" if lang in seen else "not-seen"
            )
            if lang in own.languages
            else Cell("", kind="num")
            for lang in used
        )
        rows.append((Cell(TASKS[task].title, f"task-{task}.html", kind="name", head=True), *cells))
    legend = () if {*used} <= {*seen} else ("dotted, ◦: not seen in pretraining",)
    return Table(f"Scores by language, recipe {recipe}, in %", heads, tuple(rows), False, True, legend)


def _seeds_table(recipe: str, row: OverallRow) -> Table:
    seeds = sorted({result.seed for own in row.tasks.values() for result in own.results})
    heads = (Head("seed", kind=""), *(Head(TASKS[task].title, "", f"task-{task}.html") for task in row.tasks))
    rows = []
    for seed in seeds:
        cells = []
        for own in row.tasks.values():
            found = next((result for result in own.results if result.seed == seed), None)
            if found is None:
                cells.append(NONE)
                continue
            starts = f"seed {seed}, "
            signs = collapsed_in_words([reason for reason in own.collapsed if reason.startswith(starts)])
            cells.append(Cell(percent(found.mean, 2), result_path(found), order=found.mean, warning=signs))
        rows.append((Cell(f"seed {seed}", kind="name", head=True), *cells))
    return Table(f"Each run: mean over languages, recipe {recipe}, in %; links to its record", heads, tuple(rows))


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
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for result in results:
        for item in result.languages.values():
            for name, value in _origins(item.record, result.spec.title):
                found[name][value] = None
    for name, values in found.items():
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


def _commands(backbone: Backbone, tasks: Mapping[str, TaskRow]) -> Iterator[Command]:
    """One command for all tasks that have the same options."""
    groups: dict[str, list[str]] = defaultdict(list)
    for task, row in tasks.items():
        record = next(iter(row.results[0].languages.values())).record
        options = changed_options(record.recipe, record.selection.rule, TASKS[task])
        if record.data.source in ("sample", "hub"):
            options = {"data": record.data.source, **options}
        whole = {
            key: int(value) if value == int(value) else value
            for key, value in options.items()
            if isinstance(value, float)
        }
        groups[json.dumps({**options, **whole})].append(task)
    place = "FOLDER" if backbone.hub is None else f"{backbone.hub},revision={backbone.revision}"
    for options_text, names in groups.items():
        seeds = sorted({result.seed for name in names for result in tasks[name].results})
        chosen = ALL_GROUP if len(names) == len(TASKS) else ",".join(TASKS[name].group for name in names)
        parts = ["lm_eval --model hf", f"--model_args pretrained={place}", f"--tasks {chosen}", f"--seed {seeds[0]}"]
        if json.loads(options_text):
            parts.append(f"--metadata {shlex.quote(options_text)}")
        parts.append("--output_path results")
        yield Command(" ".join(parts), _note(backbone, names, seeds, json.loads(options_text)))


def _note(backbone: Backbone, names: Sequence[str], seeds: Sequence[int], options: Mapping[str, Any]) -> str:
    notes = [", ".join(TASKS[name].title for name in names)]
    if len(seeds) > 1:
        notes.append(f"and again with {' and '.join(f'--seed {seed}' for seed in seeds[1:])}")
    if backbone.hub is None:
        notes.append("the checkpoint is not on the Hub: FOLDER is where it lies")
    if "data" not in options:
        notes.append("with XGLUE_DATA set to the official data")
    return "; ".join(notes)
