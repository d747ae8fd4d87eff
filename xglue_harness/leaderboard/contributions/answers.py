"""What a backbone's file has to say, key by key: what each key means, and whether an answer will do.

Keys are dotted, as in ``pretraining.languages``; values are those known so far, by key.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from xglue_harness.benchmark import LANGUAGES
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.backbone_checks import base_problem, those_there
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.published.families import FAMILIES
from xglue_harness.published.tracks import LM_VS_MT, STUDIES
from xglue_harness.untrusted.problems import problems_of

EXAMPLES: dict[str, Any] = {
    "title": "XLM-R base",
    "family": "LM",
    "pretraining.data": "CommonCrawl (CC-100), 2.5 TB, 100 languages, masked language modelling",
    "pretraining.languages": ["de", "en", "fr"],
    "pretraining.languages_source": "Conneau et al. 2020, arXiv:1911.02116, appendix A",
    "parallel_data": "none",
    "licence": "MIT",
    "paper": "https://arxiv.org/abs/1911.02116",
    "contributor": "Ada Lovelace",
}
"""What no checkpoint tells, with a valid answer: it stands in for what is not known yet while others are checked.

Beside these, ``hub`` is asked for a folder, ``continued_from`` for a CP, and `OF_CONVERTED` of a converted checkpoint.
"""

_ORIGINAL = "converted_from."

OF_CONVERTED: dict[str, Any] = {
    f"{_ORIGINAL}repository": LM_VS_MT.repository,
    f"{_ORIGINAL}commit": LM_VS_MT.commit,
    f"{_ORIGINAL}file": "model_weights/mlm/checkpoint_best.pt",
    "track": "controlled",
}
"""What no checkpoint tells of the file that it was converted from, with a valid answer."""


@cache
def fields() -> dict[str, FieldInfo]:
    """All keys of a file, with what the schema says of them."""
    keys: dict[str, FieldInfo] = {}
    for name, field in Backbone.model_fields.items():
        model = _part(field.annotation)
        if model is not None:
            keys |= {f"{name}.{inner}": part for inner, part in model.model_fields.items()}
        else:
            keys[name] = field
    return keys


def _part(annotation: Any) -> type[BaseModel] | None:
    """The model of a part of a file, which may be optional; ``None``: it is no part."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def unanswered(values: Mapping[str, Any]) -> Iterator[str]:
    """Keys that have no value yet, in the order of the file.

    ``continued_from`` only where it is known to be a CP, and `OF_CONVERTED` only where it is known to be converted.
    """
    converted = any(key.startswith(_ORIGINAL) for key in values)
    for key in fields():
        wanted = key in EXAMPLES or key == "hub" or (key == "continued_from" and values.get("family") == "CP")
        wanted = wanted or (key in OF_CONVERTED and converted)
        if wanted and key not in values:
            yield key


def missing_answers(values: Mapping[str, Any], languages: Sequence[str] | None, folder: Path) -> list[str]:
    """A line for each answer that is missing: key, meaning, and how to give it.

    Args:
        values: those known.
        languages: that the tokenizer has codes for, as an example; ``None`` where it has no such codes.
        folder: of the tree's backbones.
    """
    keys = [*unanswered(values)]
    if "family" not in values and "continued_from" not in values:
        keys.insert(keys.index("family") + 1, "continued_from")
    examples: dict[str, Any] = {**EXAMPLES, **OF_CONVERTED, "hub": "", "continued_from": "NAME"}
    if languages is not None:
        examples["pretraining.languages"] = languages
    lines = []
    for key in keys:
        example = examples[key]
        text = shlex.quote(example if isinstance(example, str) else ",".join(example))
        only = " (of a CP only)" if key == "continued_from" else ""
        lines.append(f"{key}{only}: {meaning(key, folder)}: e.g. --set {key}={text}")
    return lines


def meaning(key: str, folder: Path) -> str:
    """What a key means, and what can be answered."""
    more = {
        "hub": "; leave it empty for null",
        "family": f" ({', '.join(f'{short}: {long}' for short, long in FAMILIES.items())})",
        "track": f" ({', '.join(STUDIES)})",
        "continued_from": f"; {those_there(folder)}",
        "pretraining.languages": f", with commas between: {', '.join(LANGUAGES)}",
    }
    return f"{fields()[key].description}{more.get(key, '')}"


def parsed(key: str, text: str) -> Any:
    """The value that a text stands for; pydantic turns digits into numbers."""
    text = text.strip()
    if key == "pretraining.languages":
        return [part.strip() for part in text.split(",") if part.strip()]
    if text in ("", "null") and type(None) in get_args(fields()[key].annotation):
        return None
    return text


def problem_of(key: str, values: Mapping[str, Any], folder: Path) -> str | None:
    """What is wrong with a value, by the schema and by the backbones that are there; others may be missing or wrong."""
    others = {**EXAMPLES, **dict.fromkeys(("hub", "revision", "encoder_sha256", "continued_from"))}
    others["family"] = "CP" if values.get("continued_from") else "LM"
    if any(given.startswith(_ORIGINAL) for given in values) and "track" not in values:
        others |= OF_CONVERTED  # a track that is known is not judged by a repository that is made up
    messages: list[str] = []
    try:
        backbone = Backbone.model_validate(_nested({**others, **values}))
        messages += [base_problem(backbone, folder) or ""]
    except ValidationError as error:
        for item in error.errors(include_url=False):
            where, message = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
            if where and (f"{where}.".startswith(f"{key}.") or key.startswith(f"{where}.")):
                return message
            messages.append(message)
    about_it = next((message for message in messages if message.startswith(f"{key}: ")), None)
    return about_it and about_it.removeprefix(f"{key}: ")


def backbone_of(values: Mapping[str, Any], path: Path) -> Backbone:
    """The backbone that all values together make.

    Args:
        values: of all keys.
        path: of its file, for messages, in the folder of the tree's backbones.

    Raises:
        LeaderboardError: where they don't fit one another, or the backbone that it was continued from.
    """
    try:
        backbone = Backbone.model_validate(_nested({"continued_from": None, **values}))
    except ValidationError as error:
        raise LeaderboardError(f"{path}: {problems_of(error)}") from None
    if problem := base_problem(backbone, path.parent):
        raise LeaderboardError(f"{path}: {problem}")
    return backbone


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of dotted keys as the file has them."""
    whole: dict[str, Any] = {}
    for key, value in values.items():
        part, _, inner = key.rpartition(".")
        (whole.setdefault(part, {}) if part else whole)[inner] = value
    return whole
