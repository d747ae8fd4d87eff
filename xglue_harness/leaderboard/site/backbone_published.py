"""Published numbers of a backbone, on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xglue_harness.benchmark import LANGUAGES, TASKS
from xglue_harness.leaderboard.site.cells import Cell, Head, Table, point_cell
from xglue_harness.leaderboard.site.paths import PUBLISHED_JSON, reference_path
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES, metric_of
from xglue_harness.published.reference import PublishedSystem, Reference


@dataclass(frozen=True)
class Published:
    """What a publication says of a backbone.

    Attributes:
        reference: the publication.
        table: its numbers, by task and language.
    """

    reference: Reference
    table: Table


def published_numbers(backbone: str, references: Sequence[Reference]) -> tuple[Published, ...]:
    """Every publication that has numbers of a backbone.

    Args:
        backbone: its name.
        references: the publications.
    """
    found = ((reference, system) for reference in references for system in reference.systems)
    return tuple(Published(reference, _table(reference, own)) for reference, own in found if own.name == backbone)


def _table(reference: Reference, system: PublishedSystem) -> Table:
    href = reference_path(reference.name)
    used = [lang for lang in LANGUAGES if any(lang in scores for scores in system.scores.values())]
    heads = (
        Head("task", kind=""),
        Head("mean", "mean over all languages"),
        *(Head(lang, LANGUAGE_NAMES[lang]) for lang in used),
        Head("as printed", "the average that the publication prints"),
    )
    rows: list[tuple[Cell, ...]] = []
    for spec in TASKS.values():
        scores = system.scores.get(spec.name, {})
        languages = (point_cell(scores[lang], href) if lang in scores else Cell("", kind="num") for lang in used)
        name = Cell(spec.title, f"task-{spec.name}.html", note=metric_of(spec), kind="name", head=True)
        mean = point_cell(system.shown(spec.name), PUBLISHED_JSON)
        rows.append((name, mean, *languages, point_cell(system.printed.get(spec.name), href)))
    if system.overall is not None:
        blank = Cell("", kind="num")
        whole = Cell("all eight", "index.html", kind="name", head=True)
        rows.append((whole, point_cell(system.overall, PUBLISHED_JSON), *[blank] * (len(used) + 1)))
    return Table(f"{reference.short}, {system.title} in %", heads, tuple(rows))
