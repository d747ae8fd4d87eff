"""``xglue-harness cache``: look at what is kept to spare work: parsed splits, tokens, predictions, archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import typer

app = typer.Typer(rich_markup_mode=None)  # its help is in cli.py, which imports this module only when it is wanted


@app.command("verify", epilog="Example: `xglue-harness cache verify`")
def verify_command() -> None:
    """Check every file of the cache against its checksum. Exit status 1 if any is damaged.

    A damaged file need not be removed: the next run that wants it names it and builds it anew. Fine-tuned encoders are
    looked at by `xglue-harness store verify`.
    """
    from tqdm import tqdm

    from xglue_harness.data.cache import cache_root

    checks = list(_checks(cache_root()))
    bar = tqdm(checks, unit="file", desc="verifying", disable=len(checks) < 10)
    problems = [problem for path, check in bar for problem in check(path)]
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{cache_root()}: {len(checks)} files and archives, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


def _checks(root: Path) -> Iterator[tuple[Path, Callable[[Path], list[str]]]]:
    """All files of the cache, and what tells what is wrong with each."""
    from xglue_harness.data.cache import damage_of_split
    from xglue_harness.data.unpacked import verify_unpacked
    from xglue_harness.results.predictions import damage_of_kept
    from xglue_harness.transfer.token_cache import damage_of_tokens

    kinds = (
        ("arrow/*.arrow", damage_of_split),
        ("tokens/*.safetensors", damage_of_tokens),
        ("predictions/*.parquet", damage_of_kept),
    )
    for pattern, damage in kinds:
        for path in sorted(root.glob(pattern)):
            yield path, partial(_listed, damage)
    for path in sorted(root.glob("archives/[!.]*/")):
        yield path, verify_unpacked


def _listed(damage: Callable[[Path], str | None], path: Path) -> list[str]:
    problem = damage(path)
    return [] if problem is None else [f"{path}: {problem}"]
