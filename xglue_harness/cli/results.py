"""``xglue-harness results``: what runs came to, as tables, figures, comparisons and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH...",
        help="lm_eval's results files, or folders of them; a leaderboard's tree; entries of the store, or their keys",
    ),
]
Tasks = Annotated[list[str] | None, typer.Option("--task", metavar="NAME", help="nc, xnli, ..., once for each")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(
    "show", epilog="Examples: `xglue-harness results show results`, `xglue-harness results show a/results b/results`"
)
def show_command(paths: Paths, as_json: AsJson = False) -> None:
    """Show scores in percent: a line for each run, a column for each language, English first.

    A dash is no score. Of entries of the store there are dev scores only. The gap is English minus the mean of the
    other languages; ± is the mean's standard error over test documents.
    """
    import json

    from xglue_harness.cli.console import PlainConsole, table
    from xglue_harness.results import showing
    from xglue_harness.results.reading import read_runs

    runs = read_runs(paths)
    if as_json:
        typer.echo(json.dumps([showing.as_json(run) for run in runs], indent=1))
        return
    console = PlainConsole()
    for task in showing.shown_tasks(runs):
        console.print(task.title, style="bold")
        for heads, lines in task.parts(console.width):
            shown = table(heads, "l" + "r" * (len(heads) - 1))
            for line in lines:
                shown.add_row(*line)
            console.print(shown)
        for note in task.notes:
            console.print(note, style="dim")
        console.print()


@app.command(
    "table",
    epilog="Examples: `xglue-harness results table results --format latex`, `xglue-harness results table results "
    "--output tables --published`",
)
def table_command(
    paths: Paths,
    form: Annotated[
        Literal["markdown", "latex", "csv"], typer.Option("--format", help="of what is printed; LaTeX needs booktabs")
    ] = "markdown",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write table1, table4 and contrasts here, in all three formats")
    ] = None,
    task: Tasks = None,
    backbone: Annotated[
        list[str] | None, typer.Option("--backbone", metavar="NAME", help="as results show names it, once for each")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="show those of Ji et al. 2024 below ours")] = False,
    intervals: Annotated[
        bool, typer.Option("--language-intervals", help="in Table 4, show the interval of every language's score")
    ] = False,
    tree: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="leaderboard that says what family a backbone is of; by default ours"),
    ] = None,
) -> None:
    """Print runs in the layout of the paper's Tables 1 and 4: a line for each backbone and recipe, its seeds together.

    ± is half the 95% interval over trainings and test rows, as on the leaderboard. Every score is computed again from
    its predictions.
    """
    from xglue_harness.resources import published_tree
    from xglue_harness.results.paper_tables import tables_of
    from xglue_harness.results.reading import read_runs
    from xglue_harness.results.series import chosen
    from xglue_harness.sweeps.rendering import FORMATS, write

    runs = chosen(read_runs(paths), task or (), backbone or ())
    tables = tables_of(runs, tree or published_tree(), published=published, language_intervals=intervals)
    if output is not None:
        for path in write(tables, output):
            typer.echo(path)
    else:
        for made in tables:
            typer.echo(FORMATS[form][1](made))
