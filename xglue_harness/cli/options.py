"""Options and arguments that several groups of commands have: one name and one form for each, and what completes it.

An option whose help is the same everywhere is a type (``Json``); one that a command says in its own words is a function
of the help, as in ``Annotated[Path, output("Folder for the tables.")]``. A test walks all commands and holds them to
these names, see ``tests/cli/test_manners.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

TREE = Path("leaderboard")

# What completes a word. Each is called by the shell's script, gets what was typed, and imports what it needs itself.


def task_names(incomplete: str) -> list[str]:
    """Tasks: nc, xnli, ...; behind commas, those that are not named yet."""
    from xglue_harness.benchmark import TASKS

    return _further(incomplete, TASKS)


def language_codes(incomplete: str) -> list[str]:
    """Languages: en, de, ...; behind commas, those that are not named yet."""
    from xglue_harness.benchmark import LANGUAGES

    return _further(incomplete, LANGUAGES)


def store_keys(incomplete: str) -> list[tuple[str, str]]:
    """Keys of the store that begin so, with what was trained."""
    from xglue_harness.errors import XGlueError
    from xglue_harness.housekeeping import kept_trainings
    from xglue_harness.store.trainings import Store

    try:
        kept = kept_trainings(Store())
    except (OSError, XGlueError):  # a shell that completes has no place for an error; the command will say it
        return []
    chosen = [training for training in kept if training.key.startswith(incomplete)]
    return [(one.key[:12], f"{one.task or '?'} {one.encoder or '?'} seed {one.seed}") for one in chosen]


def data_names(incomplete: str) -> list[str]:
    """The two data sets that have a name; a path is completed by the shell."""
    return [name for name in ("hub", "sample") if name.startswith(incomplete)]


def _further(incomplete: str, names: Iterable[str]) -> list[str]:
    """What can stand for the last part of ``a,b,...``, with the parts before it."""
    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in named]


# Arguments: what a command is about.

Results = Annotated[list[Path], typer.Argument(metavar="RESULTS", help="lm_eval's results files, or folders of them.")]
SweepFile = Annotated[Path, typer.Argument(metavar="FILE", help="The sweep's file, as examples/sweeps/tiny.yaml.")]
Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Of the store, or its first digits.", autocompletion=store_keys)
]

# Options that mean the same everywhere.

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Tree = Annotated[Path, typer.Option("--tree", metavar="DIR", help="Folder with backbones, results and reference.")]
Tasks = Annotated[
    str | None,
    typer.Option("--tasks", metavar="TASK,...", help="E.g. nc,xnli; by default all.", autocompletion=task_names),
]
Languages = Annotated[
    str | None,
    typer.Option(
        "--languages", metavar="CODE,...", help="E.g. en,de,sw; by default all.", autocompletion=language_codes
    ),
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="NAME", help="cuda, cpu, ...; by default a GPU where there is one.")
]
MaxDisk = Annotated[
    float | None, typer.Option("--max-disk", metavar="GB", help="What states of texts may take on disk.")
]
Share = Annotated[
    float | None,
    typer.Option("--share", metavar="X", min=0.001, max=1, help="Of the card's peak, where none was measured."),
]

# Options whose help says what they are for.


def output(help: str) -> Any:
    """``--output DIR``: a folder that files are written to."""
    return typer.Option("--output", metavar="DIR", help=help)


def model(help: str = "Hub id (ID@REVISION for a commit), or a folder.") -> Any:
    """``--model MODEL``: one checkpoint; where there are several they are arguments."""
    return typer.Option("--model", metavar="MODEL", help=help)


def data(help: str = "'sample', 'hub', a folder or the archive; by default $XGLUE_DATA, else 'hub'.") -> Any:
    """``--data DATA``: as the option ``data`` of a run."""
    return typer.Option("--data", metavar="DATA", help=help, autocompletion=data_names)


def task(help: str) -> Any:
    """``--task TASK``: one task, where there can't be more."""
    return typer.Option("--task", metavar="TASK", help=help, autocompletion=task_names)


def tasks(help: str) -> Any:
    """``--tasks TASK,...``, as `Tasks`, with other words."""
    return typer.Option("--tasks", metavar="TASK,...", help=help, autocompletion=task_names)


def seed(help: str) -> Any:
    """``--seed N``: of what is drawn."""
    return typer.Option("--seed", metavar="N", min=0, help=help)


def form(help: str) -> Any:
    """``--format NAME``: of a table that is printed or written; its names are a ``Literal``."""
    return typer.Option("--format", help=help)


def names(text: str | None) -> list[str] | None:
    """The parts of ``a,b,...``; ``None`` where nothing was given.

    Args:
        text: as typed.
    """
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
