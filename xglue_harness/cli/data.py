"""``xglue-harness data``: fetch the data, look them through, or unpack an archive that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xglue_harness.cli.options import DryRun, Json, Yes

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

_GET_EPILOG = (
    "Examples: `xglue-harness data get` on a machine that has the network, then the run, offline if need be; "
    "`xglue-harness data get /shared/xglue` for a folder of your own, then `export XGLUE_DATA=/shared/xglue`"
)
_CHECK_EPILOG = (
    "Examples: `xglue-harness data check`, `xglue-harness data check xglue_full_dataset.tar.gz`, "
    "`xglue-harness data check ~/xglue --allow-partial`, `xglue-harness data check ~/xglue --json > report.json`"
)
_PRUNE_EPILOG = (
    "Examples: `xglue-harness data prune --dry-run`, `xglue-harness data prune --yes`, "
    "`xglue-harness data prune ~/xglue` for what a killed `data get ~/xglue` left beside it"
)
_PREPARE_EPILOG = "Example: `xglue-harness data prepare xglue_full_dataset.tar.gz ~/xglue`"


@app.command("get", epilog=_GET_EPILOG)
def get_command(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where the files go: a new or an empty folder; by default the cache.", metavar="DIR"),
    ] = None,
) -> None:
    """Fetch the official archive from the Hugging Face Hub, check its sha256 and unpack the eight tasks.

    A run does this by itself where the data are not there yet; this is for machines whose jobs have no network.

    Exit status: 0 if the data are there, 2 if nothing was done.
    """
    import logging

    from xglue_harness.data.hub_archive import fetch_folder, get

    logging.basicConfig(format="%(message)s")
    if folder is None:
        there = fetch_folder()
        typer.echo(f'{there}: ready; data "hub", the default, finds it, offline too')
    else:
        get(folder)
        _tell_how_to_use(folder)


@app.command("check", epilog=_CHECK_EPILOG)
def check_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A folder in the official layout, or the official .tar.gz; by default $XGLUE_DATA, else what "
            "`data get` has fetched.",
            metavar="PATH",
        ),
    ] = None,
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial", help="Accept absent languages and tasks, and other numbers of rows than the official."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every file: rows against the official ones, label counts, and each bad line with what was expected.

    Nothing is downloaded. Exit status: 0 if all is well, 1 if there are problems, 2 if PATH can't be read at all.
    """
    from dataclasses import asdict

    from xglue_harness.cli.console import PlainConsole, print_json, table
    from xglue_harness.data.check import check, what_is_there
    from xglue_harness.data.report import HEADS

    path = what_is_there() if path is None else path
    report = check(path)
    problems = report.problems(allow_partial)
    if as_json:
        print_json({**asdict(report), "problems": problems, "ok": not problems})
    else:
        shown = table(HEADS, "lllrrpp", title=report.path)
        for rows in report.tables():
            for cells in rows:
                shown.add_row(*cells)
            shown.add_section()
        PlainConsole().print(shown)
        # Not by rich, which would wrap them: they are to be searched with grep and opened at their line.
        for line in report.remarks(allow_partial):
            typer.echo(line)
        count = f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}"
        typer.echo(f"{path}: {count if problems else 'all is well'}")
    raise typer.Exit(1 if problems else 0)


@app.command("prepare", epilog=_PREPARE_EPILOG)
def prepare_command(
    archive: Annotated[Path, typer.Argument(help="The official xglue_full_dataset.tar.gz.", metavar="ARCHIVE")],
    folder: Annotated[Path, typer.Argument(help="Where the files go: a new or an empty folder.", metavar="DIR")],
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="Of the archive, instead of the official one's.")
    ] = None,
) -> None:
    """Verify the archive's sha256 and unpack the files of the eight tasks (not MLQA, QG and NTG).

    Exit status: 0 if DIR is complete, 2 if nothing was done.
    """
    from xglue_harness.data.prepare import prepare

    prepare(archive, folder, sha256)
    _tell_how_to_use(folder)


@app.command("prune", epilog=_PRUNE_EPILOG)
def prune_command(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A folder of your own that `get` or `prepare` was to make.", metavar="DIR"),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Show and remove what killed processes left half-written in the cache; nothing that is whole is touched."""
    from xglue_harness.data.leftovers import leftovers, remove

    half_written = leftovers(folder)
    for item in half_written:
        note = " (a process may be at work on it; it stays)" if item.in_use else ""
        typer.echo(f"{item.path} {item.bytes / 1e6:.1f} MB{note}")
    chosen = [item for item in half_written if not item.in_use]
    typer.echo(f"{len(chosen)} left half-written, {sum(item.bytes for item in chosen) / 1e6:.1f} MB")
    if dry_run or not chosen:
        return
    if not yes:
        typer.confirm("Remove them?", abort=True)
    for item in chosen:
        remove(item)


def _tell_how_to_use(folder: Path) -> None:
    place = folder.absolute()
    typer.echo(f'{folder}: ready; now: export XGLUE_DATA={place}  (or --metadata \'{{"data": "{place}"}}\')')
