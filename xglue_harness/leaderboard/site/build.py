"""The leaderboard as a static site: pages that need neither a server nor a network.

Pages come from ``templates``, what they load from `xglue_harness.leaderboard.site.assets`, and every number on them
links to a JSON file under ``data``: copies of the tree's results, and what is computed from them. The same tree gives
the same bytes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.atomic import new_folder
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.ranking.board import boards
from xglue_harness.leaderboard.ranking.frozen import all_gains, frozen_boards
from xglue_harness.leaderboard.site.assets import write_assets
from xglue_harness.leaderboard.site.csv_files import Downloads
from xglue_harness.leaderboard.site.described import backbones_json
from xglue_harness.leaderboard.site.json_files import UNIT, encode, json_files
from xglue_harness.leaderboard.site.json_gains import gains_json
from xglue_harness.leaderboard.site.json_published import published_json
from xglue_harness.leaderboard.site.origin import Origin, origin_of
from xglue_harness.leaderboard.site.pages import all_pages, template_environment
from xglue_harness.leaderboard.site.paper_numbers import paper_json
from xglue_harness.leaderboard.site.paths import (
    BACKBONES_JSON,
    PAPER_JSON,
    PUBLISHED_JSON,
    gains_path,
    reference_path,
    result_path,
)
from xglue_harness.published.paper import reference_folder
from xglue_harness.published.reference import references

if TYPE_CHECKING:
    from xglue_harness.leaderboard.validation.validate import ValidatedTree

MARKER = ".xglue-leaderboard"
"""A file that says that a folder holds a site of ours, and may be replaced."""


def build(validated: ValidatedTree, folder: Path, *, repository: str | None = None, docs: str | None = None) -> Path:
    """Build the site.

    Args:
        validated: the tree; its dates are those of its commits, where git knows them.
        folder: where the site goes; a site of ours that is there is replaced.
        repository: address of the repository that pages link to; by default the ``Source`` of the installed package.
        docs: address of the documentation, or its path beside the site, such as ``docs/``; by default there is no link.

    Returns:
        The first page.

    Raises:
        LeaderboardError: where the folder holds something else or can't be written, the address is none of the web, or
            a package is missing.
    """
    folder = folder.absolute()
    origin = origin_of(validated.folder, repository, docs)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise LeaderboardError(f"{folder}: is a link or a file; give a folder that is new, empty or an older site")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise LeaderboardError(
            f"{folder}: is not empty and no site of the leaderboard (it has no {MARKER}); give another folder, or "
            "empty it first"
        )
    try:
        with new_folder(folder, replace=True) as new:
            _write_site(validated, new, origin)
    except OSError as error:
        raise LeaderboardError(f"{folder}: the site can't be written: {error}; give another folder") from error
    return folder / "index.html"


def _write_site(validated: ValidatedTree, folder: Path, origin: Origin) -> None:
    all_boards, probes, every_gain = boards(validated), frozen_boards(validated), all_gains(validated)
    write_assets(folder / "assets")
    for name, value in json_files([*all_boards, *probes], validated.example):
        _write(folder / name, encode(value))
    ours = {"example": validated.example, **paper_json(references()[0], all_boards, validated)}
    _write(folder / PAPER_JSON, encode(ours))
    _write(folder / PUBLISHED_JSON, encode(published_json(references())))
    _write(folder / BACKBONES_JSON, encode(backbones_json(validated, origin)))
    for gains in every_gain:
        value = {"example": validated.example, "unit": UNIT, **gains_json(gains)}
        _write(folder / gains_path(gains.place, gains.frozen), encode(value))
    for item in (*validated.results, *validated.frozen):
        _copy(item.file, folder / result_path(item.result))
    for reference in references():
        _copy(reference_folder() / f"{reference.name}.json", folder / reference_path(reference.name))
    downloads = Downloads()
    environment = template_environment(validated, origin, downloads)
    for name, template, values in all_pages(validated, all_boards, probes, every_gain, origin):
        downloads.start(name)
        _write(folder / name, environment.get_template(template).render(page=name, **values))
    for name, text in downloads.files.items():
        _write(folder / name, text)
    _write(folder / MARKER, "A site of xglue-harness leaderboard build, which may replace this folder.\n")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
