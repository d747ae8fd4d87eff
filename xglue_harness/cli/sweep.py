"""``xglue-harness sweep``: many trainings from one file, on one machine or a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli.options import TREE

if TYPE_CHECKING:
    from xglue_harness.sweeps.plan import Plan

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

File = Annotated[Path, typer.Argument(metavar="FILE", help="the sweep's file, as examples/sweeps/tiny.yaml")]
Backbones = Annotated[list[str] | None, typer.Option("--backbone", metavar="NAME", help="of the file, once for each")]
Tasks = Annotated[list[str] | None, typer.Option("--task", metavar="NAME", help="nc, xnli, ..., once for each")]


@app.command(
    "plan",
    epilog="Examples: `xglue-harness sweep plan sweep.yaml --device 'NVIDIA H100'`, `xglue-harness sweep plan "
    "sweep.yaml --rate xlmr-base=900 --json`",
)
def plan_command(
    file: File,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="'NVIDIA A100', ..., or cpu; by default what finished trainings ran on"),
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="of the card's peak that is reached where none was measured")
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="[BACKBONE=]N", help="subwords a second in training, of all backbones or of one"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the trainings, what is there already, and how long the rest takes and how much room it needs.

    Minutes come from finished jobs of the same shape, else from a measured or given rate, else from arithmetic; the
    last column says which.
    """
    import json

    from xglue_harness.sweeps.estimates import SHARE, parse_rates
    from xglue_harness.sweeps.file import load
    from xglue_harness.sweeps.jobs import expand
    from xglue_harness.sweeps.plan import plan, store_of

    sweep = load(file)
    rates = parse_rates(rate or (), sweep.backbones)
    made = plan(
        [*sweep.backbones],
        expand(sweep),
        sweep.folder,
        store_of(sweep),
        device=device or sweep.device,
        rates=rates,
        share=SHARE if share is None else share,
    )
    if as_json:
        typer.echo(json.dumps(made.as_json(), indent=1))
    else:
        _print_plan(made)


@app.command(
    "report",
    epilog="Examples: `xglue-harness sweep report sweep.yaml --published`, `xglue-harness sweep report sweep.yaml "
    "--output tables`, `xglue-harness sweep report sweep.yaml --add`",
)
def report_command(
    file: File,
    form: Annotated[
        Literal["markdown", "latex", "csv"], typer.Option("--format", help="of what is printed; LaTeX needs booktabs")
    ] = "markdown",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write table1, table4 and contrasts here, in all three formats")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="show those of Ji et al. 2024 below ours")] = False,
    intervals: Annotated[
        bool, typer.Option("--language-intervals", help="in Table 4, show the interval of every language's score")
    ] = False,
    backbone: Backbones = None,
    task: Tasks = None,
    tree: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="leaderboard that says what family a backbone is of; by default ours"),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="put the results into the leaderboard's tree instead")] = False,
    recipe: Annotated[str | None, typer.Option(metavar="NAME", help="for --add: of a recipe not the paper's")] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="for --add: why scores that are there change")
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="for --add: the data are the packaged toy")] = False,
) -> None:
    """Print the paper's Tables 1 and 4 of the results that there are, and LM, MT and CP compared.

    What is missing is marked, and so is what collapsed.
    """
    from xglue_harness.resources import published_tree
    from xglue_harness.sweeps.file import load
    from xglue_harness.sweeps.rendering import FORMATS, write
    from xglue_harness.sweeps.report import add_to_tree, chosen, report

    sweep = load(file)
    jobs = chosen(sweep, backbone or (), task or ())
    if add:
        added = add_to_tree(jobs, sweep.folder, tree or TREE, recipe=recipe, reason=reason, example=example)
        for what, paths in (("new", added.new), ("replaced", added.replaced), ("unchanged", added.unchanged)):
            for path in paths:
                typer.echo(f"{what}: {path}")
        return
    names = [name for name in sweep.backbones if any(job.backbone == name for job in jobs)]
    made = report(
        names, jobs, sweep.folder, tree or published_tree(), published=published, language_intervals=intervals
    )
    if output is not None:
        for path in write(made.tables, output):
            typer.echo(path)
    else:
        for table in made.tables:
            typer.echo(FORMATS[form][1](table))
    for job in made.missing:
        typer.echo(f"no results yet: {job.name}", err=True)
    for name in made.unknown:
        typer.echo(f"{name}: of no family, since no leaderboard describes it: see xglue-harness backbone new", err=True)


def _print_plan(made: Plan) -> None:
    from xglue_harness.cli.console import PlainConsole, table
    from xglue_harness.sweeps.plan import size

    heads = ("backbone", "task", "jobs", "done", "stored", "rows", "subwords", "minutes", "GPU h", "store", "how")
    shown = table(heads, "llrrrrrrrrl")
    for group in made.groups:
        counts = (str(group.jobs), str(group.done), str(group.stored), f"{group.rows:,}")
        subwords = f"{_short(group.subwords)}{_COUNTED[group.counted]}"
        numbers = (_number(group.minutes), _number(group.gpu_hours_left))
        store = "?" if group.store_bytes is None else size(group.store_bytes)
        shown.add_row(group.backbone, group.task, *counts, subwords, *numbers, store, f"{group.how}: {group.why}")
    console = PlainConsole()
    console.print(shown)
    for line in made.words():
        console.print(line)


_COUNTED = {"records": "", "data": "~", "XGLUE": "?"}
"""Marks of subwords that no training has counted."""


def _short(count: float) -> str:
    """A count, in millions where it is large."""
    return f"{count / 1e6:,.2f}M" if count >= 1e5 else f"{count:,.0f}"


def _number(value: float | None) -> str:
    """A number to two digits or more."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
