"""The recipe: every option that decides a result, checked before anything is loaded.

Defaults are those of Ji et al. 2024 (arXiv:2403.16777, section 2.3): AdamW, linear warm-up and decay, a learning rate
of 2e-5 for POS and 5e-6 otherwise, at most 256 subwords, 10 epochs. What the paper leaves open (batch size, share of
the warm-up, weight decay, clipping) follows the common fine-tuning practice of BERT and XLM-R.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import math
import reprlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from xglue_harness.benchmark import TaskSpec
from xglue_harness.errors import RecipeError
from xglue_harness.records.training_schema import NamedRecipe, Rule

if TYPE_CHECKING:
    from xglue_harness.recipe_files import RecipeFile

ChosenPrecision = Literal["fp32", "tf32", "bf16", "fp16"]
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]
PoolingName = Literal["auto", "first", "mean", "max", "eos"]


def _names(value: Any) -> Any:
    """Names in one word, as ``key=value`` on the command line gives them, where a comma ends a value."""
    return tuple(filter(None, value.split("+"))) if isinstance(value, str) else value


def _installed(names: tuple[TrackerName, ...]) -> tuple[TrackerName, ...]:
    """Each tracker once; one that is not installed is refused before anything is loaded."""
    for name in names:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # a folder of that name, as wandb makes one for its logs
            raise ValueError(f"{name} is not installed: pip install {name}")
    return tuple(dict.fromkeys(names))


class Options(BaseModel):
    """What ``--metadata`` may hold. ``None`` means: the default of the task or of the encoder's family."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: Annotated[
        str | dict[str, str] | None,
        Field(description="'sample', 'hub', a folder, an archive, or {task: repository@revision or folder}"),
    ] = None
    recipe: Annotated[
        NamedRecipe | None,
        Field(description="a set of options by name: 'paper', 'xglue', 'quick', or the path of a YAML file"),
    ] = None
    protocol: Annotated[
        Literal["auto", "finetune", "prompt", "probe"],
        Field(
            description="how the model is used: by default an encoder is fine-tuned, a language model prompted; probe: "
            "the encoder is frozen"
        ),
    ] = "auto"
    prompt_language: Annotated[
        Literal["en", "target"], Field(description="language of the prompts: English, or that of the test set")
    ] = "en"
    probe_layer: Annotated[
        int | None, Field(ge=0, description="layer that is probed: 0 is what the embeddings give; by default the last")
    ] = None
    probe_rows: Annotated[
        int, Field(ge=2, description="English training rows that a probe is fitted on; the seed draws them")
    ] = 10_000
    epochs: Annotated[float, Field(gt=0, le=1000, description="passes over the English training set")] = 10
    learning_rate: Annotated[
        float | None, Field(gt=0, le=1, description="peak learning rate; by default 2e-5 for POS, 5e-6 otherwise")
    ] = None
    batch_size: Annotated[int, Field(ge=1, le=65536, description="training examples a step")] = 32
    max_length: Annotated[int, Field(ge=8, le=131072, description="subwords, special ones included")] = 256
    warmup_ratio: Annotated[float, Field(ge=0, lt=1, description="share of the steps with a rising rate")] = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=1, description="AdamW's decay of weight matrices")] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, description="gradients are clipped to this norm")] = 1.0
    seed: Annotated[int | None, Field(ge=0, lt=2**32, description="by default that of lm_eval's --seed")] = None
    train_limit: Annotated[int | None, Field(ge=1, description="use the first N training rows only")] = None
    precision: Annotated[Precision, Field(description="of the arithmetic; weights stay in fp32")] = "auto"
    compile: Annotated[
        bool,
        Field(description="train through torch.compile: seconds at the start for each length, faster on a GPU"),
    ] = False
    graphs: Annotated[
        bool, Field(description="on a GPU, record training steps as CUDA graphs, which changes nothing but the time")
    ] = True
    pooling: Annotated[PoolingName, Field(description="how a sentence becomes a vector")] = "auto"
    dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="by default the encoder's own, and 0.1 in the head")
    ] = None
    dev: Annotated[
        Literal["all", "en", "none"],
        Field(
            description="dev sets scored after each epoch, for the selection rules: of all languages, English, or none"
        ),
    ] = "all"
    select: Annotated[
        Rule,
        Field(
            description="which epoch counts: the last, the best on English dev or on all dev sets, or the target's "
            "best; average: the mean of all epochs' weights, average_last_K: of the last K"
        ),
    ] = "last"
    keep_epochs: Annotated[
        Literal["selected", "all"],
        Field(description="epochs whose weights the store keeps: those that a rule of select may lead to, or all"),
    ] = "selected"
    checkpoint_minutes: Annotated[
        float, Field(ge=0, description="time between checkpoints (there is one after each epoch, too)")
    ] = 10
    report_to: Annotated[
        tuple[TrackerName, ...],
        BeforeValidator(_names),
        AfterValidator(_installed),
        Field(description="trackers that are told how a training goes: tensorboard, wandb, trackio; as one word: a+b"),
    ] = ()
    diagnostics: Annotated[
        tuple[str, ...],
        BeforeValidator(_names),
        Field(description='measures beside the scores: "cka", "spectra", or a plug-in\'s; as one word: cka+spectra'),
    ] = ()
    diagnostic_rows: Annotated[
        int | None,
        Field(ge=8, description="documents of each language that diagnostics look at; by default a 20th, 32 to 512"),
    ] = None
    reference: Annotated[
        str | None, Field(description="encoder that diagnostics compare with: a Hub id (@revision) or a folder")
    ] = None

    gradients: Annotated[
        str | None,
        Field(
            description="parallel texts of an alignment loss whose gradient is compared with the task's while it is "
            "learnt: 'dev' (dev sets that are translations), or a folder of <language>.txt"
        ),
    ] = None
    intervene: Annotated[
        tuple[Literal["center", "erase"], ...],
        BeforeValidator(_names),
        Field(
            description="states that no longer tell their language, scored beside the others: center moves each "
            "language's mean onto English's, erase removes what tells languages apart; as one word: center+erase"
        ),
    ] = ()
    intervene_layer: Annotated[
        int | None, Field(ge=0, description="layer whose states are changed; by default the last, which the head reads")
    ] = None
    intervene_rows: Annotated[
        int, Field(ge=8, description="dev documents of each language that an intervention is fitted on, at most")
    ] = 512

    @property
    def given(self) -> frozenset[str]:
        """Names of the options that were given one by one, and not by a recipe."""
        named = self.recipe
        return frozenset(self.model_fields_set - (set() if named is None else named.options.keys() - named.changed))

    @model_validator(mode="after")
    def _diagnoses_one_encoder(self) -> Options:
        if self.diagnostics and self.select == "oracle":
            raise ValueError("diagnostics compare languages in one encoder; select oracle scores each with another")
        if self.intervene and self.select == "oracle":
            raise ValueError("intervene compares languages in one encoder; select oracle scores each with another")
        return self

    @model_validator(mode="after")
    def _has_the_dev_sets_that_it_selects_by(self) -> Options:
        enough = {"en_dev": ("all", "en"), "all_dev": ("all",), "oracle": ("all",)}.get(self.select)
        if enough is not None and self.dev not in enough:
            raise ValueError(f"select {self.select} needs dev {' or '.join(enough)}")
        return self

    @model_validator(mode="after")
    def _has_the_epochs_that_it_averages(self) -> Options:
        last = self.select.removeprefix("average_last_")
        if last != self.select and int(last) > math.ceil(self.epochs):
            raise ValueError(f"select {self.select} needs as many epochs; there are {self.epochs:g}")
        return self


FOR_ANY_PROTOCOL = frozenset({"data", "protocol"})
ONLY_FOR = {
    "prompt": frozenset({"prompt_language"}),
    "probe": frozenset({"probe_layer", "probe_rows"}),
}
"""Options that count under one protocol alone."""
_ALSO_FOR_PROBES = frozenset({"max_length", "pooling", "seed"})
"""Options of a fine-tuning that a probe reads, too."""


def read_by(protocol: Literal["finetune", "prompt", "probe"]) -> frozenset[str]:
    """The options that count under a protocol.

    Args:
        protocol: how the model is used.
    """
    if protocol == "prompt":
        return FOR_ANY_PROTOCOL | ONLY_FOR["prompt"]
    if protocol == "probe":
        return FOR_ANY_PROTOCOL | ONLY_FOR["probe"] | _ALSO_FOR_PROBES
    return frozenset(Options.model_fields).difference(*ONLY_FOR.values())


class Recipe(BaseModel):
    """Everything that decides one fine-tuning, with no default left open; its `key` names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    epochs: float
    learning_rate: float
    batch_size: int
    max_length: int
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    seed: int
    train_limit: int | None
    precision: ChosenPrecision
    compile: bool
    pooling: Literal["first", "mean", "max", "eos"]
    dropout: float | None
    dev: Literal["all", "en", "none"]
    optimizer: Literal["adamw"] = "adamw"
    schedule: Literal["linear"] = "linear"
    batching: Literal["length_grouped"] = "length_grouped"

    @property
    def key(self) -> str:
        """Twelve hex digits of the SHA-256 over all fields."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:12]


RECIPE_OPTIONS = tuple(
    name for name in Options.model_fields if name == "select" or (name in Recipe.model_fields and name != "seed")
)
"""Options that a recipe may set: all that decide a result, but for the data and the seed."""


def parse_options(metadata: Mapping[str, Any], foreign: Collection[str] = (), *, task: str | None = None) -> Options:
    """Check the options of a run, and put those of a named recipe beneath them.

    Args:
        metadata: what lm_eval hands to a task: YAML < model arguments < ``--metadata``.
        foreign: keys that are no options of ours (lm_eval's own, arguments of the model).
        task: short name of the task; ``None``: not known yet, so what a recipe sets for one task does not count.

    Raises:
        RecipeError: for an unknown key or a value out of range; below a list of what is allowed.
            For a recipe that there is not, or whose file is none.
    """
    names = Options.model_fields
    unknown = sorted(key for key in metadata if key not in names and key not in foreign)
    if unknown:
        raise RecipeError(f"{allowed()}\nunknown option {', '.join(map(_with_guess, unknown))} in --metadata")
    given = {key: value for key, value in metadata.items() if key in names}
    named = None if given.get("recipe") is None else _checked_recipe(given.pop("recipe"))
    try:
        options = Options.model_validate({**({} if named is None else named.of(task)), **given})
        return options if named is None else _with_recipe(options, named, named.of(task), given)
    except ValidationError as error:
        problems = "; ".join(f"{_place(item['loc'], item['input'])}{item['msg']}" for item in error.errors())
        raise RecipeError(f"{allowed()}\nbad option in --metadata: {problems}") from None


def with_recipe(metadata: Mapping[str, Any], task: str | None) -> dict[str, Any]:
    """Options of a run with those of the recipe that they name beneath them; nothing else is checked.

    Args:
        metadata: options by name.
        task: as for `parse_options`.

    Raises:
        RecipeError: for a recipe that there is not, or whose file is none.
    """
    name = metadata.get("recipe")
    return {**({} if name is None else _checked_recipe(name).of(task)), **metadata}


def _checked_recipe(name: Any) -> RecipeFile:
    """A recipe whose options are in range and go together, for every task."""
    from xglue_harness.recipe_files import read_recipe

    if not isinstance(name, str):
        raise RecipeError(f"recipe: {reprlib.repr(name)}: expected a name or the path of a YAML file")
    recipe = read_recipe(name, RECIPE_OPTIONS)
    for task in (None, *recipe.tasks):
        try:
            Options.model_validate(recipe.of(task), strict=True)
        except ValidationError as error:
            problems = "; ".join(f"{_place(item['loc'], item['input'])}{item['msg']}" for item in error.errors())
            where = "" if task is None else f"tasks.{task}: "
            raise RecipeError(f"recipe {name}: {where}{problems}") from None
    return recipe


def _with_recipe(options: Options, named: RecipeFile, own: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    """Options that know which recipe lies beneath them, and which of them are not its own."""
    base = Options.model_validate(own)
    changed = {name: getattr(options, name) for name in RECIPE_OPTIONS if name in given}
    changed = {name: value for name, value in changed.items() if value != getattr(base, name)}
    note = NamedRecipe(name=named.name, sha256=named.sha256, options=dict(own), changed=changed)
    return Options.model_validate(
        {**{name: getattr(options, name) for name in options.model_fields_set}, "recipe": note}
    )


def resolve(
    options: Options,
    spec: TaskSpec,
    *,
    seed: int,
    precision: ChosenPrecision,
    pooling: Literal["first", "mean", "max", "eos"],
) -> Recipe:
    """Fill in what the options leave to the task, the run (``seed``), the device and the encoder's family."""
    fields = options.model_dump(include=set(Recipe.model_fields))
    if fields["learning_rate"] is None:
        fields["learning_rate"] = spec.learning_rate
    if fields["seed"] is None:
        fields["seed"] = seed
    return Recipe(task=spec.name, **{**fields, "precision": precision, "pooling": pooling})


def allowed() -> str:
    """One line for each option: its name, default and meaning."""
    lines = [
        f"  {name}: {field.description} (default {json.dumps(field.default)}{_bounds(field.metadata)})"
        for name, field in Options.model_fields.items()
    ]
    return "\n".join(["--metadata takes these options:", *lines])


def _place(keys: tuple[int | str, ...], value: Any) -> str:
    """Where an error is: the option and its value, cut where it is long or nested deeply."""
    if not keys:
        return ""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 200
    return f"{keys[0]}={short.repr(value)}: "


def _bounds(constraints: list[Any]) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    bounds = [f"{sign} {getattr(c, name)}" for c in constraints for name, sign in signs.items() if hasattr(c, name)]
    return f"; {', '.join(bounds)}" if bounds else ""


def _with_guess(key: str) -> str:
    guess = difflib.get_close_matches(key, Options.model_fields, n=1)
    return f"{key!r} (did you mean {guess[0]!r}?)" if guess else repr(key)
