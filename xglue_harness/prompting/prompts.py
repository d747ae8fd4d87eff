"""The prompts of a task, as data: ``tasks/<task>/prompts.yml`` (lm-eval takes ``*.yaml`` for tasks)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from jinja2 import Environment, StrictUndefined, TemplateError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xglue_harness.benchmark import TaskSpec
from xglue_harness.errors import PromptError
from xglue_harness.files import file_sha256
from xglue_harness.kinds import kind_of

CONTENT_FREE = "N/A"
"""Text of every field of the question that calibrates (Zhao et al. 2021, arXiv:2102.09690, section 5)."""

Words = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompt(_Part):
    """The prompt in one language.

    Attributes:
        description: the instruction, once before everything; with a chat template it is the system message.
        question: a Jinja template over the columns of a row.
        choices: words for each class, by its name; ``None`` for tagging, whose answers hold the classes themselves.
    """

    description: Words
    question: Words
    choices: dict[str, Words] | None = None


class Prompts(_Part):
    """All prompts of a task.

    Attributes:
        languages: by language of the instructions.
        delimiter: what stands between a question and its answer, unless a chat template does.
        fallback: class of a word that an answer gives none for (tagging).
        aliases: other spellings of a class in answers, in upper case (tagging).
    """

    languages: dict[str, Prompt]
    delimiter: str = " "
    fallback: str | None = None
    aliases: dict[str, str] = {}


def load_prompts(spec: TaskSpec, folder: Path) -> tuple[Prompts, str]:
    """Read and check the prompts of a task.

    Args:
        spec: the task.
        folder: lm-eval's YAML, as ``tasks/``.

    Returns:
        The prompts, and the sha256 (hex) of their file.

    Raises:
        PromptError: where the file is missing or wrong; the message names the key.
    """
    path = folder / spec.name / "prompts.yml"
    try:
        prompts = Prompts.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise PromptError(f"{path}: can't be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise PromptError(f"{path}: {problems}") from None
    if missing := [language for language in spec.languages if language not in prompts.languages]:
        raise PromptError(f"{path}: languages: no prompt in {', '.join(missing)}")
    _check_classes(prompts, spec, path)
    for language, prompt in prompts.languages.items():
        _check_prompt(prompt, spec, f"{path}: languages.{language}")
    return prompts, file_sha256(path)


def _check_classes(prompts: Prompts, spec: TaskSpec, path: Path) -> None:
    if (prompts.fallback is None) == (kind_of(spec).asks == "tags"):
        raise PromptError(f"{path}: fallback: tagging tasks, and they alone, have a class for words without an answer")
    named = {"fallback": prompts.fallback, **{f"aliases.{alias}": name for alias, name in prompts.aliases.items()}}
    for key, name in named.items():
        if name is not None and name not in spec.labels:
            raise PromptError(f"{path}: {key}: {name!r} is no class; expected one of {', '.join(spec.labels)}")


def _check_prompt(prompt: Prompt, spec: TaskSpec, where: str) -> None:
    if kind_of(spec).asks == "tags":
        if prompt.choices is not None:
            raise PromptError(f"{where}.choices: answers of a tagging task hold the classes themselves")
    elif list(prompt.choices or {}) != list(spec.labels):
        raise PromptError(f"{where}.choices: expected words for {', '.join(spec.labels)}, in this order")
    elif len(set((prompt.choices or {}).values())) < len(spec.labels):
        raise PromptError(f"{where}.choices: two classes have the same words")
    for key in ("description", "question"):
        try:
            _ENVIRONMENT.from_string(getattr(prompt, key)).render(content_free(spec))
        except TemplateError as error:
            raise PromptError(f"{where}.{key}: {error}; the columns are {', '.join(spec.columns)}") from None


_ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 (no page: a prompt)


def content_free(spec: TaskSpec) -> dict[str, Any]:
    """A row without content, to ask what a model answers whatever it reads; its label means nothing."""
    return kind_of(spec).filled_row(CONTENT_FREE)
