"""``xglue-harness results export``: results as records that other places read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xglue_harness.cli import options
from xglue_harness.cli.options import Results


def export(
    paths: Results,
    folder: Annotated[Path, options.output("Where the files go: a new or an empty folder.")],
    form: Annotated[Literal["every-eval-ever", "eval-results"], options.form("Whose records they are.")],
    organization: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who passes them on; every-eval-ever wants it.")
    ] = None,
    relationship: Annotated[
        Literal["first_party", "third_party", "collaborative", "other"],
        typer.Option(help="Of who measured to the backbone's makers, for every-eval-ever."),
    ] = "third_party",
    benchmark: Annotated[
        str, typer.Option(metavar="NAME", help="ORG/NAME of the benchmark on the Hub, for eval-results.")
    ] = "microsoft/xglue",
    source_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where more is told of them, for eval-results.")
    ] = None,
) -> None:
    """Write results in a form that other places read.

    As records of Every Eval Ever, the shared schema for evaluations, which any store of them takes; or as
    .eval_results/*.yaml, which a repository of a model on the Hub has, for XGLUE's own rows only.

    \b
    Examples:
      xglue-harness results export results --output out \\
          --format every-eval-ever --organization "My lab"
      xglue-harness results export results --output out --format eval-results
    """
    import time

    from xglue_harness.export.every_eval_ever import Evaluator, check_evaluator, records_of
    from xglue_harness.export.hub_results import files_of
    from xglue_harness.export.writing import write_files, written_json
    from xglue_harness.results.reading import read_runs

    if form == "every-eval-ever":
        by = Evaluator(check_evaluator(organization), relationship)
        runs = read_runs(paths)
        records = records_of(runs, by, now=int(time.time()))
        files = {path: written_json(record) for path, record in records.items()}
    else:
        runs = read_runs(paths)
        files = files_of(runs, benchmark=benchmark, source_url=source_url)
    write_files(files, folder)
    for path in files:
        typer.echo(f"{folder / path}")
    typer.echo(f"{len(runs)} scores in {len(files)} files")
    if any(run.sample for run in runs):
        typer.echo("SAMPLE data: the scores mean nothing, and are marked so")
    if any(run.unofficial for run in runs):
        typer.echo("UNOFFICIAL data: the scores do not compare with those on XGLUE, and are marked so")
