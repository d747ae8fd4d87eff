"""``xglue-harness backbone``: describe a backbone from its checkpoint and a few answers, and check descriptions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from xglue_harness.errors import EncoderError, LeaderboardError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from xglue_harness.leaderboard.contributions.backbones import Backbone

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

TreeOption = Annotated[Path, typer.Option("--tree", metavar="DIR", help="folder with backbones, results and reference")]

_TREE = Path("leaderboard")

_EXAMPLES: dict[str, Any] = {
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

Beside these, ``hub`` is asked for a folder and ``continued_from`` for a CP.
"""


@app.command(
    "new",
    epilog="Examples: `xglue-harness backbone new xlmr-base --from-hub FacebookAI/xlm-roberta-base`, "
    "`xglue-harness backbone new my-encoder --from-hub out/encoder --set family=LM --set licence=MIT`",
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the file and of the folder of results")],
    from_hub: Annotated[str, typer.Option(metavar="ID|PATH", help="Hub id (ID@REVISION for a commit), or a folder")],
    tree: TreeOption = _TREE,
    answers: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="an answer, or another value than the checkpoint's"),
    ] = None,
) -> None:
    """Write backbones/NAME.yaml: the facts from the checkpoint, the rest asked at the terminal.

    Any key of the file is set without being asked by --set, as in --set pretraining.languages=de,en,fr.
    """
    new_command(name, from_hub, tree, _settings(answers or []), sys.stdin.isatty())


@app.command(
    "check",
    epilog="Examples: `xglue-harness backbone check xlmr-base`, `xglue-harness backbone check --offline`",
)
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="of backbones; by default all of the tree")
    ] = None,
    tree: TreeOption = _TREE,
    offline: Annotated[bool, typer.Option("--offline", help="don't compare with the checkpoints on the Hub")] = False,
) -> None:
    """Check descriptions of backbones: schema, base, and the numbers of the checkpoint on the Hub (no weights)."""
    check_command(names or [], tree, offline)


def new_command(name: str, source: str, tree: Path, answers: Mapping[str, str], ask: bool) -> None:
    """Describe a backbone, and print what was written and what comes next.

    Args:
        name: of the backbone.
        source: Hub id, with ``@revision`` behind it or not, or folder.
        tree: the tree.
        answers: values by dotted key; they need not be asked, and come before what the checkpoint tells.
        ask: whether there is someone at the terminal.

    Raises:
        LeaderboardError: for a name or an answer that can't be taken, answers that are missing with nobody to ask, or a
            file that is there already or can't be written; nothing is written then.
        EncoderError: where the checkpoint can't be loaded, or can't be fine-tuned.
    """
    from xglue_harness.atomic import replacing
    from xglue_harness.leaderboard.contributions.backbones import render

    path = _place(name, tree)
    if path.exists() or path.is_symlink():
        raise LeaderboardError(f"{path}: is there already; edit it, or give another NAME")
    if unknown := [key for key in answers if key not in _fields() or key == "name"]:
        raise LeaderboardError(f"--set {unknown[0]}: no such key; expected one of {', '.join([*_fields()][1:])}")
    values, suggested = _known(name, source, {key: _parsed(key, text) for key, text in answers.items()})
    if problems := [f"{key}: {found}" for key in values if (found := _problem(key, values, path.parent))]:
        raise LeaderboardError(_listed(f"{path}: can't be written; give other values with --set KEY=VALUE", problems))
    if not ask and (lines := _missing(values, suggested, path.parent)):
        raise LeaderboardError(_listed(f"{path}: answers are missing, and there is no terminal to ask at", lines))
    if _is_folder(source) and "encoder_sha256" not in values:
        values["encoder_sha256"] = _encoder_sha256(source)
    while (key := next(_open(values), None)) is not None:
        values[key] = _asked(key, values, suggested, path.parent)
    backbone = _backbone(path, values)
    if path.exists():
        raise LeaderboardError(f"{path}: has appeared meanwhile; edit it, or give another NAME")
    try:
        with replacing(path) as temporary:
            temporary.write_text(render(backbone), encoding="utf-8")
    except OSError as error:
        raise LeaderboardError(f"{path}: can't be written: {error.strerror or error}") from error
    typer.echo(f"written: {path}\n\n{render(backbone)}")
    typer.echo("\n".join(_next(backbone, source, tree)))


def check_command(names: Sequence[str], tree: Path, offline: bool) -> None:
    """Check descriptions of backbones, and print a line for each that is right.

    Args:
        names: of the backbones; none for all of the tree.
        tree: the tree.
        offline: don't compare with the Hub.

    Raises:
        LeaderboardError: listing every problem; that a checkpoint can't be reached is one.
    """
    from xglue_harness.leaderboard.contributions.backbones import read_backbone

    paths = [_place(name, tree) for name in names] or sorted(_folder(tree).glob("*.yaml"))
    if not paths:
        raise LeaderboardError(f"{_folder(tree)}: no backbone in it; 'xglue-harness backbone new' writes one")
    problems: list[str] = []
    for path in paths:
        if not path.exists():
            problems.append(f"{path}: there is no such file; {_there(path.parent)}")
            continue
        try:
            backbone = read_backbone(path)
        except LeaderboardError as error:
            problems.append(str(error))
            continue
        own = [f"{path}: {problem}" for problem in (_of_the_base(backbone, path.parent),) if problem]
        if backbone.hub is None or offline:
            told = "not compared" if offline else "not on the Hub: nothing to compare with"
        else:
            told = f"as {_address(backbone)}"
            own += [f"{path}: {problem}" for problem in _of_the_checkpoint(backbone)]
        problems += own
        if not own:
            typer.echo(f"{path}: {backbone.title}, {backbone.parameters.all / 1e6:,.1f} M parameters: right ({told})")
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        raise LeaderboardError(_listed(f"{tree}: {count}", problems))


def _settings(given: Sequence[str]) -> dict[str, str]:
    """The values of ``--set KEY=VALUE``, by key."""
    found: dict[str, str] = {}
    for item in given:
        key, sign, text = item.partition("=")
        if not sign:
            raise LeaderboardError(f"--set {item}: expected KEY=VALUE, as in --set licence=MIT")
        if key in found:
            raise LeaderboardError(f"--set {key}: given twice; give it once")
        found[key] = text
    return found


def _folder(tree: Path) -> Path:
    """Where the backbones of a tree lie."""
    folder = tree / "backbones"
    if not folder.is_dir():
        raise LeaderboardError(
            f"{tree}: no leaderboard; expected a folder with backbones in it: go to a checkout, give --tree DIR, or "
            f"begin one with mkdir -p {tree}/backbones"
        )
    return folder


def _place(name: str, tree: Path) -> Path:
    """The file of a backbone; a name that could lead out of the folder is refused before anything is looked at."""
    from pydantic import TypeAdapter, ValidationError

    from xglue_harness.untrusted.text import Name

    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise LeaderboardError(
            f"NAME {name!r}: expected lower-case letters, digits, and . _ - between them (no two dots in a row), at "
            "most 64"
        ) from None
    return _folder(tree) / f"{name}.yaml"


def _there(folder: Path) -> str:
    return f"there are: {', '.join(sorted(path.stem for path in folder.glob('*.yaml'))) or 'none'}"


def _is_folder(source: str) -> bool:
    return Path(source).is_dir()


def _fields() -> dict[str, FieldInfo]:
    """All keys of a file, dotted, with what the schema says of them."""
    from pydantic import BaseModel

    from xglue_harness.leaderboard.contributions.backbones import Backbone

    found: dict[str, FieldInfo] = {}
    for key, field in Backbone.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            found |= {f"{key}.{inner}": own for inner, own in part.model_fields.items()}
        else:
            found[key] = field
    return found


def _known(name: str, source: str, answers: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    """Values that are known before anything is asked; and the languages that the tokenizer has codes for."""
    from xglue_harness.leaderboard.contributions.describe import facts

    found = facts(source)
    on_hub = {} if found.hub is None else {"hub": found.hub, "encoder_sha256": None}
    return {"name": name, **on_hub, "revision": found.revision, **found.values, **answers}, found.languages


def _encoder_sha256(source: str) -> str:
    import torch

    from xglue_harness.encoders.fingerprint import identify
    from xglue_harness.encoders.loading import load_backbone

    return identify(load_backbone(source, torch.device("cpu"))).weights


def _open(values: Mapping[str, Any]) -> Iterator[str]:
    """Keys that have no value yet, in the order of the file; ``continued_from`` only where it is known to be a CP."""
    for key in _fields():
        wanted = key in _EXAMPLES or key == "hub" or (key == "continued_from" and values.get("family") == "CP")
        if wanted and key not in values:
            yield key


def _meaning(key: str, folder: Path) -> str:
    """What a key means, and what can be answered."""
    from xglue_harness.benchmark import LANGUAGES
    from xglue_harness.published.families import FAMILIES

    more = {
        "hub": "; leave it empty for null",
        "family": f" ({', '.join(f'{short}: {long}' for short, long in FAMILIES.items())})",
        "continued_from": f"; {_there(folder)}",
        "pretraining.languages": f", with commas between: {', '.join(LANGUAGES)}",
    }
    return f"{_fields()[key].description}{more.get(key, '')}"


def _missing(values: Mapping[str, Any], suggested: Sequence[str] | None, folder: Path) -> list[str]:
    """A line for each answer that is missing: key, meaning, and how to give it."""
    keys = [*_open(values)]
    if "family" not in values and "continued_from" not in values:
        keys.insert(keys.index("family") + 1, "continued_from")
    examples = {**_EXAMPLES, "hub": "", "continued_from": "NAME"}
    if suggested is not None:
        examples["pretraining.languages"] = suggested
    lines = []
    for key in keys:
        example = examples[key]
        text = shlex.quote(example if isinstance(example, str) else ",".join(example))
        only = " (of a CP only)" if key == "continued_from" else ""
        lines.append(f"{key}{only}: {_meaning(key, folder)}: e.g. --set {key}={text}")
    return lines


def _asked(key: str, values: Mapping[str, Any], suggested: Sequence[str] | None, folder: Path) -> Any:
    """An answer from the terminal; a bad one is asked again."""
    default = {"hub": "", "pretraining.languages": ",".join(suggested or ()) or None}.get(key)
    typer.echo(f"\n{_meaning(key, folder)}")
    if key in _EXAMPLES and key not in ("family", "pretraining.languages"):
        typer.echo(f"e.g. {_EXAMPLES[key]}")
    while True:
        value = _parsed(key, typer.prompt(key, default=default, show_default=bool(default)))
        problem = _problem(key, {**values, key: value}, folder)
        if problem is None:
            return value
        typer.echo(f"not taken: {problem}")


def _parsed(key: str, text: str) -> Any:
    """The value that a text stands for; pydantic turns digits into numbers."""
    text = text.strip()
    if key == "pretraining.languages":
        return [part.strip() for part in text.split(",") if part.strip()]
    if text in ("", "null") and type(None) in get_args(_fields()[key].annotation):
        return None
    return text


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of dotted keys as the file has them."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        part, _, inner = key.rpartition(".")
        (found.setdefault(part, {}) if part else found)[inner] = value
    return found


def _problem(key: str, values: Mapping[str, Any], folder: Path) -> str | None:
    """What is wrong with a value, by the schema and by the backbones that are there; others may be missing or wrong."""
    from pydantic import ValidationError

    from xglue_harness.leaderboard.contributions.backbones import Backbone

    others = {**_EXAMPLES, **dict.fromkeys(("hub", "revision", "encoder_sha256", "continued_from"))}
    others["family"] = "CP" if values.get("continued_from") else "LM"
    messages: list[str] = []
    try:
        backbone = Backbone.model_validate(_nested({**others, **values}))
        messages += [_of_the_base(backbone, folder) or ""]
    except ValidationError as error:
        for item in error.errors(include_url=False):
            where, message = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
            if where and (f"{where}.".startswith(f"{key}.") or key.startswith(f"{where}.")):
                return message
            messages.append(message)
    found = next((message for message in messages if message.startswith(f"{key}: ")), None)
    return found and found.removeprefix(f"{key}: ")


def _backbone(path: Path, values: Mapping[str, Any]) -> Backbone:
    """The backbone that all values together make."""
    from pydantic import ValidationError

    from xglue_harness.leaderboard.contributions.backbones import Backbone
    from xglue_harness.untrusted.problems import problems_of

    try:
        backbone = Backbone.model_validate(_nested({"continued_from": None, **values}))
    except ValidationError as error:
        raise LeaderboardError(f"{path}: {problems_of(error)}") from None
    if problem := _of_the_base(backbone, path.parent):
        raise LeaderboardError(f"{path}: {problem}")
    return backbone


def _of_the_base(backbone: Backbone, folder: Path) -> str | None:
    """What does not fit the backbone that it was continued from."""
    from xglue_harness.leaderboard.contributions.backbones import missing_inherited_languages, read_backbone

    if backbone.continued_from is None:
        return None
    path = folder / f"{backbone.continued_from}.yaml"
    if not path.exists():
        return f"continued_from: there is no {path.name}; {_there(folder)}"
    try:
        base = read_backbone(path)
    except LeaderboardError as error:
        return f"continued_from: {error}"
    return missing_inherited_languages(backbone, base)


def _address(backbone: Backbone) -> str:
    """Id and revision on the Hub."""
    return f"{backbone.hub}{f'@{backbone.revision}' if backbone.revision else ''}"


def _of_the_checkpoint(backbone: Backbone) -> list[str]:
    """Where a file says something else than the checkpoint on the Hub."""
    from xglue_harness.leaderboard.contributions.describe import differences, facts

    try:
        return [*differences(backbone, facts(_address(backbone)))]
    except EncoderError as error:
        return [f"hub: nothing was compared: {error}; --offline checks the file alone"]


def _next(backbone: Backbone, source: str, tree: Path) -> Iterator[str]:
    """What to do with a new file."""
    options = f" --tree {shlex.quote(str(tree))}" * (tree != _TREE)
    model = source if _is_folder(source) else f"{backbone.hub},revision={backbone.revision}"
    yield "next:"
    yield f"  xglue-harness backbone check {backbone.name}{options}"
    yield f"  lm_eval --model hf --model_args {shlex.quote(f'pretrained={model}')} --tasks xglue_xnli_zs \\"
    yield "      --output_path results"


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)])
