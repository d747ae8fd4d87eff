"""``xglue-harness cache``: look at what is kept to spare work: parsed splits, tokens, predictions, archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

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
    from xglue_harness.data.cache import sealed_stream
    from xglue_harness.data.unpacked import verify_unpacked
    from xglue_harness.records.prediction_cache import checked_bytes
    from xglue_harness.store.token_cache import checked_tensors

    kinds = (
        ("arrow/*.arrow", sealed_stream),
        ("tokens/*.safetensors", checked_tensors),
        ("predictions/*.parquet", checked_bytes),
    )
    for pattern, check in kinds:
        for path in sorted(root.glob(pattern)):
            yield path, partial(_listed, check)
    for path in sorted(root.glob("archives/[!.]*/")):
        yield path, verify_unpacked


def _listed(check: Callable[[Path], object], path: Path) -> list[str]:
    from xglue_harness.seal import DamagedFileError

    try:
        check(path)
    except (DamagedFileError, OSError) as error:
        return [f"{path}: {error}"]
    return []
