"""The sweep's file: what is to be trained, with what, and what a training needs; checked before anything starts."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, field_validator, model_validator

from xglue_harness.benchmark import ALL_GROUP, TASKS
from xglue_harness.errors import RecipeError, SweepError
from xglue_harness.files import read_regular, user_path
from xglue_harness.plain_yaml import parse_yaml
from xglue_harness.recipe import ONLY_FOR, Options, with_recipe
from xglue_harness.recipe_files import is_recipe_path
from xglue_harness.records.training_schema import Rule

LIMIT = 1_000_000
"""Most bytes of a file."""

ELSEWHERE = {
    "data": "data",
    "seed": "seeds",
    "select": "select",
    "diagnostics": "diagnostics",
    "diagnostic_rows": "diagnostic_rows",
    "reference": "reference",
}
"""Options of a run that are no part of ``recipe``, and the key of the file that stands for each."""

RECIPE = tuple(name for name in Options.model_fields if name not in {"protocol", *ELSEWHERE}.union(*ONLY_FOR.values()))
"""Options that ``recipe`` may hold."""

Scalar = str | int | float | bool | None
Count = Annotated[int, Field(ge=1)]


def _recipe_schema() -> dict[str, Any]:
    properties = Options.model_json_schema()["properties"]
    name = {"type": "string", "description": properties["recipe"]["description"]}
    options = {option: properties[option] for option in RECIPE} | {"recipe": name}
    return {"anyOf": [name, {"type": "object", "additionalProperties": False, "properties": options}]}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Needs(_Part):
    """What one job needs of the machine that it runs on."""

    gpus: float | None = Field(
        None,
        ge=0,
        le=1,
        description="a GPU, or a share of one (0.5: two jobs on a GPU); by default 1 where there is one",
    )
    cpus: Count | None = Field(None, description="cores; by default the engine's own number")
    memory_gb: float | None = Field(None, gt=0, description="main memory in GB; by default the engine's own limit")
    minutes: float | None = Field(
        None, gt=0, description="how long a job takes at most; of a backbone, also for its place in the order"
    )


class SweepBackbone(_Part):
    """A pretrained encoder."""

    pretrained: str = Field(
        min_length=1, description="Hub id, or a folder (a path that begins with ./ or ../ or / or ~)"
    )
    revision: str | None = Field(
        None, min_length=1, description="commit, tag or branch on the Hub; required for a Hub id"
    )
    model: Literal["hf-encoder", "hf"] = Field("hf-encoder", description="lm_eval's --model")
    model_args: dict[str, Scalar] = Field(
        default_factory=dict, description="further arguments of the model, as in lm_eval's --model_args"
    )
    needs: Needs | None = Field(None, description="what its jobs need, where it is other than the file's needs say")

    @field_validator("model_args")
    @classmethod
    def _no_key_of_ours(cls, given: dict[str, Scalar]) -> dict[str, Scalar]:
        if twice := sorted(given.keys() & {"pretrained", "revision"}):
            raise ValueError(f"{', '.join(twice)}: stands beside model_args, not in it")
        if "device" in given:
            raise ValueError("device: is a key of the whole file, not of a model")
        if options := sorted(given.keys() & (Options.model_fields.keys() - {"dropout", "max_length"})):
            raise ValueError(f"{', '.join(options)}: no argument of a model; write it into recipe")
        return given


class SweepFile(_Part):
    """What ``sweep.yaml`` holds; read it with `load`, after which all of its paths are absolute."""

    output: str = Field(min_length=1, description="folder for results and the queue; relative to this file")
    backbones: dict[str, SweepBackbone] = Field(min_length=1, description="by the name that tables show")
    tasks: tuple[str, ...] = Field(
        min_length=1,
        description="xnli or xglue_xnli_zs: a task in all its languages; xglue_xnli_zs_de: one language; xglue_zs: all",
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1, description="one training for each")
    recipe: Annotated[dict[str, Any], WithJsonSchema(_recipe_schema())] = Field(
        default_factory=dict,
        description="a recipe by its name or path; or options of a run that are not at their defaults, which are the "
        "paper's, recipe: NAME among them",
    )
    select: Rule = Field("last", description="which epoch counts; records have the scores of all rules anyway")
    diagnostics: tuple[str, ...] = Field((), description="measures beside the scores, as the option of that name")
    diagnostic_rows: int | None = Field(None, ge=8, description="documents that diagnostics look at")
    reference: str | None = Field(None, description="encoder that diagnostics compare with: Hub id@revision, or a path")
    data: str | dict[str, str] = Field(
        "hub", description="sample, hub, a folder, an archive, or {task: repository@revision or folder}"
    )
    store: str | None = Field(
        None, description="folder of fine-tuned encoders; by default $XGLUE_STORE, else one in the output"
    )
    keep_encoders: bool = Field(
        True, description="whether fine-tuned encoders stay in the store once their job is done: gigabytes each"
    )
    device: str | None = Field(None, description="lm_eval's --device; by default a GPU where there is one")
    attempts: int = Field(3, ge=1, le=100, description="how often a job that fails is tried where that may help")
    needs: Needs = Field(default_factory=Needs, description="what one job needs")

    @field_validator("backbones")
    @classmethod
    def _names_of_folders(cls, backbones: dict[str, SweepBackbone]) -> dict[str, SweepBackbone]:
        for name in backbones:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name.endswith("."):
                raise ValueError(f"{name!r}: a name has letters, digits and . _ - only, since it names a folder")
        return backbones

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for name in tasks:
            if not leaves_of(name):
                raise ValueError(
                    f"{name!r}: no such task{_guess(name, _task_names())}; {', '.join(TASKS)}, {ALL_GROUP}"
                )
        return tasks

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands there twice")
        return seeds

    @field_validator("recipe", mode="before")
    @classmethod
    def _by_name(cls, recipe: Any) -> Any:
        return {"recipe": recipe} if isinstance(recipe, str) else recipe

    @field_validator("recipe")
    @classmethod
    def _known_options(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        for name in recipe:
            if name in ELSEWHERE:
                raise ValueError(f"{name}: no part of the recipe; write {ELSEWHERE[name]} beside it")
            if name not in RECIPE:
                raise ValueError(f"{name}: no such option{_guess(name, RECIPE)}; known are {', '.join(RECIPE)}")
        return recipe

    @model_validator(mode="after")
    def _options_hold_together(self) -> SweepFile:
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in self.metadata.items()}
        try:
            for task in {leaf[0] for name in self.tasks for leaf in leaves_of(name)}:
                settings = with_recipe(given, task)
                settings.pop("recipe", None)
                Options.model_validate(settings, strict=True)
        except RecipeError as error:
            raise ValueError(str(error)) from None
        except ValidationError as error:
            raise ValueError(_problems(error, prefix="recipe.")) from None
        return self

    @property
    def metadata(self) -> dict[str, Any]:
        """The options of a run that all jobs share, as ``--metadata`` takes them; the seed is lm_eval's."""
        extra = {
            "diagnostics": [*self.diagnostics] or None,
            "diagnostic_rows": self.diagnostic_rows,
            "reference": self.reference,
            "select": self.select if self.select != "last" else None,
        }
        return {"data": self.data, **self.recipe, **{key: value for key, value in extra.items() if value is not None}}

    @property
    def folder(self) -> Path:
        """The output, where results appear; `xglue_harness.sweeps.queue.Queue` has its files in it, too."""
        return Path(self.output)


def leaves_of(name: str) -> list[tuple[str, str]]:
    """The pairs of task and language that a name of the file's ``tasks`` stands for; none for an unknown name."""
    if name == ALL_GROUP:
        return [(spec.name, language) for spec in TASKS.values() for language in spec.languages]
    for spec in TASKS.values():
        if name in (spec.name, spec.group):
            return [(spec.name, language) for language in spec.languages]
        for language in spec.languages:
            if name == spec.leaf(language):
                return [(spec.name, language)]
    return []


def load(path: Path) -> SweepFile:
    """Read and check a sweep's file.

    Args:
        path: of the YAML file. Paths in it are relative to its folder, and become absolute here.

    Raises:
        SweepError: naming the file, the key, and what was expected there.
    """
    try:
        path = user_path(path)
        text = read_regular(path, LIMIT).decode()
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror}; expected a sweep's file, as in examples/sweeps") from None
    except UnicodeDecodeError:
        raise SweepError(f"{path}: is no text in UTF-8; expected YAML") from None
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise SweepError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise SweepError(f"{path}: expected keys and values, such as `output: results`; found {type(value).__name__}")
    try:
        if "recipe" in value:
            value["recipe"] = _recipe_from(path.absolute().parent, value["recipe"])
        sweep = SweepFile.model_validate_json(json.dumps(value), strict=True)  # JSON's lists may become tuples
        return _with_absolute_paths(sweep, path.absolute().parent)
    except ValidationError as error:
        raise SweepError(f"{path}: {_problems(error)}") from None
    except (TypeError, ValueError, OSError) as error:
        raise SweepError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    return SweepFile.model_json_schema()


def is_path(text: str) -> bool:
    """Whether a name that may be one of the Hub is a path: it begins with ``./``, ``../``, ``/`` or ``~``."""
    return text in (".", "..") or text.startswith(("./", "../", "~")) or Path(text).is_absolute()


# ---------------------------------------------------------------- paths


def _with_absolute_paths(sweep: SweepFile, base: Path) -> SweepFile:
    def absolute(text: str) -> str:
        return str((base / user_path(text)).resolve())

    def named(text: str) -> str:
        return absolute(text) if is_path(text) else text

    def backbone(name: str, given: SweepBackbone) -> SweepBackbone:
        pretrained = named(given.pretrained)
        if is_path(given.pretrained):
            if given.revision is not None:
                raise ValueError(f"backbones.{name}.revision: {given.pretrained} is a folder, which has no revisions")
            if not Path(pretrained).is_dir():
                raise ValueError(f"backbones.{name}.pretrained: no folder {pretrained}")
        elif given.revision is None:
            raise ValueError(
                f"backbones.{name}.revision: is missing; name a commit of {given.pretrained} on the Hub, so that all "
                "jobs get the same weights (or `main`, which may move). A folder's path begins with ./ or /"
            )
        arguments = {key: named(value) if isinstance(value, str) else value for key, value in given.model_args.items()}
        return given.model_copy(update={"pretrained": pretrained, "model_args": arguments})

    data: str | dict[str, str]
    if isinstance(sweep.data, dict):
        data = {task: named(place) for task, place in sweep.data.items()}
    else:
        data = (
            sweep.data if sweep.data in ("sample", "hub") or _is_repository(sweep.data, base) else absolute(sweep.data)
        )
        if Path(data).is_absolute() and not Path(data).exists():
            raise ValueError(f"data: no file or folder {data}; or write hub, or sample")
    return sweep.model_copy(
        update={
            "output": absolute(sweep.output),
            "store": None if sweep.store is None else absolute(sweep.store),
            "reference": None if sweep.reference is None else named(sweep.reference),
            "data": data,
            "backbones": {name: backbone(name, given) for name, given in sweep.backbones.items()},
        }
    )


def _recipe_from(base: Path, recipe: Any) -> Any:
    """The file's ``recipe``, with the path of a recipe's own file made absolute before that file is read."""
    if isinstance(recipe, str):
        return str((base / user_path(recipe)).resolve()) if is_recipe_path(recipe) else recipe
    if isinstance(recipe, dict) and isinstance(name := recipe.get("recipe"), str):
        return {**recipe, "recipe": _recipe_from(base, name)}
    return recipe


def _is_repository(data: str, base: Path) -> bool:
    """Whether this is the Hub's copy of the data and not a path."""
    from xglue_harness.data.hub_datasets import COPY

    return data == COPY and not (base / data).exists()


# ---------------------------------------------------------------- errors


def _task_names() -> list[str]:
    leaves = [spec.leaf(language) for spec in TASKS.values() for language in spec.languages]
    return [ALL_GROUP, *TASKS, *(spec.group for spec in TASKS.values()), *leaves]


def _guess(name: str, known: Any) -> str:
    guess = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {guess[0]}?)" if guess else ""


def _problems(error: ValidationError, prefix: str = "") -> str:
    """What is wrong, key by key, in a line; at most ten."""
    return "; ".join(_problem(item, prefix) for item in error.errors(include_url=False)[:10])


def _problem(item: Any, prefix: str) -> str:
    parts = [str(part) for part in item["loc"]]
    where = f"{prefix}{'.'.join(parts)}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        model: type[BaseModel] = SweepFile if len(parts) == 1 else Needs if parts[-2] == "needs" else SweepBackbone
        known = model.model_fields
        return f"{where}: no such key{_guess(parts[-1], known)}; known are {', '.join(known)}"
    if item["type"] == "missing":
        return f"{where}: is missing"
    return f"{where}: {message}" if parts else message
