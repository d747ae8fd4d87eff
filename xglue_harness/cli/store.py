"""``xglue-harness store``: look at the fine-tuned encoders that were kept, check them, and make room."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from xglue_harness.store.trainings import Store

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

_DAY = 86400


@app.command("ls", epilog="Example: `xglue-harness store ls --json | jq '.[].task'`")
def ls_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what is kept: task, encoder, seed, size, last use; unfinished trainings, too."""
    import json

    from rich.table import Table

    from xglue_harness.cli.console import PlainConsole

    rows = _rows(_store())
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=None, header_style="bold")
    for title in ("key", "task", "encoder", "lr", "epochs", "seed", "state", "MB", "last used"):
        table.add_column(title, justify="right" if title in ("lr", "epochs", "seed", "MB") else "left", no_wrap=True)
    for row in rows:
        cells = [row["key"][:12], *(str(row[name] if row[name] is not None else "-") for name in _SHOWN)]
        table.add_row(*cells, f"{row['bytes'] / 1e6:.1f}", _date(row["last_used"]))
    PlainConsole(wide=200).print(table if rows else "the store is empty")


_SHOWN = ("task", "encoder", "learning_rate", "epochs", "seed", "state")


@app.command("du", epilog="Example: `xglue-harness store du`")
def du_command() -> None:
    """Say where the store is, how much it holds, and how much room its disk has."""
    import shutil

    store = _store()
    rows = _rows(store)
    typer.echo(f"{store.root}")
    for state in ("finished", "unfinished", "damaged"):
        chosen = [row["bytes"] for row in rows if row["state"] == state]
        typer.echo(f"{state:>10}: {len(chosen):4} of {sum(chosen) / 1e6:10.1f} MB")
    trash = sum(map(_size, store.folders("trash")))
    typer.echo(f"{'trash':>10}: {'':7} {trash / 1e6:10.1f} MB (what a killed prune left; the next one removes it)")
    place = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    typer.echo(f"{'free':>10}: {'':7} {shutil.disk_usage(place).free / 1e6:10.1f} MB")


@app.command("verify", epilog="Example: `xglue-harness store verify`")
def verify_command() -> None:
    """Check every file of every entry and unfinished training against its checksum. Exit status 1 if any is damaged.

    A damaged one need not be removed: the next run that wants it names it and fine-tunes anew.
    """
    from tqdm import tqdm

    store = _store()
    entries, unfinished = store.folders("entries"), store.folders("working")
    bar = tqdm([*entries, *unfinished], unit="entry", desc="verifying", disable=len(entries) + len(unfinished) < 10)
    problems = [problem for folder in bar for problem in problems_of(folder)]
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{len(entries)} entries, {len(unfinished)} unfinished trainings, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@app.command(
    "prune",
    epilog="Examples: `xglue-harness store prune --older-than 30`, `xglue-harness store prune --keep-gb 50 --dry-run`, "
    "`xglue-harness store prune 3fa9c1 --yes`",
)
def prune_command(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys, or their first digits.", metavar="[KEY]...")] = None,
    older_than: Annotated[float | None, typer.Option(help="Remove what was not used for so many days.")] = None,
    keep_gb: Annotated[float | None, typer.Option(help="Remove the least recently used until so much is left.")] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Remove damaged entries.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Remove all entries and unfinished trainings.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Remove entries and unfinished trainings; ones that a running process trains stay."""
    from xglue_harness.errors import StoreError

    if not (keys or everything or damaged or older_than is not None or keep_gb is not None):
        raise StoreError("say what to remove: KEY..., --older-than DAYS, --keep-gb GB, --damaged or --all")
    store = _store()
    rows = _rows(store)
    for row in rows if damaged else ():
        if row["state"] == "finished" and problems_of(Path(row["folder"])):
            row["state"] = "damaged"
    chosen = {
        row["key"] + row["state"]: row for row in _chosen(rows, keys or [], older_than, keep_gb, damaged, everything)
    }
    for row in chosen.values():
        typer.echo(f"{row['key']} {row['task'] or '?'} {row['state']} {row['bytes'] / 1e6:.1f} MB")
    total = sum(row["bytes"] for row in chosen.values()) / 1e6
    typer.echo(f"{len(chosen)} of {len(rows)}, {total:.1f} MB")
    if dry_run:
        return
    if chosen and not yes:
        typer.confirm("Remove them?", abort=True)
    for row in chosen.values():
        still = (lambda folder: bool(problems_of(folder))) if row["state"] == "damaged" else Path.exists
        if not store.remove_unused(Path(row["folder"]), still=still):
            typer.echo(f"{row['key']}: a process is at work on it, or has been meanwhile; it stays")
    store.empty_trash()


def problems_of(folder: Path) -> list[str]:
    """What is wrong with an entry or an unfinished training, by its checksums; one that is at work now is let alone."""
    from xglue_harness.errors import StoreError
    from xglue_harness.seal import DamagedFileError
    from xglue_harness.store.trainings import Store, read_entry
    from xglue_harness.training.checkpoint import CheckpointFolder

    try:
        if folder.parent.name == "entries":
            return read_entry(folder).problems()
        CheckpointFolder(folder).read()
    except DamagedFileError as error:
        return [] if Store(folder.parents[1]).is_locked(folder.name) else [f"{folder}: {error}"]
    except (StoreError, OSError) as error:
        return [str(error)]
    return []


def _chosen(
    rows: list[dict[str, Any]],
    keys: list[str],
    older_than: float | None,
    keep_gb: float | None,
    damaged: bool,
    everything: bool,
) -> list[dict[str, Any]]:
    from xglue_harness.errors import StoreError

    for key in keys:
        if not any(row["key"].startswith(key) for row in rows):
            raise StoreError(f"no entry's key begins with {key!r}: see `xglue-harness store ls`")
    found = [
        row
        for row in rows
        if everything
        or any(row["key"].startswith(key) for key in keys)
        or (damaged and row["state"] == "damaged")
        or (older_than is not None and row["last_used"] < time.time() - older_than * _DAY)
    ]
    if keep_gb is not None:
        left = sum(row["bytes"] for row in rows if row not in found)
        for row in sorted((row for row in rows if row not in found), key=lambda row: row["last_used"]):
            if left <= keep_gb * 1e9:
                break
            found.append(row)
            left -= row["bytes"]
    return found


def _store() -> Store:
    from xglue_harness.store.trainings import Store

    return Store()


def _rows(store: Store) -> list[dict[str, Any]]:
    """What the tables show of each entry and each unfinished training."""
    from xglue_harness.errors import StoreError
    from xglue_harness.store.trainings import last_used, read_entry
    from xglue_harness.training.checkpoint import Progress, read_progress

    rows = []
    for kind in ("entries", "working"):
        for folder in store.folders(kind):
            try:
                if kind == "entries":
                    entry = read_entry(folder)
                    state, name, recipe = "finished", entry.name, entry.identity["recipe"]
                else:
                    progress = read_progress(folder) or Progress()
                    state, name, recipe = "unfinished", progress.name, progress.recipe
            except (StoreError, OSError, ValueError):
                state, name, recipe = "damaged" if kind == "entries" else "unfinished", None, {}
            rows.append(
                {
                    "key": folder.name,
                    "state": state,
                    "encoder": name,
                    **{name: recipe.get(name) for name in ("task", "learning_rate", "epochs", "seed")},
                    "bytes": _size(folder),
                    "last_used": last_used(folder),
                    "folder": str(folder),
                }
            )
    return rows


def _size(folder: Path) -> int:
    """Bytes of a folder's files; a run may take one away meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
