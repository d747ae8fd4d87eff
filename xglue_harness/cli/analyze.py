"""``xglue-harness analyze``: why an encoder transfers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli.options import (
    Device,
    Json,
    Languages,
    MaxDisk,
    Results,
    data,
    form,
    model,
    names,
    output,
    seed,
    task,
)

if TYPE_CHECKING:
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.sentences import Texts
    from xglue_harness.analyze.summary import Summary

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

Folder = Annotated[Path, output("Folder for table, record and figures.")]
Form = Annotated[Literal["csv", "parquet"], form("Of the table that is written.")]
TextPath = Annotated[
    Path | None,
    typer.Option(
        "--text", metavar="PATH", help="A file, or a folder of parallel files <language>.txt, a sentence a line."
    ),
]
Data = Annotated[str | None, data("'sample', 'hub', a folder or the archive, with --task.")]
Task = Annotated[str | None, task("Whose test sets are read, with --data: nc, xnli, pawsx, ...")]
Rows = Annotated[int, typer.Option("--rows", metavar="N", min=8, help="Sentences of each language, the first ones.")]
Pool = Annotated[Literal["mean", "first", "last"], typer.Option("--pooling", help="Of a sentence's subwords.")]
Length = Annotated[int, typer.Option("--max-length", metavar="N", min=8, help="Subwords of a sentence.")]
Seed = Annotated[int, seed("Of permutations and bootstrap.")]
Permutations = Annotated[int, typer.Option("--permutations", metavar="N", min=20, help="For the null.")]
Replicates = Annotated[int, typer.Option("--replicates", metavar="N", min=20, help="Of the bootstrap.")]


@app.command("cka")
def cka_command(
    a: Annotated[str, typer.Argument(metavar="MODEL_A", help="An encoder: Hub id (@revision) or folder.")],
    b: Annotated[str, typer.Argument(metavar="MODEL_B", help="The encoder to compare it with.")],
    text: TextPath = None,
    data: Data = None,
    task: Task = None,
    languages: Languages = None,
    rows: Rows = 1000,
    pooling: Pool = "mean",
    max_length: Length = 256,
    drop: Annotated[
        int, typer.Option("--drop", metavar="N", min=0, help="Dominant features left out in one column.")
    ] = 3,
    permutations: Permutations = 200,
    replicates: Replicates = 500,
    seed: Seed = 0,
    max_disk: MaxDisk = None,
    device: Device = None,
    output: Folder = Path("analysis"),
    form: Form = "csv",
    as_json: Json = False,
) -> None:
    """CKA of all layers of two encoders, in each language (Figure 1 of Ji et al. 2024).

    Each value stands with its null, interval, biased form and what a few dimensions contribute.

    \b
    Examples:
      xglue-harness analyze cka facebook/mbart-large-50 \\
          facebook/mbart-large-50-many-to-many-mmt \\
          --data hub --task nc --rows 80                # the paper's setting
      xglue-harness analyze cka DIR1 DIR2 --text parallel/ --languages en,de
    """
    from xglue_harness.analyze.cka import analyze_cka
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.settings import Settings

    out = Output(output, form)
    settings = Settings(pooling, max_length, permutations, replicates, seed, device, max_disk)
    _print(analyze_cka(a, b, _texts(text, data, task, languages, rows), settings, drop, out), out, as_json=as_json)


@app.command("languages")
def languages_command(
    encoder: Annotated[str, model("An encoder: Hub id (@revision) or folder.")],
    text: TextPath = None,
    data: Data = None,
    task: Task = None,
    languages: Languages = None,
    rows: Rows = 1000,
    pooling: Pool = "mean",
    max_length: Length = 256,
    layer: Annotated[
        int | None, typer.Option("--layer", metavar="N", help="Of the matrices; by default the last.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Show every measure beside its null, too; takes about twice as long.")
    ] = False,
    permutations: Permutations = 100,
    replicates: Replicates = 200,
    seed: Seed = 0,
    max_disk: MaxDisk = None,
    device: Device = None,
    output: Folder = Path("analysis"),
    form: Form = "csv",
    as_json: Json = False,
) -> None:
    """How alike an encoder represents translations (Figure 2), and how well a probe tells its languages apart.

    CKA, neuron-wise correlation, retrieval, mutual neighbours, MEXA and separability need not agree, so all are given,
    by layer and pair of languages; IsoScore by language.

    \b
    Examples:
      xglue-harness analyze languages --model ORG/MODEL --text parallel/
      xglue-harness analyze languages --model DIR --data hub --task xnli --layer 8
    """
    from xglue_harness.analyze.languages import analyze_languages
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.settings import Settings

    out = Output(output, form)
    settings = Settings(pooling, max_length, permutations, replicates, seed, device, max_disk)
    _print(
        analyze_languages(
            encoder, _texts(text, data, task, languages, rows), settings, layer, out, calibrate=calibrate
        ),
        out,
        as_json=as_json,
    )


@app.command("spectra")
def spectra_command(
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="The encoder that distances are from: Hub id (@revision) or folder.")
    ],
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Encoders of the same shapes.")],
    layer: Annotated[
        int | None, typer.Option("--layer", metavar="N", help="Of the printed table; by default the last.")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="Print the paper's values beside ours.")] = False,
    output: Folder = Path("analysis"),
    form: Form = "csv",
    as_json: Json = False,
) -> None:
    """Singular values of K, Q, V, Out, FC up and FC down in every encoder layer (Tables 2 and 5).

    ‖σ‖ is their norm, d the distance from the base's. Weights are read one matrix at a time, decoders not at all.

    \b
    Example:
      xglue-harness analyze spectra facebook/mbart-large-50 \\
          facebook/mbart-large-50-many-to-many-mmt \\
          facebook/mbart-large-50-one-to-many-mmt --published
    """
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.spectra import analyze_spectra

    out = Output(output, form)
    _print(analyze_spectra(base, models, layer, out, paper=published), out, as_json=as_json)


@app.command("correlate")
def correlate_command(
    results: Results,
    over: Annotated[
        Literal["models", "languages"],
        typer.Option("--over", help="What a point is: a model, or a language of a model."),
    ] = "models",
    seed: Seed = 0,
    output: Folder = Path("analysis"),
    form: Form = "csv",
    as_json: Json = False,
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
    _print(analyze_correlations(results, over, seed, out), out, as_json=as_json)


@app.command("report")
def report_command(
    results: Results,
    seed: Seed = 0,
    output: Folder = Path("analysis"),
    form: Form = "csv",
    as_json: Json = False,
) -> None:
    """Write one page, HTML and PDF, on a set of runs: scores, measures, what goes together, interventions.

    All with 95% intervals, and with what can't be concluded from these runs. Figures and the PDF need pip install
    'xglue-harness[plots]', the mixed model 'xglue-harness[report]'.

    \b
    Examples:
      xglue-harness analyze report results/
      xglue-harness analyze report a/results b/results --output page
    """
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.report import analyze_report

    out = Output(output, form)
    _print(analyze_report(results, seed, out), out, as_json=as_json)


def _texts(text: Path | None, data: str | None, task: str | None, languages: str | None, rows: int) -> Texts:
    from xglue_harness.analyze.sentences import chosen_texts

    return chosen_texts(text, data, task, names(languages), rows)


def _print(summary: Summary, out: Output, *, as_json: bool) -> None:
    """The short form of a table and which files there are; or all as JSON."""
    from xglue_harness.cli.console import print_json, print_summary

    if as_json:
        print_json(out.as_json())
        return
    print_summary(summary, out)
    typer.echo("written: " + ", ".join(str(file) for file in out.written))
