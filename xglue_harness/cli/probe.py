"""``xglue-harness probe``: what a frozen encoder knows before any fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xglue_harness.cli.options import MaxDisk


def probe(
    model: Annotated[str, typer.Option("--model", help="an encoder: Hub id (@revision) or folder")],
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="e.g. nc,wpr,pos,bitext; by default all that the data have")
    ] = None,
    layers: Annotated[str, typer.Option("--layers", help="last, all, or numbers: 0,6,12 (0: the embeddings)")] = "last",
    data: Annotated[str | None, typer.Option("--data", help="'sample', 'hub', a folder or the archive")] = None,
    languages: Annotated[
        str | None, typer.Option("--languages", help="e.g. en,de,sw; by default all there are")
    ] = None,
    parallel: Annotated[
        Path | None,
        typer.Option("--parallel", help="bitext mining on a folder of <language>.txt, not on XNLI's premises"),
    ] = None,
    pooling: Annotated[
        Literal["auto", "mean", "first", "max", "eos"],
        typer.Option("--pooling", help="of a text's subwords; auto: that of sentence-transformers' files, else mean"),
    ] = "auto",
    max_length: Annotated[int, typer.Option("--max-length", min=8, help="subwords of a text")] = 256,
    train_rows: Annotated[
        int, typer.Option("--train-rows", min=2, help="English rows that a probe is fitted on; the seed draws them")
    ] = 10_000,
    max_disk: MaxDisk = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="draws the training rows")] = 0,
    device: Annotated[str | None, typer.Option("--device", help="cuda, cpu, ...; a GPU where there is one")] = None,
    output: Annotated[
        Path, typer.Option("--output", help="folder for tables, figure, predictions, mteb's files")
    ] = Path("probes"),
    form: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="of the tables")] = "csv",
) -> None:
    """Score a frozen encoder: a probe fitted on English, in every language and layer.

    States of all layers come from one pass and are kept in the cache. mteb's result files need
    pip install 'xglue-harness[mteb]'.

    \b
    Examples:
      xglue-harness probe --model FacebookAI/xlm-roberta-base --data hub --tasks nc,pos
      xglue-harness probe --model DIR --data sample --layers all --output probes
    """
    from xglue_harness.analyze.frozen import Wishes, probe_model
    from xglue_harness.analyze.output import Output
    from xglue_harness.cli.console import PlainConsole, table

    out = Output(output, form)
    wishes = Wishes(
        tasks=_names(tasks),
        languages=_names(languages),
        layers=layers,
        pooling=pooling,
        max_length=max_length,
        train_rows=train_rows,
        max_disk=max_disk,
        seed=seed,
        device=device,
    )
    summary = probe_model(model, data, parallel, wishes, out)
    shown = table(summary.heads, "ll" + "r" * (len(summary.heads) - 2))
    for cells, _ in summary.rows:
        shown.add_row(*cells)
    console = PlainConsole()
    console.print(shown)
    console.print(summary.note, style="dim")
    for line in (summary.remark, out.data.warning if out.data is not None else ""):
        if line:
            typer.echo(line)
    typer.echo(f"written: {len(out.written)} files in {output}")


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
