"""The command ``xglue-harness``. What a command uses is imported when it runs: ``--help`` waits for none of it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_group

from xglue_harness.errors import XGlueError
from xglue_harness.threads import settle


class _Commands(TyperGroup):
    """All commands: one that is ended by Ctrl-C says how to go on, in a line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from xglue_harness.interrupt import LINE, STATUS

            typer.echo(f"\n{LINE}", err=True)
            raise typer.Exit(STATUS) from None


class _Group(TyperGroup):
    """A group of commands: its module is imported when one of its commands is asked for, or its own help."""

    def list_commands(self, ctx: Any) -> list[str]:
        self._import()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._import()
        return super().get_command(ctx, cmd_name)

    def _import(self) -> None:
        if self.commands:
            return
        module = import_module(f"xglue_harness.cli.{self.name}")
        self.commands.update(get_group(module.app).commands)


app = typer.Typer(
    name="xglue-harness",
    cls=_Commands,
    help="""Zero-shot cross-lingual transfer on XGLUE for any Hugging Face encoder.

    The benchmark itself runs with plain lm_eval:

    \b
      lm_eval --model hf --model_args pretrained=FacebookAI/xlm-roberta-base \\
          --tasks xglue_xnli_zs --output_path results
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    for package in ("xglue-harness", "lm-eval", "torch", "transformers"):
        typer.echo(f"{package} {version(package)}")
    raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_versions,
            help="Print ours, and those of lm-eval, torch and transformers.",
        ),
    ] = False,
) -> None:
    """Of the command itself; a docstring here would take the place of its help."""


app.add_typer(
    typer.Typer(cls=_Group),
    name="data",
    help="Fetch the XGLUE data, check a folder or archive of them, or unpack an archive that is there.",
    no_args_is_help=True,
)
app.add_typer(
    typer.Typer(cls=_Group),
    name="cache",
    help="""Parsed data, tokens and predictions, kept by content so that the same work is done once.

    They lie in $XGLUE_CACHE, else in ~/.cache/xglue_harness. All of it can be removed at any time.
    """,
    no_args_is_help=True,
)
app.add_typer(
    typer.Typer(cls=_Group),
    name="store",
    help="""Fine-tuned encoders, kept by content so that the same training is done once.

    They lie in $XGLUE_STORE, else in the folder store of the cache ($XGLUE_CACHE, ~/.cache/xglue_harness).
    """,
    no_args_is_help=True,
)
app.add_typer(
    typer.Typer(cls=_Group),
    name="analyze",
    help="""Why an encoder transfers: CKA, languages in one space, spectra of weights, and what goes with the scores.

    Needs pip install 'xglue-harness[plots]' for the figures. The library behind it is xglue_analysis.
    """,
    no_args_is_help=True,
)

app.add_typer(
    typer.Typer(cls=_Group),
    name="backbone",
    help="Describe a backbone for the leaderboard, and check its description.",
    no_args_is_help=True,
)
app.add_typer(
    typer.Typer(cls=_Group),
    name="leaderboard",
    help="""Contributed results: add, check, compare and show them, and build the site.

    \b
    Examples:
      xglue-harness leaderboard add results
      xglue-harness leaderboard validate
      xglue-harness leaderboard build site
    """,
    no_args_is_help=True,
)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def run(context: typer.Context) -> None:
    """Run lm_eval's own command line with the plug-in registered.

    For places where Python reads no .pth files (zip applications, some containers).

    \b
    Example:
      xglue-harness run --model hf-encoder --model_args pretrained=DIR \\
          --tasks xglue_pos_zs --metadata '{"data": "sample"}'
    """
    from xglue_harness.harness.plugin import run_lm_eval

    run_lm_eval(context.args)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="keep the tiny encoder in this folder")] = None,
    output: Annotated[
        Path | None, typer.Option(help="write what lm_eval writes into this folder: results JSON, predictions")
    ] = None,
) -> None:
    """Score all eight tasks on the embedded sample, offline, with a tiny encoder.

    \b
    Example:
      xglue-harness demo --output results
    """
    from xglue_harness.harness.demo import run_demo

    run_demo(keep=keep, output=output)


@app.command()
def score(
    predictions: Annotated[Path, typer.Option(metavar="DIR", help="folder of files TASK/language.prediction")],
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="'sample', 'hub', a folder or the archive; by default $XGLUE_DATA"),
    ] = None,
    split: Annotated[Literal["test", "dev"], typer.Option(help="which sets were predicted")] = "test",
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="nc, xnli, ..., once for each; by default all in the folder"),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="score what is there and say what predictions or data lack")
    ] = False,
    as_official: Annotated[
        bool, typer.Option("--as-official", help="read the files as leniently as XGLUE's evaluator does")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the scores as JSON")] = False,
) -> None:
    """Score a folder of predictions in XGLUE's submission format.

    With our metrics and their standard errors, and as XGLUE's own evaluator does (official, by seqeval 0.0.12 as in
    XGLUE's shipped results; official_seqeval1 by seqeval 1.x).

    \b
    Examples:
      xglue-harness score --predictions submission --data xglue_full_dataset.tar.gz
      xglue-harness score --predictions submission --data xglue --task ner --task pos --json
      xglue-harness score --predictions Unicoder_prediction_on_XGLUE_test --data hub --as-official
    """
    from xglue_harness.cli.submission import score_command

    score_command(predictions, data, split, task, allow_partial, as_json, as_official)


@app.command()
def export(
    results: Annotated[list[Path], typer.Argument(help="lm_eval's results files, or folders", metavar="RESULTS")],
    folder: Annotated[Path, typer.Argument(help="where the submission goes: a new or an empty folder", metavar="DIR")],
) -> None:
    """Write a folder in XGLUE's submission format from results.

    Of lm_eval's results files, or folders of them, and the predictions that lie beside them or in the cache.

    \b
    Examples:
      xglue-harness export results submission
      xglue-harness export results/model/results_2025-01-31T12-00-00.000000.json submission
    """
    from xglue_harness.cli.submission import export_command

    export_command(results, folder)


@app.command()
def schema(
    protocol: Annotated[Literal["finetune", "prompt"], typer.Option(help="how the model was used")] = "finetune",
) -> None:
    """Print the JSON Schema of what the results JSON says about a run (configs.<leaf>.metadata.xglue).

    \b
    Examples:
      xglue-harness schema > run.schema.json
      xglue-harness schema --protocol prompt
    """
    import json

    from xglue_harness.records.schema import json_schema

    typer.echo(json.dumps(json_schema(protocol), indent=2))


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error of ours, or of the system, is one message and exit status 2, not a traceback."""
    if arguments is None:  # the process is this command, and not another program that calls it
        settle()
    try:
        return app(arguments)
    except _our_errors() as error:
        print(f"xglue-harness: {_told(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def _told(error: Exception) -> str:
    """The message of an error, which for those of the system names file and reason."""
    if isinstance(error, RecursionError):
        return f"something that was read is nested too deeply: {error}"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = str(error.filename or "")
    return f"{name[:200]}{'...' * (len(name) > 200)}: {error.strerror}" if name else error.strerror


def _our_errors() -> tuple[type[Exception], ...]:
    """`XGlueError`, what the system or Python's depth refuses, and `AnalysisError` where that was imported at all."""
    module = sys.modules.get("xglue_analysis.errors")
    found = (XGlueError, OSError, RecursionError)
    return found if module is None else (*found, module.AnalysisError)
