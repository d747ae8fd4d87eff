"""Describe a backbone: what its checkpoint tells, and a few answers, make the file of the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from xglue_harness.atomic import replacing
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.answers import (
    EXAMPLES,
    OF_CONVERTED,
    backbone_of,
    fields,
    meaning,
    missing_answers,
    parsed,
    problem_of,
    unanswered,
)
from xglue_harness.leaderboard.contributions.backbone_checks import backbone_path, listed
from xglue_harness.leaderboard.contributions.backbones import Backbone, render


class Ask(Protocol):
    """Ask for the value of a key."""

    def __call__(self, key: str, explanation: str, default: str | None) -> str:
        """The answer.

        Args:
            key: of the file.
            explanation: what it means, or why the last answer was not taken.
            default: taken where nothing is answered; ``None`` where something must be.
        """


def new_backbone(
    name: str, source: str, tree: Path, answers: Mapping[str, str], ask: Ask | None = None
) -> tuple[Path, Backbone]:
    """Describe a backbone in a file of the tree.

    Args:
        name: of the backbone.
        source: Hub id, with ``@revision`` behind it or not, or folder.
        tree: the tree.
        answers: values by dotted key; they need not be asked, and come before what the checkpoint tells.
        ask: asks for what is missing; ``None`` where there is nobody to ask.

    Returns:
        The file, and what it says.

    Raises:
        LeaderboardError: for a name or an answer that can't be taken, answers that are missing with nobody to ask, or a
            file that is there already or can't be written; nothing is written then.
        EncoderError: where the checkpoint can't be loaded, or can't be fine-tuned.
    """
    path = backbone_path(name, tree)
    folder = path.parent
    if path.exists() or path.is_symlink():
        raise LeaderboardError(f"{path}: is there already; edit it, or give another NAME")
    if unknown := [key for key in answers if key not in fields() or key == "name"]:
        raise LeaderboardError(f"--set {unknown[0]}: no such key; expected one of {', '.join([*fields()][1:])}")
    values, languages = _known(name, source, {key: parsed(key, text) for key, text in answers.items()})
    if problems := [f"{key}: {problem}" for key in values if (problem := problem_of(key, values, folder))]:
        raise LeaderboardError(listed(f"{path}: can't be written; give other values with --set KEY=VALUE", problems))
    if ask is None and (lines := missing_answers(values, languages, folder)):
        raise LeaderboardError(listed(f"{path}: answers are missing, and there is no terminal to ask at", lines))
    if Path(source).is_dir() and "encoder_sha256" not in values:
        values["encoder_sha256"] = _encoder_sha256(source)
    while ask is not None and (key := next(unanswered(values), None)) is not None:
        values[key] = _asked(key, values, languages, folder, ask)
    backbone = backbone_of(values, path)
    if path.exists():
        raise LeaderboardError(f"{path}: has appeared meanwhile; edit it, or give another NAME")
    try:
        with replacing(path) as temporary:
            temporary.write_text(render(backbone), encoding="utf-8")
    except OSError as error:
        raise LeaderboardError(f"{path}: can't be written: {error.strerror or error}") from error
    return path, backbone


def _known(name: str, source: str, answers: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    """Values that are known before anything is asked; and the languages that the tokenizer has codes for."""
    from xglue_harness.leaderboard.contributions.describe import facts  # which waits for torch

    checkpoint = facts(source)
    on_hub = {} if checkpoint.hub is None else {"hub": checkpoint.hub, "encoder_sha256": None}
    facts_known = {"revision": checkpoint.revision, **checkpoint.values, **checkpoint.original}
    known = {"name": name, **on_hub, **facts_known, **answers}
    return known, checkpoint.languages


def _encoder_sha256(source: str) -> str:
    import torch

    from xglue_harness.encoders.fingerprint import identify
    from xglue_harness.encoders.loading import load_backbone

    return identify(load_backbone(source, torch.device("cpu"))).weights


def _asked(key: str, values: Mapping[str, Any], languages: Sequence[str] | None, folder: Path, ask: Ask) -> Any:
    """An answer; a bad one is asked again."""
    default = {"hub": "", "pretraining.languages": ",".join(languages or ()) or None}.get(key)
    explanation = f"\n{meaning(key, folder)}"
    examples = EXAMPLES | OF_CONVERTED
    if key in examples and key not in ("family", "track", "pretraining.languages"):
        explanation += f"\ne.g. {examples[key]}"
    while True:
        answer = ask(key, explanation, default)
        value = parsed(key, answer)
        problem = problem_of(key, {**values, key: value}, folder)
        if not answer.strip() and default is None and value is not None:
            problem = "nothing was answered, and there is no default; Ctrl-C ends this, and nothing is written"
        if problem is None:
            return value
        explanation = f"not taken: {problem}"
