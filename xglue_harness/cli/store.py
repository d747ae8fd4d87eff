"""``xglue-harness store``: look at the fine-tuned encoders that were kept, check them, and make room."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from xglue_harness.cli import store_export
from xglue_harness.cli.options import DryRun, Json, Yes, store_keys

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted
app.command("export")(store_export.export)


@app.command("ls", epilog="Example: `xglue-harness store ls --json | jq '.[].task'`")
def ls_command(as_json: Json = False) -> None:
    """List what is kept: task, encoder, seed, size, last use; unfinished trainings, too.

    Of the other options, and of data and weights (their hashes' first digits), those show in which two trainings of
    an encoder on a task differ; --json has all.
    """
    from xglue_harness.cli.console import PlainConsole, print_json, table
    from xglue_harness.housekeeping import kept_trainings, telling_apart
    from xglue_harness.store.trainings import Store

    trainings = kept_trainings(Store())
    if as_json:
        print_json(trainings)
        return
    names = telling_apart(trainings)
    heads = ("key", "task", "encoder", "lr", "epochs", "seed", *names, "state", "MB", "last used")
    shown = table(heads, f"lllrrr{'r' * len(names)}lrl")
    for kept in trainings:
        more = (kept.facts.get(name) for name in names)
        facts = (kept.task, kept.encoder, kept.learning_rate, kept.epochs, kept.seed, *more, kept.state)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.last_used))
        cells = ("-" if fact is None else str(fact) for fact in facts)
        shown.add_row(kept.key[:12], *cells, f"{kept.bytes / 1e6:.1f}", when)
    PlainConsole().print(shown if trainings else "the store is empty")


@app.command("du", epilog="Example: `xglue-harness store du --json`")
def du_command(as_json: Json = False) -> None:
    """Say where the store is, how much it holds, and how much room its disk has."""
    import shutil

    from xglue_harness.cli.console import print_json
    from xglue_harness.files import nearest_existing
    from xglue_harness.housekeeping import folder_bytes, kept_trainings
    from xglue_harness.store.trainings import Store

    store = Store()
    trainings = kept_trainings(store)
    trash = sum(map(folder_bytes, store.folders("trash")))
    free = shutil.disk_usage(nearest_existing(store.root)).free
    sizes = {
        state: [training.bytes for training in trainings if training.state == state]
        for state in ("finished", "unfinished", "damaged")
    }
    if as_json:
        kept = {state: {"count": len(every), "bytes": sum(every)} for state, every in sizes.items()}
        print_json({"store": store.root, **kept, "trash": {"bytes": trash}, "free": {"bytes": free}})
        return
    typer.echo(f"{store.root}")
    for state, every in sizes.items():
        typer.echo(f"{state:>10}: {len(every):4} of {sum(every) / 1e6:10.1f} MB")
    typer.echo(f"{'trash':>10}: {'':7} {trash / 1e6:10.1f} MB (what a killed prune left; the next one removes it)")
    typer.echo(f"{'free':>10}: {'':7} {free / 1e6:10.1f} MB")


@app.command("verify", epilog="Example: `xglue-harness store verify`")
def verify_command() -> None:
    """Check every file of every entry and unfinished training against its checksum. Exit status 1 if any is damaged.

    A damaged one need not be removed: the next run that wants it names it and fine-tunes anew.
    """
    from tqdm import tqdm

    from xglue_harness.housekeeping import training_problems
    from xglue_harness.store.trainings import Store

    store = Store()
    entries, unfinished = store.folders("entries"), store.folders("working")
    bar = tqdm([*entries, *unfinished], unit="entry", desc="verifying", disable=len(entries) + len(unfinished) < 10)
    problems = [problem for folder in bar for problem in training_problems(folder)]
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
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="Of the store, or first digits of them.", autocompletion=store_keys),
    ] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", help="Remove what was not used for so long.")
    ] = None,
    keep_gb: Annotated[
        float | None,
        typer.Option("--keep-gb", metavar="GB", help="Remove the least recently used until so much is left."),
    ] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Remove damaged entries.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Remove all entries and unfinished trainings.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Remove entries and unfinished trainings; ones that a running process trains stay."""
    from xglue_harness.errors import StoreError
    from xglue_harness.housekeeping import kept_trainings, remove_training, to_prune
    from xglue_harness.store.trainings import Store

    if not (keys or everything or damaged or older_than is not None or keep_gb is not None):
        raise StoreError("say what to remove: KEY..., --older-than DAYS, --keep-gb GB, --damaged or --all")
    store = Store()
    trainings = kept_trainings(store)
    chosen = to_prune(
        trainings, keys or [], older_than=older_than, keep_gb=keep_gb, damaged=damaged, everything=everything
    )
    for training in chosen:
        typer.echo(f"{training.key} {training.task or '?'} {training.state} {training.bytes / 1e6:.1f} MB")
    typer.echo(f"{len(chosen)} of {len(trainings)}, {sum(training.bytes for training in chosen) / 1e6:.1f} MB")
    if dry_run:
        return
    if chosen and not yes:
        typer.confirm("Remove them?", abort=True)
    for training in chosen:
        if not remove_training(store, training):
            typer.echo(f"{training.key}: a process is at work on it, or has been meanwhile; it stays")
    store.empty_trash()
