"""Recipes by name: files that set options for all tasks and for some, those that come with us and a user's own."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import RecipeError
from xglue_harness.files import read_regular, user_path
from xglue_harness.plain_yaml import parse_yaml
from xglue_harness.resources import recipes_folder

LIMIT = 100_000
"""Most bytes of a file."""

ENDINGS = (".yaml", ".yml")


class _Content(BaseModel):
    """What a file of a recipe holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    description: str = Field(min_length=1)
    source: str | None = Field(None, min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as its file has it.

    Attributes:
        name: of the file, without its ending.
        sha256: of its bytes.
        description: what it is, in a line.
        options: for all tasks.
        tasks: by task, what is other than in ``options``.
    """

    name: str
    sha256: str
    description: str
    options: dict[str, Any]
    tasks: dict[str, dict[str, Any]]

    def of(self, task: str | None) -> dict[str, Any]:
        """What it sets for a task; ``None``: for those that it does not name."""
        return {**self.options, **self.tasks.get(task or "", {})}


def recipe_names() -> list[str]:
    """Names of the recipes that come with us."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def is_recipe_path(text: str) -> bool:
    """Whether this is the path of a file, and not a name."""
    return text.endswith(ENDINGS) or "/" in text or "\\" in text


def read_recipe(text: str, known: Collection[str]) -> RecipeFile:
    """Read a recipe; that its values are in range is for `xglue_harness.recipe` to say.

    Args:
        text: its name, or the path of its file.
        known: names of the options that it may set.

    Raises:
        RecipeError: where there is none of that name, or the file is no recipe; says what there is.
    """
    names = recipe_names()
    if not is_recipe_path(text):
        if text not in names:
            guess = difflib.get_close_matches(text, names, n=1)
            meant = f" (did you mean {guess[0]}?)" if guess else ""
            raise RecipeError(
                f"recipe: there is no {text!r}{meant}; there are {', '.join(names)}, or give the path of a YAML file"
            )
        return _read(recipes_folder() / f"{text}.yaml", known)
    try:
        path = user_path(text)
    except OSError as error:
        raise RecipeError(f"recipe: {text}: {error.strerror}") from None
    own = _read(path, known)
    if own.name in names and own.sha256 != _read(recipes_folder() / f"{own.name}.yaml", known).sha256:
        raise RecipeError(f"recipe: {path}: {own.name} is a recipe that comes with xglue-harness: rename the file")
    return own


def _read(path: Path, known: Collection[str]) -> RecipeFile:
    if path.suffix not in ENDINGS:
        raise RecipeError(f"recipe: {path}: expected a file that ends in .yaml")
    try:
        data = read_regular(path, LIMIT)
        value = parse_yaml(data.decode())
        if not isinstance(value, dict):
            raise ValueError("expected the keys description and options")
        content = _Content.model_validate(value)
        for place, options in (("options", content.options), *content.tasks.items()):
            _check_names(place, options, known)
    except OSError as error:
        raise RecipeError(f"recipe: {path}: {error.strerror}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:10])
        raise RecipeError(f"recipe: {path}: {problems}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"recipe: {path}: is no text in UTF-8") from None
    except ValueError as error:
        raise RecipeError(f"recipe: {path}: {error}") from None
    return RecipeFile(path.stem, hashlib.sha256(data).hexdigest(), content.description, content.options, content.tasks)


def _check_names(place: str, options: dict[str, Any], known: Collection[str]) -> None:
    """Refuse what is neither a task nor an option of a recipe.

    Raises:
        ValueError: naming it, and what there is.
    """
    if place != "options" and place not in TASKS:
        raise ValueError(f"tasks.{place}: no such task; there are {', '.join(TASKS)}")
    if unknown := [name for name in options if name not in known]:
        where = place if place == "options" else f"tasks.{place}"
        raise ValueError(f"{where}.{unknown[0]}: a recipe has no such option; it may set {', '.join(known)}")
