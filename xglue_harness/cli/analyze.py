"""The commands of ``xglue-harness analyze``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.sentences import Texts
    from xglue_harness.encoders.backbone import Backbone

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
    from xglue_analysis.comparison import compare
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.states import facts_of, ready, states_by_language
    from xglue_harness.cli.analyze_tables import print_cka

    out, texts = Output(output, form), _texts(text, data, task, languages, rows)
    out.data = texts.data
    table: list[dict[str, Any]] = []
    one, other = (ready(_encoder(name, device), max_length) for name in (a, b))
    names = _short(a), _short(b)
    for language, sentences in texts.by_language.items():
        xs, ys = (
            states_by_language(encoder, {language: sentences}, pooling=pooling, max_length=max_length)[language]
            for encoder in (one, other)
        )
        found = compare(
            list(xs), list(ys), permutations=permutations, replicates=replicates, dropped=drop, seed=seed, progress=True
        )
        facts = {"model_a": a, "model_b": b, "language": language, "pooling": pooling}
        table += [{**facts, **row} for row in found]
    out.table("cka", table)
    title = f"{names[0]} vs {names[1]}"
    if len(xs) == len(ys):
        out.figure("cka_lines", "cka_lines", table, title=title)
    out.figure("cka_layers", "cka_heatmaps", table, title=title, name_a=names[0], name_b=names[1])
    encoders = {"encoders": [facts_of(one), facts_of(other)]}
    out.record(
        "cka", one.device, {**encoders, **_facts(texts, seed, pooling, max_length), **_draws(permutations, replicates)}
    )
    print_cka(table)
    _print_end(out)


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
    from xglue_analysis.languages import compare_languages
    from xglue_harness.analyze.output import Output
    from xglue_harness.analyze.states import facts_of, ready, states_by_language
    from xglue_harness.cli.analyze_tables import print_languages
    from xglue_harness.errors import DataError

    out, texts = Output(output, form), _texts(text, data, task, languages, rows)
    out.data = texts.data
    if not texts.parallel:
        raise DataError(
            f"{texts.description}: sentences must be translations of each other; give --text with a folder of parallel "
            "files, or --task xnli or pawsx"
        )
    one = ready(_encoder(encoder, device), max_length)
    states = states_by_language(one, texts.by_language, pooling=pooling, max_length=max_length)
    last = next(iter(states.values())).shape[0] - 1
    at = last if layer is None else layer
    if not 0 <= at <= last:
        raise DataError(f"--layer {at}: the encoder has layers 0 to {last}")
    found = compare_languages(states, permutations=permutations, replicates=replicates, seed=seed, progress=True)
    table = [{"model": encoder, "pooling": pooling, **row} for row in found]
    out.table("languages", table)
    for measure in ("cka", "anc", "p1_csls"):
        title = f"{_short(encoder)}, layer {at}"
        out.figure(f"languages_{measure}", "language_matrix", table, measure=measure, layer=at, title=title)
    pivot = "en" if "en" in states else next(iter(states))
    out.figure("languages_layers", "language_lines", table, pivot=pivot, title=_short(encoder))
    facts = {"encoders": [facts_of(one)], "layer_of_matrices": at, "pivot": pivot}
    out.record(
        "languages",
        one.device,
        {**facts, **_facts(texts, seed, pooling, max_length), **_draws(permutations, replicates)},
    )
    print_languages(table, pivot)
    _print_end(out)


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
    import torch

    from xglue_analysis.spectra import table as table_of
    from xglue_analysis.spectra import totals
    from xglue_harness.analyze.output import Output
    from xglue_harness.cli.analyze_tables import print_spectra, spectra_markdown
    from xglue_harness.errors import DataError

    out = Output(output, form)
    names = [base, *models]
    if len(set(names)) < len(names):
        raise DataError(f"one encoder is given twice: {', '.join(names)}")
    opened = {name: _weights(name) for name in names}
    found = table_of(opened.pop(base), opened, base_name=base, progress=True)
    table: list[dict[str, Any]] = [dict(row) for row in found]
    out.table("spectra", table)
    out.text("spectra.md", spectra_markdown(table))
    out.figure("spectra", "spectra_lines", [{**row, "model": _short(row["model"])} for row in table])
    out.record("spectra", torch.device("cpu"), {"base": base, "models": list(opened), "totals": totals(found)})
    last = max(row["layer"] for row in table)
    at = last if layer is None else layer
    if not 0 <= at <= last:
        raise DataError(f"--layer {at}: the encoder has layers 0 to {last}")
    print_spectra(table, at, paper=paper)
    _print_end(out)


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
    import torch

    from xglue_harness.analyze import correlate
    from xglue_harness.analyze.output import DataMark, Output
    from xglue_harness.cli.analyze_tables import print_correlations

    out, rows = Output(output, form), correlate.read_results(results)
    unofficial = any(row["unofficial"] for row in rows)
    out.data = DataMark("SAMPLE" if rows[0]["sample"] else "UNOFFICIAL" if unofficial else "XGLUE")
    table: list[dict[str, Any]] = []
    shown: dict[str, list[dict[str, Any]]] = {}
    for diagnostic in sorted({name for row in rows for name in row if name not in correlate.FACTS}):
        points = correlate.points(rows, diagnostic, over)
        whose = [(row["task"], row["model"], row["recipe"]) for row in points]
        values = [row[diagnostic] for row in points]
        if over == "languages" and len({*zip(whose, values, strict=True)}) <= len({*whose}):
            continue  # the same for all languages of a model
        found = correlate.correlate(points, diagnostic, seed=seed)
        table += found
        shown[diagnostic] = points
        names = correlate.labels(points)
        named = [{**row, "model": name} for row, name in zip(points, names, strict=True)]
        out.figure(f"correlate_{diagnostic}", "correlation", named, found, x=diagnostic)
    out.table("correlate", table)
    facts = {"over": over, "results": [str(path) for path in results], "seed": seed, "points": shown}
    out.record("correlate", torch.device("cpu"), facts)
    print_correlations(table)
    if recipes := sorted({f"{row['model']} ({row['recipe']})" for row in rows if row["recipe"]}):
        typer.echo(f"recipes that differ are points of their own: {'; '.join(recipes)}")
    _print_end(out)


def _texts(text: Path | None, data: str | None, task: str | None, languages: str | None, rows: int) -> Texts:
    from xglue_harness.analyze.sentences import read_texts, task_texts
    from xglue_harness.errors import DataError

    wanted = None if languages is None else [name.strip() for name in languages.split(",")]
    if text is not None and (data is not None or task is not None):
        raise DataError("give --text, or --task with --data, not both")
    if text is not None:
        return read_texts(text, wanted, rows)
    if task is None:
        raise DataError("no sentences: give --text FILE_OR_FOLDER, or --task nc (xnli, ...) with --data")
    return task_texts(task, data, wanted, rows)


def _encoder(name: str, device: str | None) -> Backbone:
    import torch

    from xglue_harness.encoders.checks import device_of
    from xglue_harness.encoders.loading import load_backbone
    from xglue_harness.threads import line

    chosen = device_of(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cpu":
        typer.echo(f"{name}: {line(torch.get_num_threads())}", err=True)
    return load_backbone(name, chosen)


def _weights(name: str) -> Any:
    from xglue_analysis import open_weights
    from xglue_harness.encoders.loading import Checkpoint

    checkpoint = Checkpoint.of(name)
    return open_weights(checkpoint.name, revision=checkpoint.revision)


def _short(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1]


def _facts(texts: Texts, seed: int, pooling: str, max_length: int) -> dict[str, Any]:
    return {
        "texts": texts.description,
        "text_files": texts.files,
        "languages": {language: len(sentences) for language, sentences in texts.by_language.items()},
        "parallel": texts.parallel,
        "pooling": pooling,
        "max_length": max_length,
        "layers": "0 is what the embeddings give, the last one the encoder's output",
        "seed": seed,
    }


def _draws(permutations: int, replicates: int) -> dict[str, Any]:
    return {"permutations": permutations, "replicates": replicates}


def _print_end(out: Output) -> None:
    if out.data is not None and out.data.warning:
        typer.echo(out.data.warning)
    typer.echo("written: " + ", ".join(str(file) for file in out.written))
