"""``xglue-harness leaderboard``: contributed results, from lm_eval's files to a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli.options import TREE, Json, Results, Tasks, Tree, form, names
from xglue_harness.errors import PREFIX, LeaderboardError

if TYPE_CHECKING:
    from xglue_harness.leaderboard.ranking.tables import Table

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

_FRAME, _GAP = 4, 3
"""Characters of rich's frame beside a table's cells, and between two of them."""

TreeToRead = Annotated[
    Path | None,
    typer.Option(
        "--tree",
        metavar="DIR",
        help="Folder with backbones, results and reference; by default leaderboard, else what came with this version.",
    ),
]
Example = Annotated[
    bool, typer.Option("--example", help="The data are the packaged toy (and no others); pages say EXAMPLE.")
]
Recipe = Annotated[str | None, typer.Option("--recipe", metavar="NAME", help="By default all.")]


@app.command(
    "add",
    epilog="Example: `xglue-harness leaderboard add results` (the folder that lm_eval --output_path wrote)",
)
def add_command(
    results: Results,
    tree: Tree = TREE,
    backbone: Annotated[
        str | None, typer.Option(metavar="NAME", help="By default the YAML of that checkpoint.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a recipe that is not the paper's; of probes: frozen-NAME.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why scores that are there change.")] = None,
    example: Example = False,
) -> None:
    """Put results of lm_eval into the tree, with their predictions, checked as `validate` does."""
    from xglue_harness.leaderboard.add import add

    added = add(results, tree, backbone=backbone, recipe=recipe, reason=reason, example=example)
    for what, paths in (("new", added.new), ("replaced", added.replaced), ("unchanged", added.unchanged)):
        for path in paths:
            typer.echo(f"{what}: {path}")


@app.command("validate", epilog="Example: `xglue-harness leaderboard validate --base ../main/leaderboard`")
def validate_command(
    tree: Tree = TREE,
    base: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The tree before: list every change; what is others' needs a reason."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="XGLUE's archive or folder: compare the gold labels with it, too."),
    ] = None,
    example: Example = False,
) -> None:
    """Check the tree: schema, hashes, and every score computed again from its predictions."""
    from xglue_harness.leaderboard.validation.validate import validate

    checked = validate(tree, base=base, data=data, example=example)
    for line in checked.changes:
        typer.echo(line)
    results = len(checked.results) + len(checked.frozen)
    typer.echo(f"{tree}: {len(checked.backbones)} backbones and {results} results are as they say")


@app.command("explain", epilog="Example: `xglue-harness leaderboard explain --base ../main/leaderboard --reason TEXT`")
def explain_command(
    base: Annotated[Path, typer.Option(metavar="DIR", help="The tree before.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why what was there before is not what it was.")],
    tree: Tree = TREE,
) -> None:
    """Write down why files of others change or go: into changes.yaml, for all that have no reason yet."""
    from xglue_harness.leaderboard.validation.change_checks import explain

    for file in explain(tree, base, reason):
        typer.echo(f"explained: {file}")


@app.command("build", epilog="Example: `xglue-harness leaderboard build site && open site/index.html`")
def build_command(
    site: Annotated[Path, typer.Argument(metavar="DIR", help="Where the pages go; a site that is there is replaced.")],
    tree: TreeToRead = None,
    example: Example = False,
    repository: Annotated[
        str | None,
        typer.Option("--repository", metavar="URL", help="Of the repository on the web, for links; by default none."),
    ] = None,
    docs: Annotated[
        str | None,
        typer.Option("--docs", metavar="URL", help="Of the pages of docs, for a link; docs/ where they lie beside."),
    ] = None,
) -> None:
    """Build the site: static pages, for no server and no network. Needs pip install 'xglue-harness[site]'."""
    from xglue_harness.leaderboard.site.build import build
    from xglue_harness.leaderboard.validation.validate import validate

    folder = _to_read(tree)
    if folder.resolve() in site.resolve().parents:
        raise LeaderboardError(f"{site}: lies in {folder}, where nothing but contributions may; give another folder")
    typer.echo(build(validate(folder, example=example), site, repository=repository, docs=docs))


@app.command("compare", epilog="Example: `xglue-harness leaderboard compare A B --tasks xnli` (two that have results)")
def compare_command(
    first: Annotated[str, typer.Argument(metavar="BACKBONE_A", help="One that has results.")],
    second: Annotated[str, typer.Argument(metavar="BACKBONE_B", help="Another one.")],
    tasks: Tasks = None,
    recipe: Recipe = None,
    tree: TreeToRead = None,
    replicates: Annotated[
        int, typer.Option("--replicates", metavar="N", min=100, help="Of the paired bootstrap.")
    ] = 2000,
    example: Example = False,
    as_json: Json = False,
) -> None:
    """Compare two backbones, paired over test rows: difference, interval, and whether it is significant."""
    from xglue_harness.leaderboard.ranking.choice import chosen_boards, chosen_tasks, incomparable
    from xglue_harness.leaderboard.ranking.rows import ALL
    from xglue_harness.leaderboard.ranking.tables import LEGEND, compared, comparison

    tree = _to_read(tree)
    boards = chosen_boards(tree, recipe, example=example)
    found = [
        (
            board,
            compared(board, first, second, chosen_tasks(board, names(tasks) or ()) or [*board.tasks, ALL], replicates),
        )
        for board in boards
    ]
    if not any(lines for _, lines in found):
        raise LeaderboardError(incomparable(tree, boards, first, second))
    if as_json:
        from xglue_harness.cli.console import print_json
        from xglue_harness.leaderboard.site.json_comparisons import comparison_json

        print_json([comparison_json(board, first, second, lines) for board, lines in found if lines])
        return
    for board, lines in found:
        if lines:
            _print(comparison(board, first, second, lines))
    typer.echo(LEGEND)
    typer.echo("The interval and p are Student's, and decide: the bootstrap counts a few trainings for too little.")


@app.command("show", epilog="Example: `xglue-harness leaderboard show --tasks pos`")
def show_command(
    tasks: Tasks = None,
    recipe: Recipe = None,
    tree: TreeToRead = None,
    base: Annotated[Path | None, typer.Option(metavar="DIR", help="The tree before: list what is new.")] = None,
    form: Annotated[Literal["text", "markdown"], form("Of the tables; markdown is for a pull request.")] = "text",
    example: Example = False,
    as_json: Json = False,
) -> None:
    """Print the leaderboard: over all tasks, or a task in its languages."""
    from xglue_harness.leaderboard.contributions.tree import read_tree
    from xglue_harness.leaderboard.ranking.choice import chosen_boards, chosen_tasks
    from xglue_harness.leaderboard.ranking.tables import LEGEND, by_language, changed_results, overall, published
    from xglue_harness.leaderboard.validation.changes import listing

    tree = _to_read(tree)
    boards = chosen_boards(tree, recipe, example=example)
    chosen = names(tasks) or []
    if as_json:
        from xglue_harness.cli.console import print_json
        from xglue_harness.leaderboard.site.json_files import shown_json

        print_json([shown_json(board, chosen_tasks(board, chosen), example) for board in boards])
        return
    if base is not None:
        now, before = read_tree(tree), read_tree(base)
        lines = [f"- {line}" for line in changed_results(now, before) or ["none"]]
        files = [f"    {line}" for line in listing(now, before)]  # Markdown shows what is indented as it is
        typer.echo("\n".join([*files, "", "Results of this change:", "", *lines, ""]))
    if chosen:
        tables = [by_language(board, name) for board in boards for name in chosen_tasks(board, chosen)]
    else:
        tables = [*map(overall, boards), *published()]
    for table in tables:
        typer.echo(table.markdown()) if form == "markdown" else _print(table)
    typer.echo(LEGEND)


def _to_read(tree: Path | None) -> Path:
    """The tree to look at; outside a checkout the one that came with this version, and that is said."""
    if tree is not None or TREE.is_dir():
        return tree or TREE
    from xglue_harness import __version__
    from xglue_harness.resources import published_tree

    packaged = published_tree()
    typer.echo(f"{PREFIX}no folder {TREE} here: this is the one of xglue-harness {__version__}, {packaged}", err=True)
    return packaged


def _print(text: Table) -> None:
    """A table, in as many blocks as it takes to show every number whole."""
    from xglue_harness.cli.console import PlainConsole, table
    from xglue_harness.columns import in_blocks

    console = PlainConsole()
    widths = [max(map(len, column)) for column in zip(text.columns, *text.rows, strict=True)]
    for block in in_blocks(widths, console.width - _FRAME, gap=_GAP):
        columns = [0, *block]
        align = "".join("l" if number < 2 else "r" for number in columns)
        shown = table([text.columns[number] for number in columns], align, title=text.title)
        for row in text.rows:
            shown.add_row(*(row[number] for number in columns))
        console.print(shown)
