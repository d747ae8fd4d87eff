"""From the results of a sweep to its tables, and into the leaderboard's tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError, SweepError
from xglue_harness.leaderboard.contributions.recipes import changed_options
from xglue_harness.leaderboard.contributions.results import ONE_PROTOCOL
from xglue_harness.leaderboard.validation.rescoring import RescoredResult
from xglue_harness.leaderboard.validation.written import written_result
from xglue_harness.published.paper import CONTINUED, FAMILY_OF, name_of
from xglue_harness.published.reference import PublishedSystem, references
from xglue_harness.published.tracks import STUDIES, Track
from xglue_harness.records.results_files import WrittenRun, read_runs
from xglue_harness.sweeps.comparison import Compared, Comparison, compare, restricted
from xglue_harness.sweeps.file import is_path
from xglue_harness.sweeps.jobs import Job, expand
from xglue_harness.sweeps.shapes import backbones_in, descriptions
from xglue_harness.sweeps.tables import Grid, paper_tables

if TYPE_CHECKING:
    from xglue_harness.leaderboard.add import Added
    from xglue_harness.leaderboard.contributions.backbones import Backbone
    from xglue_harness.sweeps.file import SweepFile

RECIPE = "sweep"
"""Stands for the name of a recipe that is not the paper's; no name of a tree."""


@dataclass(frozen=True)
class Report:
    """What a sweep's results say.

    Attributes:
        tables: Table 1, Table 4, and the contrasts between families where there are any.
        missing: jobs that have no results yet.
        unknown: names of the backbones whose family nobody has said.
    """

    tables: tuple[Grid, ...]
    missing: tuple[Job, ...]
    unknown: tuple[str, ...]


def report(
    names: Sequence[str],
    jobs: Sequence[Job],
    output: Path,
    tree: Path,
    *,
    published: bool = False,
    language_intervals: bool = False,
) -> Report:
    """Tables of the results that there are.

    Args:
        names: of the backbones, in the order of the tables.
        jobs: of these backbones, those that count; the tables have their tasks and seeds, with or without results.
        output: of the sweep.
        tree: a leaderboard's, whose descriptions say which family a backbone is of.
        published: show the paper's numbers below ours.
        language_intervals: show the interval of every language's score in Table 4.

    Raises:
        SweepError: where there are no results, or they can't stand in one table.
        DataError: where predictions are missing or not those of their record.
    """
    from tqdm import tqdm

    keys = {name: f"b{place}" for place, name in enumerate(names)}
    there = finished(jobs, output)
    if not there:
        raise SweepError(f"{output}: none of {len(jobs)} jobs has results yet")
    bar = tqdm(there, unit="job", desc="reading results", disable=None)
    results = [result_of(job, output, keys[job.backbone]) for job in bar]
    titles = {key: name for name, key in keys.items()}
    checkpoints = {keys[job.backbone]: str(job.model_args["pretrained"]) for job in jobs}
    backbones = compared(titles, checkpoints, results, [*backbones_in(tree)])
    languages = {task: {language for job in jobs if job.task == task for language in job.languages} for task in TASKS}
    specs = [restricted(spec, languages[name]) for name, spec in TASKS.items() if languages[name]]
    seeds = len({job.seed for job in jobs})
    comparison = compare(backbones, specs, seeds, results)
    paper = published_systems(checkpoints) if published else {}
    told = caption(comparison, results, len(jobs) - len(there))
    grids = paper_tables(comparison, paper, told, language_intervals=language_intervals)
    unknown = tuple(item.title for item in backbones.values() if item.family is None)
    missing = tuple(job for job in jobs if job not in there)
    return Report(grids, missing, unknown)


def chosen(sweep: SweepFile, backbones: Collection[str], tasks: Collection[str]) -> list[Job]:
    """The jobs of some backbones and tasks; of all where none is named.

    Raises:
        SweepError: for a name that the file does not have.
    """
    jobs = expand(sweep)
    for what, names, there in (
        ("--backbones", backbones, {job.backbone for job in jobs}),
        ("--tasks", tasks, {job.task for job in jobs}),
    ):
        if unknown := [name for name in names if name not in there]:
            raise SweepError(f"{what} {unknown[0]}: not in the sweep's file; it has {', '.join(sorted(there))}")
    return [job for job in jobs if job.backbone in (backbones or [job.backbone]) and job.task in (tasks or [job.task])]


def finished(jobs: Sequence[Job], output: Path) -> list[Job]:
    """The jobs that have results."""
    return [job for job in jobs if (output / job.folder).is_dir()]


def result_of(job: Job, output: Path, key: str) -> RescoredResult:
    """A job's result, scored again from its predictions.

    Args:
        job: the job.
        output: of the sweep.
        key: what stands for its backbone.

    Raises:
        SweepError: where the folder has another job's results, or not all of its languages.
        DataError: where it has none, or predictions are missing.
    """
    folder = output / job.folder
    runs: dict[str, WrittenRun] = {}
    for run in read_runs([folder]):
        if (protocol := run.record.get("protocol")) != "finetune":
            raise SweepError(f"{run}: protocol {protocol!r}: {ONE_PROTOCOL}")
        actual = (run.record.get("task"), run.record["recipe"]["seed"])
        if actual != (job.task, job.seed):
            raise SweepError(f"{run}: {actual[0]} from seed {actual[1]}; expected those of {job.name}")
        language = str(run.record.get("target_language"))
        if (other := runs.setdefault(language, run)) is not run:
            raise SweepError(f"{run}: {other} is of the same language; remove one of them")
    try:
        return written_result(key, runs, RECIPE, job.languages).rescored
    except LeaderboardError as error:
        raise SweepError(str(error)) from None


def add_to_tree(
    jobs: Sequence[Job], output: Path, tree: Path, *, recipe: str | None, reason: str | None, example: bool
) -> Added:
    """Put what is finished into a leaderboard's tree, as ``leaderboard add`` does.

    Args:
        jobs: those that count.
        output: of the sweep.
        tree: the leaderboard's.
        recipe: a name for the recipe, where it is not the paper's.
        reason: why scores that are there already change.
        example: the data are the packaged toy.

    Raises:
        SweepError: where there are no results.
        LeaderboardError: as `xglue_harness.leaderboard.add.add`.
    """
    from xglue_harness.leaderboard.add import add

    there = finished(jobs, output)
    if not there:
        raise SweepError(f"{output}: none of {len(jobs)} jobs has results yet")
    return add([output / job.folder for job in there], tree, recipe=recipe, reason=reason, example=example)


# ---------------------------------------------------------------- what is told of backbones


def compared(
    titles: Mapping[str, str],
    checkpoints: Mapping[str, str],
    results: Sequence[RescoredResult],
    described: Sequence[Backbone],
) -> dict[str, Compared]:
    """Backbones with the families and tracks that descriptions, or the paper, tell.

    Args:
        titles: what tables call each backbone, by its key.
        checkpoints: Hub id or folder of each, by its key.
        results: of these backbones, under their keys.
        described: descriptions of backbones.
    """
    tree_names = {key: _tree_name(title, key, checkpoints[key], results, described) for key, title in titles.items()}
    by_tree_name = {tree_name: key for key, tree_name in tree_names.items() if tree_name is not None}
    descriptions = {item.name: item for item in described}
    backbones = {}
    for key, title in titles.items():
        tree_name = tree_names[key] or ""
        item = descriptions.get(tree_name)
        family = FAMILY_OF.get(tree_name) if item is None else item.family
        parent = CONTINUED.get(tree_name) if item is None else item.continued_from
        track: Track = "main" if item is None else item.track
        pairs = study.pairs if (study := STUDIES[track]) else ()
        matched = tuple(by_tree_name[b] for a, b in pairs if a == tree_name and b in by_tree_name)
        backbones[key] = Compared(title, family, by_tree_name.get(parent or ""), track, matched)
    return backbones


def _tree_name(
    name: str, key: str, checkpoint: str, results: Sequence[RescoredResult], described: Sequence[Backbone]
) -> str | None:
    """What the tree, or the paper, calls a backbone: by its id on the Hub, or a hash of its weights or its original."""
    records = [
        item.record.backbone
        for result in results
        if result.result.backbone == key
        for item in result.result.languages.values()
    ]
    weights = {record.encoder_sha256 for record in records}
    originals = {record.converted_from.checkpoint_sha256 for record in records if record.converted_from}
    for backbone in described:
        if backbone.converted_from is not None:
            if backbone.converted_from.sha256 in originals:
                return backbone.name
            continue
        if backbone.hub == checkpoint or backbone.encoder_sha256 in weights:
            return backbone.name
        if backbone.hub is None and backbone.encoder_sha256 is None and backbone.name == name:
            return name
    return _paper_name(checkpoint)


def _paper_name(checkpoint: str) -> str | None:
    """What the paper calls a backbone: by its id on the Hub, or the name of its folder."""
    described = descriptions().get(checkpoint)
    if described is not None:
        return described.name if described.name in FAMILY_OF else None
    return name_of(checkpoint) if is_path(checkpoint) else None  # another's copy on the Hub may be anything


def published_systems(checkpoints: Mapping[str, str]) -> dict[str, PublishedSystem]:
    """The paper's numbers of the backbones that it has, by key.

    Args:
        checkpoints: Hub id or folder of each backbone, by its key.
    """
    systems = {system.name: system for system in references()[0].systems}
    names = {key: _paper_name(checkpoint) for key, checkpoint in checkpoints.items()}
    return {key: systems[name] for key, name in names.items() if name in systems}


# ---------------------------------------------------------------- what is told of results


def caption(comparison: Comparison, results: Sequence[RescoredResult], missing: int) -> str:
    """What is said of all results: seeds, recipe, data.

    Args:
        comparison: their numbers.
        results: the results.
        missing: jobs that have none.
    """
    parts = [f"{comparison.seeds} seed{'s' * (comparison.seeds > 1)} each.", *_told(_recipes(results))]
    records = [item.record for result in results for item in result.result.languages.values()]
    if any(record.sample for record in records):
        parts.append("SAMPLE data: a toy; these scores mean nothing.")
    if any(record.data.unofficial for record in records):
        parts.append("UNOFFICIAL data: scores do not compare with those on XGLUE.")
    if missing:
        parts.append(f"{missing} job{'s have' if missing > 1 else ' has'} no results yet.")
    return " ".join(parts)


def tasks_of_several_recipes(results: Sequence[RescoredResult]) -> list[str]:
    """Titles of the tasks that some of the results were trained on by another recipe than others."""
    counts = Counter(title for titles in _recipes(results).values() for title in titles)
    return [title for title, count in counts.items() if count > 1]


def _recipes(results: Sequence[RescoredResult]) -> dict[str, list[str]]:
    """Titles of tasks by recipe: what is not as in the paper, in words."""
    changed: dict[str, list[str]] = {}
    for item in results:
        record = next(iter(item.result.languages.values())).run
        options = changed_options(record.recipe, record.selection.rule, item.result.spec)
        words = ", ".join(f"{name} {_value(value)}" for name, value in options.items())
        titles = changed.setdefault(words, [])
        if item.result.spec.title not in titles:
            titles.append(item.result.spec.title)
    return changed


def _told(recipes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for words, titles in recipes.items():
        where = "" if len(recipes) == 1 else f" of {', '.join(titles)}"
        yield f"Recipe{where}: {words + ', else ' if words else ''}that of Ji et al. 2024."


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
