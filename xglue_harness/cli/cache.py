"""``xglue-harness cache``: look at what is kept to spare work: parsed splits, tokens, predictions, archives."""

from __future__ import annotations

import typer

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted


@app.command("verify", epilog="Example: `xglue-harness cache verify`")
def verify_command() -> None:
    """Check every file of the cache against its checksum. Exit status 1 if any is damaged.

    A damaged file need not be removed: the next run that wants it names it and builds it anew. Fine-tuned encoders are
    looked at by `xglue-harness store verify`.
    """
    from tqdm import tqdm

    from xglue_harness.files import cache_root
    from xglue_harness.housekeeping import cache_checks

    checks = list(cache_checks(cache_root()))
    bar = tqdm(checks, unit="file", desc="verifying", disable=len(checks) < 10)
    problems = [problem for path, check in bar for problem in check(path)]
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{cache_root()}: {len(checks)} files and archives, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)
