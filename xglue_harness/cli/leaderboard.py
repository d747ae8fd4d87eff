"""``xglue-harness leaderboard``: contributed results, from lm_eval's files to a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xglue_harness.errors import LeaderboardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xglue_harness.leaderboard.ranking.board import Board
    from xglue_harness.leaderboard.ranking.tables import Table

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

TreeOption = Annotated[Path, typer.Option("--tree", metavar="DIR", help="folder with backbones, results and reference")]
ReadOption = Annotated[
    Path | None,
    typer.Option(
        "--tree",
        metavar="DIR",
        help="folder with backbones, results and reference; by default leaderboard, else what came with this version",
    ),
]
ExampleOption = Annotated[
    bool, typer.Option("--example", help="the data are the packaged toy (and no others); pages say EXAMPLE")
]
RecipeOption = Annotated[str | None, typer.Option(metavar="NAME", help="of the recipe; by default all, or the first")]
TaskOption = Annotated[list[str] | None, typer.Option("--task", metavar="NAME", help="nc, xnli, ..., once for each")]

_TREE = Path("leaderboard")


@app.command(
    "add",
    epilog="Example: `xglue-harness leaderboard add results` (the folder that lm_eval --output_path wrote)",
)
def add_command(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS", help="lm_eval's results files, or folders")],
    tree: TreeOption = _TREE,
    backbone: Annotated[str | None, typer.Option(metavar="NAME", help="by default the YAML of that checkpoint")] = None,
    recipe: Annotated[str | None, typer.Option(metavar="NAME", help="of a recipe that is not the paper's")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="why scores that are there change")] = None,
    example: ExampleOption = False,
) -> None:
    """Put results of lm_eval into the tree, with their predictions, checked as `validate` does."""
    from xglue_harness.leaderboard.add import add

    added = add(results, tree, backbone=backbone, recipe=recipe, reason=reason, example=example)
    for what, paths in (("new", added.new), ("replaced", added.replaced), ("unchanged", added.unchanged)):
        for path in paths:
            typer.echo(f"{what}: {path}")


@app.command("validate", epilog="Example: `xglue-harness leaderboard validate --base ../main/leaderboard`")
def validate_command(
    tree: TreeOption = _TREE,
    base: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="the tree before: list every change; what is others' needs a reason"),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="XGLUE's archive or folder: compare the gold labels with it, too")
    ] = None,
    example: ExampleOption = False,
) -> None:
    """Check the tree: schema, hashes, and every score computed again from its predictions."""
    from xglue_harness.leaderboard.validation.validate import validate

    checked = validate(tree, base=base, data=data, example=example)
    for line in checked.changes:
        typer.echo(line)
    typer.echo(f"{tree}: {len(checked.backbones)} backbones and {len(checked.results)} results are as they say")


@app.command("explain", epilog="Example: `xglue-harness leaderboard explain --base ../main/leaderboard --reason TEXT`")
def explain_command(
    base: Annotated[Path, typer.Option(metavar="DIR", help="the tree before")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="why what was there before is not what it was")],
    tree: TreeOption = _TREE,
) -> None:
    """Write down why files of others change or go: into changes.yaml, for all that have no reason yet."""
    from xglue_harness.leaderboard.validation.change_checks import explain

    for file in explain(tree, base, reason):
        typer.echo(f"explained: {file}")


@app.command("build", epilog="Example: `xglue-harness leaderboard build site && open site/index.html`")
def build_command(
    site: Annotated[
        Path, typer.Argument(metavar="SITE_DIR", help="where the pages go; a site that is there is replaced")
    ],
    tree: ReadOption = None,
    example: ExampleOption = False,
) -> None:
    """Build the site: static pages, for no server and no network. Needs pip install 'xglue-harness[site]'."""
    from xglue_harness.leaderboard.site.build import build
    from xglue_harness.leaderboard.validation.validate import validate

    folder = _to_read(tree)
    if folder.resolve() in site.resolve().parents:
        raise LeaderboardError(f"{site}: lies in {folder}, where nothing but contributions may; give another folder")
    typer.echo(build(validate(folder, example=example), site))


@app.command("compare", epilog="Example: `xglue-harness leaderboard compare A B --task xnli` (two that have results)")
def compare_command(
    first: Annotated[str, typer.Argument(metavar="A", help="name of a backbone")],
    second: Annotated[str, typer.Argument(metavar="B", help="name of another one")],
    task: TaskOption = None,
    recipe: RecipeOption = None,
    tree: ReadOption = None,
    bootstrap: Annotated[int, typer.Option(min=100, help="replicates of the paired bootstrap")] = 2000,
    example: ExampleOption = False,
) -> None:
    """Compare two backbones, paired over test rows: difference, interval, and whether it is significant."""
    from xglue_harness.leaderboard.ranking.rows import ALL
    from xglue_harness.leaderboard.ranking.tables import LEGEND, comparison

    tree, shown = _to_read(tree), False
    boards = _boards(tree, example, recipe)
    for board in boards:
        tasks = _tasks(board, task) or [*board.tasks, ALL]
        table = comparison(board, first, second, tasks, bootstrap)
        if table.rows:
            shown = True
            _print(table)
    if not shown:
        raise LeaderboardError(_incomparable(tree, boards, first, second))
    typer.echo(LEGEND)
    typer.echo("The interval and p are Student's, and decide: the bootstrap counts a few trainings for too little.")


@app.command("show", epilog="Example: `xglue-harness leaderboard show --task pos`")
def show_command(
    task: TaskOption = None,
    recipe: RecipeOption = None,
    tree: ReadOption = None,
    base: Annotated[Path | None, typer.Option(metavar="DIR", help="the tree before: list what is new")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="print Markdown, as for a pull request")] = False,
    example: ExampleOption = False,
) -> None:
    """Print the leaderboard: over all tasks, or a task in its languages."""
    from xglue_harness.leaderboard.contributions.tree import read_tree
    from xglue_harness.leaderboard.ranking.tables import LEGEND, by_language, changed_results, overall, published
    from xglue_harness.leaderboard.validation.changes import listing

    tree = _to_read(tree)
    tables: list[Table] = []
    found = _boards(tree, example, recipe)
    if base is not None:
        now, before = read_tree(tree), read_tree(base)
        lines = [f"- {line}" for line in changed_results(now, before) or ["none"]]
        files = [f"    {line}" for line in listing(now, before)]  # Markdown shows what is indented as it is
        typer.echo("\n".join([*files, "", "Results of this change:", "", *lines, ""]))
    for board in found:
        chosen = _tasks(board, task)
        tables += [by_language(board.recipe, board.tasks[name]) for name in chosen] if task else [overall(board)]
    for table in tables + ([] if task else published()):
        typer.echo(table.markdown()) if markdown else _print(table)
    typer.echo(LEGEND)


def _to_read(tree: Path | None) -> Path:
    """The tree to look at; outside a checkout the one that came with this version, and that is said."""
    if tree is not None or _TREE.is_dir():
        return tree or _TREE
    from xglue_harness import __version__
    from xglue_harness.resources import published_tree

    found = published_tree()
    typer.echo(f"no folder {_TREE} here: this is the one of xglue-harness {__version__}, {found}", err=True)
    return found


def _incomparable(tree: Path, boards: Sequence[Board], first: str, second: str) -> str:
    """Why two backbones have no common line: who has results, by recipe."""
    lines = [f"{board.recipe}: {', '.join(row.backbone.name for row in board.overall)}" for board in boards]
    there = "; ".join(lines) or "none yet"
    return f"{tree}: no recipe has results of both {first} and {second} on a common task; results there are: {there}"


def _boards(tree: Path, example: bool, recipe: str | None) -> list[Board]:
    from xglue_harness.leaderboard.ranking.board import boards
    from xglue_harness.leaderboard.validation.validate import validate

    found = boards(validate(tree, example=example))
    chosen = [board for board in found if recipe in (None, board.recipe)]
    if recipe is not None and not chosen:
        there = ", ".join(board.recipe for board in found) or "none"
        raise LeaderboardError(f"{tree}: no results under the recipe {recipe!r}; there are: {there}")
    return chosen


def _tasks(board: Board, names: list[str] | None) -> list[str]:
    from xglue_harness.benchmark import TASKS

    if unknown := [name for name in names or () if name not in TASKS]:
        raise LeaderboardError(f"no XGLUE task {', '.join(unknown)}; expected some of {', '.join(TASKS)}")
    return [name for name in names or () if name in board.tasks]


def _print(table: Table) -> None:
    from rich.table import Table as RichTable

    from xglue_harness.cli.console import PlainConsole

    shown = RichTable(title=table.title, title_justify="left", expand=False)
    for number, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if number > 1 else "left", no_wrap=True)
    for row in table.rows:
        shown.add_row(*row)
    PlainConsole(wide=240).print(shown)
