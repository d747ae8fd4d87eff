"""Folders that come with the package: inside it in a wheel; beside it in a checkout, where an edited file is live."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
"""Folder of the harness's code."""


def tasks_folder() -> Path:
    """Folder of the lm-eval YAML.

    Raises:
        FileNotFoundError: when the installation lost it.
    """
    return _first_with("tasks/xglue_zs.yaml", PACKAGE, PACKAGE.parent) / "tasks"


def recipes_folder() -> Path:
    """Folder of the recipes that come with this version.

    Raises:
        FileNotFoundError: when the installation lost it.
    """
    return _first_with("recipes/paper.yaml", PACKAGE, PACKAGE.parent) / "recipes"


def published_tree() -> Path:
    """The leaderboard that comes with this version.

    Raises:
        FileNotFoundError: when the installation lost it.
    """
    return _first_with("reference/ji2024.json", PACKAGE / "contributed", PACKAGE.parent / "leaderboard")


def _first_with(file: str, *folders: Path) -> Path:
    for folder in folders:
        if (folder / file).is_file():
            return folder
    raise FileNotFoundError(f"no {file} in or beside {PACKAGE}: reinstall xglue-harness")
