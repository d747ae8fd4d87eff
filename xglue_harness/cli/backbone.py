"""``xglue-harness backbone``: describe a backbone from its checkpoint and a few answers, and check descriptions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xglue_harness.cli.listing import Listing
from xglue_harness.cli.options import TREE, Tree, model
from xglue_harness.errors import LeaderboardError

if TYPE_CHECKING:
    from xglue_harness.leaderboard.contributions.backbones import Backbone

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted


@app.command(
    "new",
    epilog="Examples: `xglue-harness backbone new xlmr-base --model FacebookAI/xlm-roberta-base`, "
    "`xglue-harness backbone new my-encoder --model out/encoder --set family=LM --set licence=MIT`",
)
def new_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the file and of the folder of results.")],
    source: Annotated[str, model()],
    tree: Tree = TREE,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="An answer, or another value than the checkpoint's; once for each."
        ),
    ] = None,
) -> None:
    """Write backbones/NAME.yaml: the facts from the checkpoint, the rest asked at the terminal.

    Any key of the file is set without being asked by --set, as in --set pretraining.languages=de,en,fr.
    """
    from xglue_harness.leaderboard.contributions.backbones import render
    from xglue_harness.leaderboard.contributions.new_backbone import new_backbone

    ask = _ask if sys.stdin.isatty() else None
    path, backbone = new_backbone(name, source, tree, _settings(answers or []), ask)
    typer.echo(f"written: {path}\n\n{render(backbone)}")
    typer.echo("\n".join(_next_steps(backbone, source, tree)))


@app.command(
    "check",
    epilog="Examples: `xglue-harness backbone check xlmr-base`, `xglue-harness backbone check --offline`",
)
def check_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Of backbones; by default all of the tree.")
    ] = None,
    tree: Tree = TREE,
    offline: Annotated[bool, typer.Option("--offline", help="Don't compare with the checkpoints on the Hub.")] = False,
) -> None:
    """Check descriptions of backbones: schema, base, and the numbers of the checkpoint on the Hub (no weights)."""
    from xglue_harness.leaderboard.contributions.backbone_checks import check_backbones

    check_backbones(names or [], tree, offline=offline, tell=typer.echo)


convert_app = typer.Typer(
    cls=Listing, rich_markup_mode=None, help="Make checkpoints of other toolkits into ones for transformers."
)
app.add_typer(convert_app, name="convert")


@convert_app.callback()
def _convert() -> None:
    """Keep the name of the toolkit on the command line, though there is one only."""


@convert_app.command(
    "fairseq",
    epilog="Example: `xglue-harness backbone convert fairseq mlm/checkpoint_best.pt mlm/dict.txt spm.model mlm-hf`",
)
def convert_fairseq_command(
    model: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="MODEL.pt of fairseq.")],
    dictionary: Annotated[Path, typer.Argument(metavar="DICT", help="Its dict.txt.")],
    sentencepiece: Annotated[Path, typer.Argument(metavar="SPM", help="The sentencepiece model that cut its text.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes: a new folder.")],
) -> None:
    """Convert a Transformer of fairseq: BART, masked language models, translation and language models.

    The pickle is read without running anything that it holds. Hidden states stay as they were; a language model is read
    from left to right, as it was trained.
    """
    from xglue_harness.conversion.fairseq import convert

    made = convert(model, dictionary, sentencepiece, out)
    typer.echo(f"written: {out} ({made.architecture}, {made.layers} layers, {made.parameters:,} parameters)")
    if made.languages:
        typer.echo(f"languages that it is told: {', '.join(made.languages)}; all others are read as English")
    if made.unknown_pieces:
        typer.echo(f"{made.unknown_pieces:,} pieces of {sentencepiece} are not in {dictionary}: read as unknown")
    typer.echo(
        f"next:\n  lm_eval --model hf-encoder --model_args pretrained={shlex.quote(str(out))} --tasks xglue_xnli_zs"
    )


def _settings(given: Sequence[str]) -> dict[str, str]:
    """The values of ``--set KEY=VALUE``, by key."""
    settings: dict[str, str] = {}
    for item in given:
        key, sign, text = item.partition("=")
        if not sign:
            raise LeaderboardError(f"--set {item}: expected KEY=VALUE, as in --set licence=MIT")
        if key in settings:
            raise LeaderboardError(f"--set {key}: given twice; give it once")
        settings[key] = text
    return settings


def _ask(key: str, explanation: str, default: str | None) -> str:
    typer.echo(explanation)
    # with an empty default, an empty answer comes back to whoever asks, who says why it is not taken
    return str(typer.prompt(key, default=default or "", show_default=bool(default)))


def _next_steps(backbone: Backbone, source: str, tree: Path) -> Iterator[str]:
    """What to do with a new file."""
    options = f" --tree {shlex.quote(str(tree))}" * (tree != TREE)
    model = source if Path(source).is_dir() else f"{backbone.hub},revision={backbone.revision}"
    yield "next:"
    yield f"  xglue-harness backbone check {backbone.name}{options}"
    yield f"  lm_eval --model hf --model_args {shlex.quote(f'pretrained={model}')} --tasks xglue_xnli_zs \\"
    yield "      --output_path results"
