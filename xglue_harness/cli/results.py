"""``xglue-harness results``: what runs came to, as tables, figures, comparisons and errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli import options
from xglue_harness.cli.options import Json, Tasks

if TYPE_CHECKING:
    from xglue_harness.results.comparing import Difference

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

_WHAT = "lm_eval's results files, or folders of them; a leaderboard's tree"
Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help=f"{_WHAT}; the store, its entries, or their keys.")]
One = Annotated[Path, typer.Argument(metavar="A", help=f"{_WHAT}.")]


@app.command(
    "show", epilog="Examples: `xglue-harness results show results`, `xglue-harness results show a/results b/results`"
)
def show_command(paths: Paths, tasks: Tasks = None, as_json: Json = False) -> None:
    """Show scores in percent: a line for each run, a column for each language, English first.

    A dash is no score. Of entries of the store there are dev scores only. The gap is English minus the mean of the
    other languages; ± is the mean's standard error over test documents.
    """
    from xglue_harness.cli.console import PlainConsole, print_json, table
    from xglue_harness.results import showing
    from xglue_harness.results.reading import read_runs
    from xglue_harness.results.series import chosen

    runs = chosen(read_runs(paths), options.names(tasks) or ())
    if as_json:
        print_json([showing.as_json(run) for run in runs])
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
    form: Annotated[Literal["markdown", "latex", "csv"], options.form("Of what is printed; LaTeX needs booktabs.")] = (
        "markdown"
    ),
    output: Annotated[
        Path | None, options.output("Write table1, table4 and contrasts here instead, in all three formats.")
    ] = None,
    tasks: Tasks = None,
    backbones: Annotated[
        str | None, typer.Option("--backbones", metavar="NAME,...", help="As results show names them; by default all.")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="Show those of Ji et al. 2024 below ours.")] = False,
    intervals: Annotated[
        bool, typer.Option("--language-intervals", help="In Table 4, show the interval of every language's score.")
    ] = False,
    tree: Annotated[
        Path | None,
        typer.Option("--tree", metavar="DIR", help="Says what family a backbone is of; by default our leaderboard."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print runs in the layout of the paper's Tables 1 and 4: a line for each backbone and recipe, its seeds together.

    ± is half the 95% interval over trainings and test rows, as on the leaderboard. Every score is computed again from
    its predictions.
    """
    from xglue_harness.cli.console import print_json
    from xglue_harness.resources import published_tree
    from xglue_harness.results.paper_tables import tables_of
    from xglue_harness.results.reading import read_runs
    from xglue_harness.results.series import chosen
    from xglue_harness.sweeps.rendering import FORMATS, write

    runs = chosen(read_runs(paths), options.names(tasks) or (), options.names(backbones) or ())
    grids = tables_of(runs, tree or published_tree(), published=published, language_intervals=intervals)
    if as_json:
        print_json(grids)
    elif output is not None:
        for path in write(grids, output):
            typer.echo(path)
    else:
        for grid in grids:
            typer.echo(FORMATS[form][1](grid))


@app.command(
    "compare",
    epilog="Examples: `xglue-harness results compare before/results after/results`, `xglue-harness results compare "
    "lr1e-5 lr2e-5 --tasks pos --json`",
)
def compare_command(
    a: One,
    b: Annotated[Path, typer.Argument(metavar="B", help="What it is compared with.")],
    tasks: Tasks = None,
    replicates: Annotated[int, typer.Option("--replicates", metavar="N", min=100, help="Of the bootstrap.")] = 10_000,
    seed: Annotated[int, options.seed("Of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare two runs row by row: is A better than B, how surely, and on what do they disagree?

    For accuracies of rows p is McNemar's, exact; for words, entities and queries that of a paired bootstrap over
    documents, as are all intervals. p (Holm) is adjusted for the number of languages. Two trainings from other seeds
    differ, too: only several of each say which backbone or recipe is better.
    """
    from xglue_harness.cli.console import PlainConsole, print_json, table
    from xglue_harness.results.comparing import compare
    from xglue_harness.results.reading import read_runs
    from xglue_harness.results.series import chosen

    wanted = options.names(tasks) or ()
    runs = [chosen(read_runs([path]), wanted) for path in (a, b)]
    compared = compare(*runs, replicates=replicates, seed=seed)
    if as_json:
        print_json({"a": a, "b": b, **vars(compared)})
        return
    heads = ("task", "language", "A", "B", "A - B (95%)", "p", "p (Holm)", "both", "only A", "only B", "neither", "of")
    shown = table(heads, "llrrrrrrrrrl")
    for item in compared.differences:
        shown.add_row(*_cells(item))
    console = PlainConsole()
    console.print(f"A: {a}\nB: {b}")
    console.print(shown)
    console.print(
        "scores in percent; both, only A, ...: what is right in both, in A only, ...; of queries what is better"
    )
    for side, only in (("A", compared.only_in_a), ("B", compared.only_in_b)):
        if only:
            console.print(f"only in {side}, and not compared: {', '.join(only)}")


def _cells(item: Difference) -> list[str]:
    from xglue_harness.benchmark import TASKS

    language = item.language or f"mean of {item.languages}"
    gap = f"{100 * item.difference:+.2f} ({100 * item.low:+.2f} to {100 * item.high:+.2f})"
    p = [f"{item.p:.3g}", "" if item.p_holm is None else f"{item.p_holm:.3g}"]
    counts = item.counts
    numbers = [""] * 5
    if counts is not None:
        numbers = [*map(str, (counts.both, counts.only_a, counts.only_b, counts.neither)), counts.unit]
    scores = f"{100 * item.a:.2f}", f"{100 * item.b:.2f}"
    return [TASKS[item.task].title, language, *scores, gap, *p, *numbers]


@app.command(
    "errors",
    epilog="Examples: `xglue-harness results errors results`, `xglue-harness results errors before/results "
    "after/results --data ~/xglue --rows 50`",
)
def errors_command(
    a: One,
    b: Annotated[
        Path | None, typer.Argument(metavar="B", help="Runs of the same tasks, to see where A differs.")
    ] = None,
    output: Annotated[Path, options.output("For errors.html and tables in CSV.")] = Path("analysis"),
    tasks: Tasks = None,
    data: Annotated[str | None, options.data("'sample', 'hub', a folder or the archive: shows the texts.")] = None,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Most of each language on which A and B differ.")
    ] = 20,
    seed: Annotated[int, options.seed("Of the rows that are drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Show where runs are wrong: precision and recall of each class, entity type or part of speech, and confusions.

    All of it goes into a page and CSV; the worst class of each language is printed. With B, a sample of the rows that
    the two predict differently, with their texts where --data names the data.
    """
    from xglue_harness.cli.console import PlainConsole, print_json, table
    from xglue_harness.data.resolve import open_source
    from xglue_harness.results.error_files import Sample, class_rows, confusion_rows, disagreement_rows, write
    from xglue_harness.results.errors import breakdowns, disagreements
    from xglue_harness.results.reading import read_runs
    from xglue_harness.results.series import chosen

    wanted = options.names(tasks) or ()
    first = chosen(read_runs([a]), wanted)
    second = [] if b is None else chosen(read_runs([b]), wanted)
    found = breakdowns({"": first} if b is None else {"A": first, "B": second})
    sample = None
    if b is not None:
        source = None if data is None else open_source(data)
        sample = Sample(str(a), str(b), rows, disagreements(first, second, rows, seed, source))
    if as_json:
        differing = None if sample is None else [*disagreement_rows(sample.rows)]
        told = {"classes": [*class_rows(found)], "confusion": [*confusion_rows(found)], "disagreements": differing}
        print_json(told)
        return
    shown = table(("task", "language", "run", "of", "worst class", "F1", "precision", "recall", "support"), "lllllrrrr")
    for item in found:
        of_gold = [one for one in item.classes if one.support]
        worst = min(of_gold, key=lambda one: one.f1)
        numbers = (f"{100 * value:.1f}" for value in (worst.f1, worst.precision, worst.recall))
        facts = (item.run.spec.title, item.run.language, item.title, item.unit, worst.name)
        shown.add_row(*facts, *numbers, str(worst.support))
    PlainConsole().print(shown)
    for path in write(found, sample, output):
        typer.echo(f"written: {path}")


@app.command(
    "plot",
    epilog="Examples: `xglue-harness results plot results`, `xglue-harness results plot a/results b/results --output "
    "figures`",
)
def plot_command(
    paths: Paths,
    output: Annotated[Path, options.output("For PNG and SVG.")] = Path("analysis"),
    tasks: Tasks = None,
) -> None:
    """Draw scores by language, learning curves, and scores against each diagnostic that was asked for.

    Learning curves are the loss by step and the dev scores by epoch. Needs pip install 'xglue-harness[plots]'.
    """
    from xglue_harness.results.figures import draw
    from xglue_harness.results.reading import read_runs
    from xglue_harness.results.series import chosen

    for path in draw(chosen(read_runs(paths), options.names(tasks) or ()), output):
        typer.echo(f"written: {path}")
