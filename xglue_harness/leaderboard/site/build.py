"""The leaderboard as a static site: pages that need neither a server nor a network.

Pages come from ``templates``, what they load from `xglue_harness.leaderboard.site.assets`, and every number on them
links to a JSON file under ``data``: copies of the tree's results, and what is computed from them. The same tree gives
the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.atomic import new_folder
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.ranking.board import Board, boards
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.site import data, figures, pages, paper, tasks
from xglue_harness.leaderboard.site.assets import write_assets
from xglue_harness.leaderboard.site.backbone import card, sections
from xglue_harness.leaderboard.site.cells import LANGUAGE_NAMES
from xglue_harness.published.families import FAMILIES
from xglue_harness.published.paper import reference_folder
from xglue_harness.published.reference import CONTINUED, references

if TYPE_CHECKING:
    from jinja2 import Environment

    from xglue_harness.leaderboard.validation.validate import ValidatedTree

MARKER = ".xglue-leaderboard"
"""A file that says that a folder holds a site of ours, and may be replaced."""

EXAMPLE = "EXAMPLE: toy data, made-up families; the numbers mean nothing"

PAGES = (
    ("index.html", "Leaderboard"),
    ("compare.html", "Compare two"),
    ("paper.html", "The paper's tables"),
    ("contribute.html", "Contribute"),
)
"""Pages beside those of tasks and backbones, and their names in the navigation."""


def build(checked: ValidatedTree, folder: Path) -> Path:
    """Build the site.

    Args:
        checked: the tree.
        folder: where the site goes; a site of ours that is there is replaced.

    Returns:
        The first page.

    Raises:
        LeaderboardError: where the folder holds something else or can't be written, or a package is missing.
    """
    folder = folder.absolute()
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise LeaderboardError(f"{folder}: is a link or a file; give a folder that is new, empty or an older site")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise LeaderboardError(
            f"{folder}: is not empty and no site of the leaderboard (it has no {MARKER}); give another folder, or "
            "empty it first"
        )
    try:
        with new_folder(folder, replace=True) as new:
            _write_site(checked, new)
    except OSError as error:
        raise LeaderboardError(f"{folder}: the site can't be written: {error}; give another folder") from error
    return folder / "index.html"


def _write_site(checked: ValidatedTree, folder: Path) -> None:
    found = boards(checked)
    write_assets(folder / "assets")
    for name, value in data.files(found, checked.example):
        _write(folder / name, data.encode(value))
    ours = {"example": checked.example, **paper.paper_json(references()[0], found, checked)}
    _write(folder / data.PAPER_JSON, data.encode(ours))
    _write(folder / data.PUBLISHED, data.encode(data.published(references())))
    for item in checked.results:
        _copy(item.file, folder / data.result_path(item.result))
    for reference in references():
        _copy(reference_folder() / f"{reference.name}.json", folder / data.reference_path(reference.name))
    environment = _environment(checked)
    for name, template, values in _pages(checked, found):
        _write(folder / name, environment.get_template(template).render(page=name, **values))
    _write(folder / MARKER, "A site of xglue-harness leaderboard build, which may replace this folder.\n")


def _environment(checked: ValidatedTree) -> Environment:
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
        "banner": EXAMPLE if checked.example else "",
        "menu": PAGES,
        "tasks": TASKS,
        "version": version("xglue-harness"),
        "families": FAMILIES,
    }
    return environment


def _pages(checked: ValidatedTree, found: Sequence[Board]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, template and values of every page."""
    published = references()[0]
    printed = (figures.published_families(published), figures.published_continued(published, CONTINUED))
    titles = {name: figures.short(backbone.title) for name, backbone in checked.backbones.items()}
    yield (
        "index.html",
        "index.html",
        {
            "title": "Leaderboard",
            "sections": [_section(board, checked, titles) for board in found],
            "printed": printed,
            "printed_answer": pages.published_answer(published),
            "published": [(own, pages.published(own, checked)) for own in references()],
            "backbones": pages.backbones_table(checked) if checked.backbones else None,
        },
    )
    for spec in TASKS.values():
        own = [(board.recipe, board.tasks[spec.name]) for board in found if spec.name in board.tasks]
        values = {
            "title": spec.title,
            "spec": spec,
            "question": pages.QUESTIONS[spec.name],
            "metric": pages.METRICS[spec.metric],
            "languages": LANGUAGE_NAMES,
            "sections": [
                (recipe, tasks.task_table(recipe, board), tasks.matrix(recipe, board)) for recipe, board in own
            ],
            "published": [tasks.published_task(spec, reference, checked) for reference in references()],
        }
        yield f"task-{spec.name}.html", "task.html", values
    for backbone in checked.backbones.values():
        values = {
            "title": backbone.title,
            "backbone": backbone,
            "facts": card(backbone, checked),
            "sections": [*sections(backbone, found)],
        }
        yield data.page_of(backbone.name), "backbone.html", values
    yield "compare.html", "compare.html", {"title": "Compare two backbones", **_comparisons(found)}
    values = {"title": "The paper's tables", "paper": published, "printed": printed}
    yield "paper.html", "paper.html", {**values, "tables": paper.paper_page(published, found, checked)}
    yield "contribute.html", "contribute.html", {"title": "Contribute"}


def _section(board: Board, checked: ValidatedTree, titles: dict[str, str]) -> dict[str, Any]:
    """A recipe's part of the overview."""
    drawn = [figures.families(board, titles), figures.continued(board, titles)] if board.families else []
    return {
        "recipe": board.recipe,
        "text": pages.recipe_text(board),
        "answer": pages.answer(board, checked.backbones),
        "figures": [figure for figure in drawn if figure is not None],
        "families": pages.families_table(board, checked.backbones),
        "table": pages.overview(board),
    }


def _comparisons(found: Sequence[Board]) -> dict[str, Any]:
    """What the page that compares two needs: every pair of every recipe."""
    recipes = [
        {
            "name": board.recipe,
            "json": data.compare_path(board.recipe),
            **data.for_page(data.comparisons(board)),
        }
        for board in found
        if any(table.pairs for table in board.tasks.values())
    ]
    titles = {task: spec.title for task, spec in TASKS.items()} | {ALL: "all eight"}
    value = {"recipes": recipes, "titles": titles, "languages": LANGUAGE_NAMES}
    return {"recipes": recipes, "script": figures.script_json(value)}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
