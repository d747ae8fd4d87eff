"""Every page of the site: its file, its template, and the values that fill it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.leaderboard.ranking.board import Board
from xglue_harness.leaderboard.ranking.frozen import Gains
from xglue_harness.leaderboard.site import controlled, frozen
from xglue_harness.leaderboard.site.answers import answer, published_answer
from xglue_harness.leaderboard.site.backbone import card, sections
from xglue_harness.leaderboard.site.backbone_frozen import frozen_tables
from xglue_harness.leaderboard.site.backbone_published import published_numbers
from xglue_harness.leaderboard.site.citations import citations
from xglue_harness.leaderboard.site.compare import compare_page
from xglue_harness.leaderboard.site.described import backbones_table
from xglue_harness.leaderboard.site.family_figures import continued, families, published_continued, published_families
from xglue_harness.leaderboard.site.figures import Figure, short
from xglue_harness.leaderboard.site.overview import families_table, overview, published, recipe_text
from xglue_harness.leaderboard.site.paper import paper_page
from xglue_harness.leaderboard.site.paths import page_of
from xglue_harness.leaderboard.site.size_figure import published_by_size, score_by_size
from xglue_harness.leaderboard.site.tasks import matrix, published_task, task_table
from xglue_harness.leaderboard.site.words import LANGUAGE_NAMES, METRICS, QUESTIONS
from xglue_harness.published.families import FAMILIES
from xglue_harness.published.paper import CONTINUED
from xglue_harness.published.reference import references

if TYPE_CHECKING:
    from jinja2 import Environment

    from xglue_harness.leaderboard.site.csv_files import Downloads
    from xglue_harness.leaderboard.site.origin import Origin
    from xglue_harness.leaderboard.validation.validate import ValidatedTree

EXAMPLE = "EXAMPLE: toy data, made-up families; the numbers mean nothing"

PAGES = (
    ("index.html", "Leaderboard"),
    ("compare.html", "Compare two"),
    ("paper.html", "The paper's tables"),
    ("contribute.html", "Contribute"),
)
"""Pages beside those of tasks and backbones, and their names in the navigation."""

FROZEN_PAGES = ((frozen.PAGE, frozen.TITLE),)
"""The page that is there where the tree has frozen encoders."""


CONTROLLED_PAGES = ((controlled.PAGE, controlled.TITLE),)
"""The page that is there where the tree describes backbones of that track."""


def template_environment(validated: ValidatedTree, origin: Origin, downloads: Downloads) -> Environment:
    """Jinja2 with the templates, and what all of them use.

    Args:
        validated: the tree.
        origin: where it comes from.
        downloads: takes the tables that pages show.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "banner": EXAMPLE if validated.example else "",
        "menu": (
            *PAGES[:1],
            *CONTROLLED_PAGES[: len(controlled.members(validated))],
            *FROZEN_PAGES[: len(validated.frozen)],
            *PAGES[1:],
        ),
        "tasks": TASKS,
        "version": version("xglue-harness"),
        "families": FAMILIES,
        "origin": origin,
        "download": downloads,
    }
    return environment


def all_pages(
    validated: ValidatedTree, boards: Sequence[Board], probes: Sequence[Board], gains: Sequence[Gains], origin: Origin
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, template and values of every page.

    Args:
        validated: the tree.
        boards: one for each track and recipe.
        probes: the same of frozen encoders.
        gains: what fine-tuning adds to these.
        origin: where the tree comes from.
    """
    paper = references()[0]
    main = [board for board in boards if board.track == "main"]
    printed = (published_families(paper), published_continued(paper, CONTINUED))
    yield "index.html", "index.html", _overview(validated, main, printed, origin)
    for spec in TASKS.values():
        yield f"task-{spec.name}.html", "task.html", _task(spec, validated, main)
    for backbone in validated.backbones.values():
        values = {
            "title": backbone.title,
            "backbone": backbone,
            "facts": card(backbone, validated, origin),
            "sections": [*sections(backbone, boards, origin)],
            "frozen": [*frozen_tables(backbone, probes, gains)],
            "published": published_numbers(backbone.name, references()),
        }
        yield page_of(backbone.name), "backbone.html", values
    if controlled.members(validated):
        yield controlled.PAGE, "controlled.html", controlled.controlled_page(validated, boards, origin)
    if validated.frozen:
        yield frozen.PAGE, "frozen.html", frozen.frozen_page(probes, gains)
    yield "compare.html", "compare.html", {"title": "Compare two backbones", **compare_page(boards)}
    values = {"title": "The paper's tables", "paper": paper, "printed": printed}
    yield "paper.html", "paper.html", {**values, "tables": paper_page(paper, boards, validated)}
    yield "contribute.html", "contribute.html", {"title": "Contribute"}


def _overview(
    validated: ValidatedTree, boards: Sequence[Board], printed: Sequence[Figure], origin: Origin
) -> dict[str, Any]:
    titles = {name: short(backbone.title) for name, backbone in validated.backbones.items()}
    main = {name: backbone for name, backbone in validated.backbones.items() if backbone.track == "main"}
    sizes = published_by_size(references()[0], validated.backbones)
    return {
        "title": "Leaderboard",
        "sections": [_section(board, validated, titles) for board in boards],
        "printed": [*printed, *([sizes] if sizes else [])],
        "printed_answer": published_answer(references()[0]),
        "published": [(reference, published(reference, validated)) for reference in references()],
        "backbones": backbones_table(replace(validated, backbones=main), origin) if main else None,
        "citations": citations(version("xglue-harness"), origin.repository, origin.newest),
    }


def _section(board: Board, validated: ValidatedTree, titles: Mapping[str, str]) -> dict[str, Any]:
    """A recipe's part of the overview."""
    figures = [families(board, titles), continued(board, titles), score_by_size(board)] if board.families else []
    return {
        "recipe": board.recipe,
        "text": recipe_text(board),
        "answer": answer(board, validated.backbones),
        "figures": [figure for figure in figures if figure is not None],
        "families": families_table(board, validated.backbones),
        "table": overview(board),
    }


def _task(spec: TaskSpec, validated: ValidatedTree, boards: Sequence[Board]) -> dict[str, Any]:
    return {
        "title": spec.title,
        "spec": spec,
        "question": QUESTIONS[spec.name],
        "metric": METRICS[spec.metric],
        "languages": LANGUAGE_NAMES,
        "sections": [
            (board.recipe, task_table(board, spec.name), matrix(board, spec.name))
            for board in boards
            if spec.name in board.tasks
        ],
        "published": [published_task(spec, reference, validated) for reference in references()],
    }
