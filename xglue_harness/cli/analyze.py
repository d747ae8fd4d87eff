"""``xglue-harness analyze``: why an encoder transfers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli.options import MaxDisk

if TYPE_CHECKING:
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.sentences import Texts
    from xglue_harness.analyze.summary import Summary

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

Folder = Annotated[Path, typer.Option("--output", help="folder for table, record and figures")]
Form = Annotated[Literal["csv", "parquet"], typer.Option("--format", help="of the table")]
TextPath = Annotated[
    Path | None, typer.Option("--text", help="a file, or a folder of parallel files <language>.txt, a sentence a line")
]
Data = Annotated[str | None, typer.Option("--data", help="'sample', 'hub', a folder or the archive, with --task")]
Task = Annotated[str | None, typer.Option("--task", help="whose test sets are read, with --data: nc, xnli, pawsx, ...")]
Languages = Annotated[str | None, typer.Option("--languages", help="e.g. en,de,sw; by default all there are")]
Rows = Annotated[int, typer.Option("--rows", min=8, help="sentences of each language, the first ones")]
Pool = Annotated[Literal["mean", "first", "last"], typer.Option("--pooling", help="of a sentence's subwords")]
Length = Annotated[int, typer.Option("--max-length", min=8, help="subwords of a sentence")]
Device = Annotated[str | None, typer.Option("--device", help="cuda, cpu, ...; a GPU where there is one")]
Seed = Annotated[int, typer.Option("--seed", help="of permutations and bootstrap")]
Permutations = Annotated[int, typer.Option("--permutations", min=20, help="for the null")]
Replicates = Annotated[int, typer.Option("--replicates", min=20, help="of the bootstrap")]


@app.command("cka")
def cka_command(
    a: Annotated[str, typer.Argument(help="an encoder: Hub id (@revision) or folder")],
    b: Annotated[str, typer.Argument(help="the encoder to compare it with")],
    text: TextPath = None,
    data: Data = None,
    task: Task = None,
    languages: Languages = None,
    rows: Rows = 1000,
    pooling: Pool = "mean",
    max_length: Length = 256,
    drop: Annotated[int, typer.Option("--drop", min=0, help="dominant features left out in one column")] = 3,
    permutations: Permutations = 200,
    replicates: Replicates = 500,
    seed: Seed = 0,
    max_disk: MaxDisk = None,
    device: Device = None,
    output: Folder = Path("analysis"),
    form: Form = "csv",
) -> None:
    """CKA of all layers of two encoders, in each language (Figure 1 of Ji et al. 2024).

    Each value stands with its null, interval, biased form and what a few dimensions contribute.

    \b
    Examples:
      xglue-harness analyze cka facebook/mbart-large-50 facebook/mbart-large-50-many-to-many-mmt \\
          --data xglue_full_dataset.tar.gz --task nc --rows 80         # the paper's setting
      xglue-harness analyze cka DIR1 DIR2 --text parallel/ --languages en,de
    """
    from xglue_harness.analyze.cka import analyze_cka
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.settings import Settings

    out = Output(output, form)
    settings = Settings(pooling, max_length, permutations, replicates, seed, device, max_disk)
    _print(analyze_cka(a, b, _texts(text, data, task, languages, rows), settings, drop, out), out)


@app.command("languages")
def languages_command(
    encoder: Annotated[str, typer.Argument(help="Hub id (@revision) or folder")],
    text: TextPath = None,
    data: Data = None,
    task: Task = None,
    languages: Languages = None,
    rows: Rows = 1000,
    pooling: Pool = "mean",
    max_length: Length = 256,
    layer: Annotated[int | None, typer.Option("--layer", help="of the matrices; by default the last")] = None,
    permutations: Permutations = 100,
    replicates: Replicates = 200,
    seed: Seed = 0,
    max_disk: MaxDisk = None,
    device: Device = None,
    output: Folder = Path("analysis"),
    form: Form = "csv",
) -> None:
    """How alike an encoder represents translations: CKA, neuron-wise correlation and retrieval (Figure 2).

    The three need not agree, so all are given, by layer and pair of languages.

    \b
    Examples:
      xglue-harness analyze languages FacebookAI/xlm-roberta-base --text parallel/
      xglue-harness analyze languages DIR --data hub --task xnli --rows 500 --layer 8
    """
    from xglue_harness.analyze.languages import analyze_languages
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.settings import Settings

    out = Output(output, form)
    settings = Settings(pooling, max_length, permutations, replicates, seed, device, max_disk)
    _print(analyze_languages(encoder, _texts(text, data, task, languages, rows), settings, layer, out), out)


@app.command("spectra")
def spectra_command(
    base: Annotated[str, typer.Argument(help="the encoder that distances are from: Hub id (@revision) or folder")],
    models: Annotated[list[str], typer.Argument(help="encoders of the same shapes")],
    layer: Annotated[int | None, typer.Option("--layer", help="of the printed table; by default the last")] = None,
    paper: Annotated[bool, typer.Option("--paper", help="print the paper's values beside ours")] = False,
    output: Folder = Path("analysis"),
    form: Form = "csv",
) -> None:
    """Singular values of K, Q, V, Out, FC up and FC down in every encoder layer (Tables 2 and 5).

    ‖σ‖ is their norm, d the distance from the base's. Weights are read one matrix at a time, decoders not at all.

    \b
    Example:
      xglue-harness analyze spectra facebook/mbart-large-50 facebook/mbart-large-50-many-to-many-mmt \\
          facebook/mbart-large-50-many-to-one-mmt facebook/mbart-large-50-one-to-many-mmt --paper
    """
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.spectra import analyze_spectra

    out = Output(output, form)
    _print(analyze_spectra(base, models, layer, out, paper=paper), out)


@app.command("correlate")
def correlate_command(
    results: Annotated[list[Path], typer.Argument(help="lm_eval's results files, or folders of them")],
    over: Annotated[
        Literal["models", "languages"],
        typer.Option("--over", help="what a point is: a model, or a language of a model"),
    ] = "models",
    seed: Seed = 0,
    output: Folder = Path("analysis"),
    form: Form = "csv",
) -> None:
    """Does a diagnostic go with the transfer score? Spearman's rho with a permutation p-value, task by task.

    Over few models next to nothing is significant: the table says how many there are.

    \b
    Examples:
      xglue-harness analyze correlate results/
      xglue-harness analyze correlate results/xlmr results/mbert --over languages
    """
    from xglue_harness.analyze.correlations import analyze_correlations
    from xglue_harness.analyze.output import Output

    out = Output(output, form)
    _print(analyze_correlations(results, over, seed, out), out)


def _texts(text: Path | None, data: str | None, task: str | None, languages: str | None, rows: int) -> Texts:
    from xglue_harness.analyze.sentences import chosen_texts

    names = None if languages is None else [name.strip() for name in languages.split(",")]
    return chosen_texts(text, data, task, names, rows)


def _print(summary: Summary, out: Output) -> None:
    """The short form of a table, what a reader must know of the data, and which files there are."""
    from xglue_harness.cli.console import PlainConsole, table

    shown = table(summary.heads, "l" + "r" * (len(summary.heads) - 1))
    for cells, published in summary.rows:
        shown.add_row(*cells, style="dim" if published else None)
    console = PlainConsole()
    console.print(shown)
    console.print(summary.note, style="dim")
    for line in (summary.remark, out.data.warning if out.data is not None else ""):
        if line:
            typer.echo(line)
    typer.echo("written: " + ", ".join(str(file) for file in out.written))
