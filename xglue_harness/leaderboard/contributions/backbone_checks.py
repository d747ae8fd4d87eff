"""Where the descriptions of backbones lie in a tree, and whether they are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from xglue_harness.errors import EncoderError, LeaderboardError
from xglue_harness.leaderboard.contributions.backbones import Backbone, read_backbone, unlike_base
from xglue_harness.untrusted.text import Name


def backbones_folder(tree: Path) -> Path:
    """Where the backbones of a tree lie.

    Raises:
        LeaderboardError: where it is no tree.
    """
    folder = tree / "backbones"
    if not folder.is_dir():
        raise LeaderboardError(
            f"{tree}: no leaderboard; expected a folder with backbones in it: go to a checkout, give --tree DIR, or "
            f"begin one with mkdir -p {tree}/backbones"
        )
    return folder


def backbone_path(name: str, tree: Path) -> Path:
    """The file of a backbone, there or not.

    Raises:
        LeaderboardError: for a name that could lead out of the folder, before anything is looked at; and as
            `backbones_folder`.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise LeaderboardError(
            f"NAME {name!r}: expected lower-case letters, digits, and . _ - between them (no two dots in a row), at "
            "most 64"
        ) from None
    return backbones_folder(tree) / f"{name}.yaml"


def those_there(folder: Path) -> str:
    """The names of a folder's backbones, for a message."""
    return f"there are: {', '.join(sorted(path.stem for path in folder.glob('*.yaml'))) or 'none'}"


def check_backbones(names: Sequence[str], tree: Path, *, offline: bool, tell: Callable[[str], None]) -> None:
    """Check descriptions of backbones: schema, base, and the numbers of the checkpoint on the Hub (no weights).

    Args:
        names: of the backbones; none for all of the tree.
        tree: the tree.
        offline: don't compare with the Hub.
        tell: gets a line for each that is right.

    Raises:
        LeaderboardError: listing every problem; that a checkpoint can't be reached is one.
    """
    paths = [backbone_path(name, tree) for name in names] or sorted(backbones_folder(tree).glob("*.yaml"))
    if not paths:
        raise LeaderboardError(f"{backbones_folder(tree)}: no backbone in it; 'xglue-harness backbone new' writes one")
    problems: list[str] = []
    for path in paths:
        if not path.exists():
            problems.append(f"{path}: there is no such file; {those_there(path.parent)}")
            continue
        try:
            backbone = read_backbone(path)
        except LeaderboardError as error:
            problems.append(str(error))
            continue
        wrong = [problem for problem in (base_problem(backbone, path.parent),) if problem]
        if backbone.hub is None or offline:
            compared = "not compared" if offline else "not on the Hub: nothing to compare with"
        else:
            compared = f"as {_address(backbone)}"
            wrong += _checkpoint_problems(backbone)
        problems += [f"{path}: {problem}" for problem in wrong]
        if not wrong:
            size = f"{backbone.parameters.all / 1e6:,.1f} M parameters"
            tell(f"{path}: {backbone.title}, {size}: right ({compared})")
    if problems:
        raise LeaderboardError(listed(f"{tree}: {len(problems)} problem{'s' * (len(problems) > 1)}", problems))


def base_problem(backbone: Backbone, folder: Path) -> str | None:
    """What does not fit the backbone that it was continued from.

    Args:
        backbone: the description.
        folder: of the tree's backbones.
    """
    if backbone.continued_from is None:
        return None
    path = folder / f"{backbone.continued_from}.yaml"
    if not path.exists():
        return f"continued_from: there is no {path.name}; {those_there(folder)}"
    try:
        base = read_backbone(path)
    except LeaderboardError as error:
        return f"continued_from: {error}"
    return unlike_base(backbone, base)


def listed(title: str, lines: Sequence[str]) -> str:
    """A message with an item a line."""
    return "\n".join([title, *(f"- {line}" for line in lines)])


def _address(backbone: Backbone) -> str:
    """Id and revision on the Hub."""
    return f"{backbone.hub}{f'@{backbone.revision}' if backbone.revision else ''}"


def _checkpoint_problems(backbone: Backbone) -> list[str]:
    """Where a file says something else than the checkpoint on the Hub."""
    from xglue_harness.leaderboard.contributions.describe import differences, facts  # which wait for torch

    try:
        return [*differences(backbone, facts(_address(backbone)))]
    except EncoderError as error:
        return [f"hub: nothing was compared: {error}; --offline checks the file alone"]
