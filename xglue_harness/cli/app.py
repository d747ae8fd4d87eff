"""The command ``xglue-harness``. What a command uses is imported when it runs: ``--help`` waits for none of it.

A group is a module of its own name beside this one, with its commands in ``app``; commands of no group are in `run`,
`probe` and `submission`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_group

from xglue_harness.cli import plan, probe, run, submission
from xglue_harness.cli.listing import Listing
from xglue_harness.errors import PREFIX, XGlueError
from xglue_harness.threads import settle

_UsageError: Any = typer.BadParameter.__base__  # of click, which newer releases of typer have inside
_Refusal: Any = _UsageError.__base__


class _Commands(Listing):
    """All commands: one that is ended by Ctrl-C says how to go on, in a line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from xglue_harness.interrupt import LINE, STATUS

            typer.echo(f"\n{LINE}", err=True)
            raise typer.Exit(STATUS) from None


class _Group(Listing):
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


_GROUPS = {
    "data": "Fetch the XGLUE data, check a folder or archive of them, or unpack an archive that is there.",
    "cache": """Parsed data, tokens and predictions, kept by content so that the same work is done once.

    They lie in $XGLUE_CACHE, else in ~/.cache/xglue_harness. All of it can be removed at any time.
    """,
    "store": """Fine-tuned encoders, kept by content so that the same training is done once.

    They lie in $XGLUE_STORE, else in the folder store of the cache ($XGLUE_CACHE, ~/.cache/xglue_harness).
    """,
    "analyze": """\
    Why an encoder transfers: CKA, languages in one space, spectra of weights, and what goes with the scores.

    Needs pip install 'xglue-harness[plots]' for the figures. The library behind it is xglue_analysis.
    """,
    "results": """What runs came to: tables, figures, comparisons and errors.

    \b
    Examples:
      xglue-harness results show results
      xglue-harness results table results --format latex
    """,
    "backbone": "Describe a backbone for the leaderboard, and check its description.",
    "sweep": """Many trainings from one file: backbones, tasks and seeds, on one machine or many.

    \b
    Examples:
      xglue-harness sweep run examples/sweeps/tiny.yaml
      xglue-harness sweep status examples/sweeps/tiny.yaml
    """,
    "leaderboard": """Contributed results: add, check, compare and show them, and build the site.

    \b
    Examples:
      xglue-harness leaderboard add results
      xglue-harness leaderboard validate
      xglue-harness leaderboard build site
    """,
}
"""Help of each group, which shows without its module."""

for _name, _help in _GROUPS.items():
    app.add_typer(typer.Typer(cls=_Group), name=_name, help=_help)

app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(plan.plan)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)(run.run)
for _command in (run.demo, probe.probe, submission.score, submission.export, run.schema):
    app.command()(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    An error of ours, of the system, or of whoever typed is one message, the last line, and exit status 2; no traceback.

    Args:
        arguments: by default those of the process.

    Raises:
        SystemExit: always, with the exit status.
    """
    if arguments is None:  # the process is this command, and not another program that calls it
        settle()
    try:
        sys.exit(app(arguments, prog_name=app.info.name, standalone_mode=False) or 0)
    except typer.Abort:
        _say("nothing was done")
        sys.exit(1)
    except _Refusal as error:
        if (context := getattr(error, "ctx", None)) is not None:
            print(f"{context.get_usage()}\nTry '{context.command_path} --help'.", file=sys.stderr)  # noqa: T201
        _say(error.format_message())
        sys.exit(2)
    except _our_errors() as error:
        _say(_told(error))
        sys.exit(2)


def _say(message: str) -> None:
    print(f"{PREFIX}{message}", file=sys.stderr)  # noqa: T201


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
    always = (XGlueError, OSError, RecursionError)
    return always if module is None else (*always, module.AnalysisError)
